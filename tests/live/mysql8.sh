#!/bin/sh
# tests/live/mysql8.sh TIEOUT: a real MySQL 8 or 9: caching_sha2_password with TLS and without, and all that only its own logs hold (compressed
# transactions, changes of JSON, MINIMAL and NOBLOB images, metadata in part, tagged GTIDs, XA, invisible and generated columns).
#
# Debian 12 has no such server; sid has one. TIEOUT_MYSQL8 names a folder that holds it (below usr/, with the libraries it was built for):
#     debootstrap --variant=minbase --include=mysql-server-core sid FOLDER
# Without, this test is skipped (exit 77).
set -u
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/job.sh"
base=${TIEOUT_MYSQL8:-}
[ -n "$base" ] && [ -x "$base/usr/sbin/mysqld" ] || { echo "skipped: TIEOUT_MYSQL8 names no folder with a MySQL 8 (see $0)"; exit 77; }
command -v mariadb >/dev/null || { echo "skipped: no client"; exit 77; }
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 $server 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
port=$((20000 + $$ % 10000))
# By the libraries beside it, whatever this machine has.
mysqld()
{
    loader=$(find "$base/lib64/" "$base/usr/lib64/" -name 'ld-linux*.so*' 2>/dev/null | head -1)
    exec "$loader" --library-path "$(find "$base"/usr/lib -maxdepth 1 -name '*-linux-gnu'):$base/usr/lib/mysql/private" "$base/usr/sbin/mysqld" --no-defaults \
        --basedir="$base/usr" --lc-messages-dir="$base/usr/share/mysql" --datadir="$work/data" --secure-file-priv="" --user="$(id -un)" "$@"
}
(mysqld --initialize-insecure) >"$work/init" 2>&1 || { echo "skipped: this MySQL does not run here: $(tail -3 "$work/init")"; exit 77; }
(mysqld --socket="$work/s" --pid-file="$work/pid" --bind-address=127.0.0.1 --port="$port" --mysqlx=OFF --server-id=1 --log-bin="$work/data/mysql-bin" \
    --gtid-mode=ON --enforce-gtid-consistency=ON --binlog-row-metadata=FULL --innodb-buffer-pool-size=32M --sync-binlog=0 \
    --innodb-flush-log-at-trx-commit=0 --performance-schema=OFF --max-allowed-packet=64M) >"$work/log" 2>&1 &
server=$!
sql()
{
    mariadb --no-defaults --socket="$work/s" --user=root --default-character-set=utf8mb4 -BN "$@"
}
tries=0
until sql -e 'SELECT 1' >/dev/null 2>&1; do
    tries=$((tries + 1))
    kill -0 $server 2>/dev/null && [ $tries -lt 600 ] || { echo "this MySQL does not start: $(grep ERROR "$work/log")"; exit 1; }
    sleep 0.1
done
server=$(cat "$work/pid")
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
sql -e "CREATE DATABASE shop CHARACTER SET utf8mb4; SET sql_require_primary_key = 0;
    CREATE TABLE shop.t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL DEFAULT 5, small TINYINT NOT NULL DEFAULT 1,
        kind ENUM('pay', 'refund') NOT NULL DEFAULT 'pay', flags SET('a', 'b', 'c'), note TEXT, doc JSON, other INT UNSIGNED INVISIBLE, twice DECIMAL(20,2) AS (amount * 2) STORED,
        created_at DATETIME(3) NOT NULL, paid_at TIMESTAMP(6) NULL, code CHAR(9) CHARACTER SET latin1, bits BIT(13));
    CREATE TABLE shop.n (n INT PRIMARY KEY); INSERT INTO shop.n VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9); CREATE TABLE shop.elsewhere (id INT PRIMARY KEY, v INT);
    CREATE USER cap@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY 'a secret'; CREATE USER tls@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY 'a secret' REQUIRE SSL;
    GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO cap@'127.0.0.1', tls@'127.0.0.1'; FLUSH BINARY LOGS"
insert="INSERT INTO t (order_no, amount, small, kind, flags, note, doc, other, created_at, paid_at, code, bits)"
# changes NAME: what rows go through; NAME is in their order numbers.
changes()
{
    cat <<SQL
$insert SELECT CONCAT('$1-', a.n, b.n, c.n), a.n * 101.01 - b.n * 7, a.n - b.n, 1 + a.n % 2, IF(b.n % 2, 'a,c', NULL), CONCAT('grün ', c.n, REPEAT('x', 50 * b.n)),
    JSON_OBJECT('k', a.n, 'deep', JSON_OBJECT('list', JSON_ARRAY(b.n, 'two', NULL, 1.5)), 'text', REPEAT('j', 20)), 4294967295 - c.n, '2026-11-19 10:00:00.5',
    IF(a.n % 2, '2026-11-19 10:00:00.25', NULL), 'Zürich', b'1000000000001' FROM n a, n b, n c;
UPDATE t SET small = 2 WHERE id % 3 = 0;
UPDATE t SET amount = amount + 1 WHERE id % 5 = 0;
UPDATE t SET doc = JSON_SET(doc, '\$.k', id, '\$.deep.list[1]', 'new') WHERE id % 7 = 0;
UPDATE t SET doc = JSON_REMOVE(doc, '\$.deep.list[0]'), note = NULL WHERE id % 11 = 0;
UPDATE t SET doc = JSON_REPLACE(doc, '\$.text', 'short') WHERE id % 6 = 0;
UPDATE t SET order_no = CONCAT(order_no, '-moved') WHERE id % 13 = 0;
UPDATE t SET id = id + 1000000 WHERE id % 17 = 0 AND id < 1000000;
UPDATE t SET other = other DIV 2, flags = 'b';
DELETE FROM t WHERE id % 19 = 0;
BEGIN; UPDATE t SET amount = 77 WHERE id % 23 = 0; ROLLBACK;
BEGIN; $insert VALUES ('$1-twice', 1, 1, 'pay', 'a', 'a', '{}', 1, '2026-11-19 10:00:00', NULL, 'x', 1); SAVEPOINT a; UPDATE t SET amount = 2 WHERE order_no = '$1-twice'; ROLLBACK TO a;
UPDATE t SET amount = 3 WHERE order_no = '$1-twice'; INSERT INTO elsewhere VALUES (CRC32('$1') % 1000000, 1); COMMIT;
XA START '$1'; UPDATE t SET amount = amount + 3 WHERE order_no = '$1-twice'; XA END '$1'; XA PREPARE '$1'; XA COMMIT '$1';
XA START '$1-r'; UPDATE t SET amount = 99 WHERE order_no LIKE '$1%'; XA END '$1-r'; XA PREPARE '$1-r'; XA ROLLBACK '$1-r';
XA START '$1-one'; UPDATE t SET amount = amount + 2 WHERE order_no = '$1-twice'; XA END '$1-one'; XA COMMIT '$1-one' ONE PHASE;
$insert VALUES ('$1-back', 1, 1, 'pay', NULL, 'a', '[]', 1, '2026-11-19 10:00:00', NULL, 'y ', 2); SET @id = LAST_INSERT_ID(); DELETE FROM t WHERE id = @id;
SQL
}
fields="merchant_no: small, attr: {note: note, paid: paid_at, doc: doc, other: other, kind: kind, flags: flags, code: code, bits: bits}"
job() # NAME SOURCE
{
    job_file "$work/$1.yaml" pay "$2" "$fields"
}
rows() # NAME OPTIONS: what the log or table has, without places
{
    name=$1
    shift
    "$tieout" run "$work/$name.yaml" --date=2026-11-19 --out="$work/out/$name" "$@" >"$work/said" 2>&1 && code=0 || code=$?
    "$tieout" inspect "$work/out/$name/pay/2026-11-19/missing.csv" --json-lines 2>/dev/null | sed 's/"[a-z_]*place":"[^"]*"//g' | sort >"$work/$name.rows"
}
# Copies: the server goes on writing.
same() # WHAT
{
    rm -rf "$work/logs"
    mkdir "$work/logs"
    cp "$work"/data/mysql-bin.0* "$work/logs"
    rows table
    for options in "--threads=3 --chunk=20000" "--threads=1 --chunk=3000"; do
        rows log $options
        [ -s "$work/log.rows" ] && cmp -s "$work/log.rows" "$work/table.rows"
        ok $? "$1, $options: exit $code: $(tail -4 "$work/said") $(diff "$work/log.rows" "$work/table.rows" | head -4)"
    done
}
# capture NAME SETTINGS: over the network
capture()
{
    job "$1" "replica: {host: 127.0.0.1, port: $port, password: \"file:secret\", server_id: 4711, table: shop.t, start: oldest, $2}"
    "$tieout" capture "$work/$1.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
}
captured() # NAME
{
    rows "$1"
    [ -s "$work/$1.rows" ] && cmp -s "$work/$1.rows" "$work/table.rows"
    ok $? "$1: the capture is the table: exit $code: $(tail -4 "$work/said") $(diff "$work/$1.rows" "$work/table.rows" | head -4)"
}
echo "a secret" >"$work/secret"
chmod 600 "$work/secret"
job log "binlog: {files: \"$work/logs/mysql-bin.0*\", table: shop.t}"
job table "query: {host: $work/s, user: root, table: shop.t}"
changes A | sql shop
same "FULL"
# ---- who asks, and how: the first time a password is sent whole (by TLS, or under the server's RSA key), then its hash is known
for round in whole known; do
    sql -e "$([ $round = known ] || echo 'FLUSH PRIVILEGES')"
    capture "sent$round" "user: tls, tls: required"
    ok $code "caching_sha2_password by TLS, $round: $(cat "$work/said")"
    sql -e "$([ $round = known ] || echo 'FLUSH PRIVILEGES')"
    capture "rsa$round" "user: cap, tls: off"
    ok $code "caching_sha2_password under the server's key, $round: $(cat "$work/said")"
    captured "sent$round"
    captured "rsa$round"
done
capture wrong "user: tls, tls: off"
[ $code = 5 ] && grep -q "Access denied" "$work/said"
ok $? "a user who must use TLS: exit $code: $(cat "$work/said")"
echo "another" >"$work/secret"
capture wrong "user: cap, tls: off"
[ $code = 5 ] && grep -q "Access denied" "$work/said" && ! grep -q another "$work/said"
ok $? "a wrong password: exit $code: $(cat "$work/said")"
echo "a secret" >"$work/secret"
capture verified "user: tls, tls: verify, ca: $work/data/ca.pem"
[ $code = 5 ] && grep -q "TLS/SSL error" "$work/said"
ok $? "the server's own certificate names no host: exit $code: $(cat "$work/said")"
# ---- what its logs hold
sql -e "SET GLOBAL binlog_transaction_compression = ON; FLUSH BINARY LOGS"
changes B | sql shop
same "compressed transactions"
capture zipped "user: tls, tls: required"
ok $code "compressed transactions are captured: $(cat "$work/said")"
captured zipped
sql -e "SET GLOBAL binlog_row_value_options = PARTIAL_JSON; FLUSH BINARY LOGS"
changes C | sql shop
same "compressed, changes of JSON"
sql -e "SET GLOBAL binlog_transaction_compression = OFF"
changes D | sql shop
same "changes of JSON"
if sql -e "SET GTID_NEXT = 'AUTOMATIC:night'" 2>/dev/null; then
    { echo "SET GTID_NEXT = 'AUTOMATIC:night';"; changes E; } | sql shop
    same "tagged GTIDs"
    sql -e "SET GLOBAL binlog_row_value_options = ''"
    capture tagged "user: cap, tls: off"
    ok $code "tagged GTIDs are captured: $(cat "$work/said")"
    "$tieout" capture "$work/tagged.yaml" --status | grep -q ":night:1-"
    ok $? "tagged GTIDs: $("$tieout" capture "$work/tagged.yaml" --status)"
fi
sql -e "SET GLOBAL binlog_row_value_options = ''; SET GLOBAL binlog_row_image = NOBLOB; FLUSH BINARY LOGS"
changes F | sql shop
same "NOBLOB"
sql -e "SET GLOBAL binlog_row_image = MINIMAL; SET GLOBAL binlog_transaction_compression = ON; FLUSH BINARY LOGS"
changes G | sql shop
same "MINIMAL, compressed"
sql -e "SET GLOBAL binlog_row_image = FULL; SET GLOBAL binlog_row_metadata = MINIMAL; FLUSH BINARY LOGS"
changes H | sql shop
columns=$("$tieout" schema "$work/table.yaml" | sed -n 's/^    columns: //p')
partly() # the words of an ENUM or SET are nowhere then
{
    job log "binlog: {files: \"$work/logs/mysql-bin.0*\", table: shop.t, columns: $columns}
  occurrence_id: id"
}
partly
cp "$work"/data/mysql-bin.0* "$work/logs"
rows log
[ $code = 3 ] && grep -q "column .kind. of shop.t is ENUM without its words (binlog_row_metadata) from here on" "$work/said"
ok $? "metadata in part: exit $code: $(cat "$work/said")"
fields="merchant_no: small, attr: {note: note, paid: paid_at, doc: doc, other: other, code: code, bits: bits}"
partly
job table "query: {host: $work/s, user: root, table: shop.t}"
same "metadata in part"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -ge 29 ]
