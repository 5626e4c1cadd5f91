#!/bin/sh
# tests/live/capture.sh TIEOUT: a capture holds what a real server committed, each change once, whatever happens to either of them.
#
# What it holds is always asked in the same two ways: a run over the segments must leave the rows of the server's own SELECT, and
# must give the same digest, and the same places, as a run over the server's binlog files.
set -u
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
. "$here/job.sh"
servers_begin
hold_ports 1
port=$ports
server_start 1
sql 1 <<SQL
CREATE DATABASE shop;
CREATE TABLE shop.payment_order (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL,
    status TINYINT NOT NULL, note LONGTEXT, created_at DATETIME(3) NOT NULL, paid_at TIMESTAMP(6) NULL, KEY (order_no));
CREATE TABLE shop.other (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(100));
CREATE TABLE shop.log (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(100)) ENGINE=MyISAM;
SQL

# job NAME REPLICA: $work/NAME/live.yaml reads the capture, files.yaml the files of server 1; both are called "pay".
job()
{
    mkdir -p "$work/$1"
    echo biz_order_no,amount >"$work/$1/bill.csv"
    for kind in live files; do
        source="replica: {host: $work/s1, user: root, server_id: 4711, table: shop.payment_order, start: oldest, segment: 16KiB, $2}"
        [ $kind = live ] || source="binlog: {files: \"$work/d1/mysql-bin.0*\", table: shop.payment_order}"
        cat >"$work/$1/$kind.yaml" <<YAML
version: 1
job: pay
channel_code: X
timezone: Asia/Shanghai
currency: CNY
local:
  $source
  fields:
    biz_order_no: order_no
    amount: amount
    status: {column: status, map: {1: SUCCESS, 2: CLOSED}}
    trade_time: created_at
channel:
  files: bill.csv
  format: csv
  fields: {biz_order_no: biz_order_no, amount: amount}
match: {keys: [[biz_order_no]]}
YAML
    done
}

# rows_are NAME SERVER: what the last run over the segments left is what the server has.
rows_are()
{
    sql "$2" -e 'SELECT order_no, amount, id FROM shop.payment_order' | sort >"$work/want"
    for class in missing excluded; do
        "$tieout" inspect "$work/$1/live/pay/2026-11-19/$class.csv" --json-lines 2>/dev/null
    done | rows_left >"$work/got"
    cmp -s "$work/want" "$work/got" && [ -s "$work/want" ]
    result=$?
    ok $result "$1: the rows are the server's"
    [ $result -eq 0 ] || diff "$work/want" "$work/got" | head -5
}

# same NAME: both roads to the same result, and that is what the server has.
same()
{
    for kind in live files; do
        "$tieout" run "$work/$1/$kind.yaml" --date=2026-11-19 --out="$work/$1/$kind" --threads=2 --chunk=10000 >"$work/said" 2>&1 ||
            [ $? -eq 1 ] || cat "$work/said"
    done
    cmp -s "$work/$1/live/pay/2026-11-19/summary.json" "$work/$1/files/pay/2026-11-19/summary.json"
    ok $? "$1: the segments and the files give one result"
    for class in missing excluded; do
        sed 's/,mysql-bin/,\/mysql-bin/; s/,[^,]*\//,/' "$work/$1/files/pay/2026-11-19/$class.csv" |
            cmp -s - "$work/$1/live/pay/2026-11-19/$class.csv"
        ok $? "$1: and the same places in $class.csv"
    done
    rows_are "$1" 1
}

refused() # WHAT EXIT PATTERN: the last command, whose words are in $work/said
{
    ok "$([ "$code" = "$2" ] && echo 0 || echo 1)" "$1: exit $code, not $2"
    { tr '\n' ' ' <"$work/said"; echo; } | grep -q -e "$3"
    ok $? "$1: says $3: $(cat "$work/said")"
}

insert="INSERT INTO shop.payment_order (order_no, amount, status, created_at)"

# ---- everything a transaction can be, in several segments and several files of the server
job all ""
sql 1 shop <<SQL
$insert SELECT CONCAT('A', seq), seq * 1.01, 1, '2026-11-19 10:00:00' FROM seq_1_to_1000;
INSERT INTO other (x) SELECT seq FROM seq_1_to_2000;
UPDATE payment_order SET status = 2 WHERE id <= 300;
DELETE FROM payment_order WHERE id BETWEEN 5 AND 15;
FLUSH BINARY LOGS;
BEGIN; INSERT INTO other (x) VALUES ('c'); $insert VALUES ('B1', 5, 1, '2026-11-20 00:00:01'); INSERT INTO log (x) VALUES ('m');
SAVEPOINT a; $insert VALUES ('B2', 5, 1, '2026-11-20 00:00:01'); INSERT INTO log (x) VALUES ('n'); ROLLBACK TO a; COMMIT;
BEGIN; $insert VALUES ('R1', 5, 1, '2026-11-20 00:00:01'); INSERT INTO log (x) VALUES ('o'); ROLLBACK;
XA START 'x1'; $insert VALUES ('X1', 7, 1, '2026-11-19 12:00:01'); XA END 'x1'; XA PREPARE 'x1'; XA COMMIT 'x1';
XA START 'x2'; $insert VALUES ('X2', 7, 1, '2026-11-19 12:00:01'); XA END 'x2'; XA PREPARE 'x2'; XA ROLLBACK 'x2';
SET GLOBAL log_bin_compress = 1;
SET GLOBAL binlog_checksum = NONE;
SET timestamp = UNIX_TIMESTAMP('2027-01-01 00:00:00');
$insert SELECT CONCAT('C', seq), seq, 1, '2026-11-19 11:00:00' FROM seq_1_to_1000;
UPDATE payment_order SET order_no = CONCAT(order_no, 'x') WHERE id > 1990;
ALTER TABLE payment_order ADD COLUMN extra INT NULL FIRST;
UPDATE payment_order SET status = 1 WHERE id < 30;
SET timestamp = DEFAULT;
SET GLOBAL log_bin_compress = 0;
SET GLOBAL binlog_checksum = CRC32;
ALTER TABLE payment_order DROP COLUMN extra;
SQL
"$tieout" capture "$work/all/live.yaml" --catch-up >"$work/said" 2>&1 || cat "$work/said"
same all
[ "$(find "$work/all/capture/pay" -name '20*' | wc -l)" -ge 4 ]
ok $? "all: several segments, by size and by day"
"$tieout" capture "$work/all/live.yaml" --status >"$work/said"
grep -q "^not running" "$work/said" && grep -q "position  *mysql-bin.000004:[0-9]* of server_id 1" "$work/said"
ok $? "all: its status: $(cat "$work/said")"

# ---- an XA transaction that is prepared before a restart and decided after it
printf "XA START 'y'; %s VALUES ('Y1', 7, 1, '2026-11-19 12:00:01'); XA END 'y'; XA PREPARE 'y';" "$insert" | sql 1 shop
"$tieout" capture "$work/all/live.yaml" --catch-up
sql 1 shop -e "XA COMMIT 'y'"
"$tieout" capture "$work/all/live.yaml" --catch-up
same all

# ---- events without checksums: who goes on in the middle of their file is sent a FORMAT_DESCRIPTION that was changed, with the checksum of before
sql 1 shop -e "SET GLOBAL binlog_checksum = NONE; $insert VALUES ('Z1', 7, 1, '2026-11-19 12:00:01')"
"$tieout" capture "$work/all/live.yaml" --catch-up
sql 1 shop -e "$insert VALUES ('Z2', 7, 1, '2026-11-19 12:00:01')"
"$tieout" capture "$work/all/live.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "in the middle of a file without checksums" 0 '^$'
sql 1 shop -e "SET GLOBAL binlog_checksum = CRC32; $insert VALUES ('Z3', 7, 1, '2026-11-19 12:00:01')"
"$tieout" capture "$work/all/live.yaml" --catch-up
same all

# ---- kill -9 under load
job kill ""
for i in $(seq 350); do
    echo "$insert SELECT CONCAT('K$i-', seq), seq, 1, '2026-11-19 10:00:00' FROM shop.seq_1_to_37;"
    echo "UPDATE shop.payment_order SET status = 2, amount = amount + 1 WHERE order_no LIKE 'K$i-1%';"
    echo "DELETE FROM shop.payment_order WHERE order_no = 'K$i-5'; DO SLEEP(0.005);"
    [ $((i % 70)) -ne 0 ] || echo "FLUSH BINARY LOGS;"
done | sed 's/shop.seq/seq/' | sql 1 shop &
load=$!
kills=0
while kill -0 $load 2>/dev/null || [ $kills -lt 6 ]; do
    "$tieout" capture "$work/kill/live.yaml" >>"$work/killed" 2>&1 &
    pid=$!
    background=$pid
    sleep "0.$((kills * 7 % 23 + 3))"
    kill -9 $pid
    wait $pid 2>/dev/null || true
    kills=$((kills + 1))
done
background=
wait $load
! grep -v "^note: " "$work/killed" | grep -q .
ok $? "kill: $(head -3 "$work/killed")"
# Bytes of after the checkpoint are no part of a segment.
for segment in "$work"/kill/capture/pay/20*; do last=$segment; done
head -c 3000 "$work/d1/mysql-bin.000001" >>"$last"
"$tieout" capture "$work/kill/live.yaml" --catch-up
same kill

# ---- a snapshot under load, cut short once, joined with what comes after it
job snap "rate: 1000000"
sed -i 's/start: oldest/start: snapshot/; s/trade_time: created_at/trade_time: paid_at/' "$work/snap/live.yaml"
sql 1 shop -e "UPDATE payment_order SET paid_at = '2026-11-19 01:02:03.456789' WHERE id % 2 = 0; UPDATE payment_order SET note = '' WHERE id % 3 = 0"
for i in $(seq 200); do
    echo "$insert SELECT CONCAT('N$i-', seq), seq, 1, '2026-11-19 10:00:00' FROM seq_1_to_20; DO SLEEP(0.003);"
    echo "UPDATE payment_order SET amount = amount + 1 WHERE id % 97 = $i % 30; DELETE FROM payment_order WHERE id % 331 = $i;"
done | sql 1 shop &
load=$!
sed 's/rate: 1000000/rate: 300/' "$work/snap/live.yaml" >"$work/snap/slow.yaml"
"$tieout" capture "$work/snap/slow.yaml" >/dev/null 2>&1 &
pid=$!
background=$pid
snapshot_begun() { find "$work/snap/capture/pay" -name '20*' -size +0 2>/dev/null | grep -q . || has_ended $pid; }
wait_until "a snapshot has begun" snapshot_begun
kill -9 $pid
wait $pid 2>/dev/null || true
background=
"$tieout" run "$work/snap/live.yaml" --date=2026-11-19 --out="$work/snap/none" >"$work/said" 2>&1 && code=0 || code=$?
refused "a snapshot that is not whole" 3 "its snapshot is not whole"
job begun "dir: begun" # ended between making the file and its tables
mkdir "$work/begun/begun"
: >"$work/begun/begun/capture.db"
"$tieout" run "$work/begun/live.yaml" --date=2026-11-19 --out="$work/begun/none" >"$work/said" 2>&1 && code=0 || code=$?
refused "a capture that was only just begun" 3 "its snapshot is not whole"
"$tieout" capture "$work/begun/live.yaml" --status >"$work/said" 2>&1 && code=0 || code=$?
refused "the status of a capture that was only just begun" 3 "nothing was captured yet"
"$tieout" capture "$work/snap/live.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
ok $code "snapshot: exit $code: $(cat "$work/said")"
wait $load
"$tieout" capture "$work/snap/live.yaml" --catch-up
"$tieout" run "$work/snap/live.yaml" --date=2026-11-19 --out="$work/snap/live" >/dev/null 2>&1
rows_are snap 1
touched=$(grep -c "mysql-bin.0000[0-9]*.snapshot@" "$work/snap/live/pay/2026-11-19/missing.csv")
[ "$touched" -gt 1000 ]
ok $? "snapshot: rows that were not touched since have its place: $touched"
# A row of the snapshot is the same record as when the log tells of it.
"$tieout" inspect "$work/snap/live/pay/2026-11-19/missing.csv" --json-lines 2>/dev/null | sed 's/,"reasons.*//' | sort >"$work/by_snapshot"
sql 1 shop -e "ALTER TABLE payment_order ADD COLUMN later INT NULL; UPDATE payment_order SET later = 1"
"$tieout" capture "$work/snap/live.yaml" --catch-up
"$tieout" run "$work/snap/live.yaml" --date=2026-11-19 --out="$work/snap/live" >/dev/null 2>&1
"$tieout" inspect "$work/snap/live/pay/2026-11-19/missing.csv" --json-lines 2>/dev/null | sed 's/,"reasons.*//' | sort | cmp -s - "$work/by_snapshot"
ok $? "snapshot: its rows are the log's, field by field"
[ "$(grep -c "snapshot@" "$work/snap/live/pay/2026-11-19/missing.csv")" -eq 0 ]
ok $? "snapshot: every row was told again"
sql 1 shop -e "ALTER TABLE payment_order DROP COLUMN later"

# ---- a server that goes away and comes back
"$tieout" capture "$work/all/live.yaml" 2>"$work/said" &
pid=$!
background=$pid
runs() { "$tieout" capture "$work/all/live.yaml" --status --format=json | grep -q '"running": true' || has_ended $pid; }
wait_until "a capture runs" runs
"$tieout" capture "$work/all/live.yaml" >"$work/said2" 2>&1 && code=0 || code=$?
ok "$([ $code = 6 ] && grep -q "another process captures" "$work/said2" && echo 0 || echo 1)" "two captures: $(cat "$work/said2")"
"$tieout" capture "$work/all/live.yaml" --status --format=json | grep -q '"running": true'
ok $? "its status while it runs"
server_stop 1
sleep 0.3
server_start 1
sql 1 shop -e "$insert VALUES ('back', 1, 1, '2026-11-19 10:00:00')"
is_back()
{
    "$tieout" run "$work/all/live.yaml" --date=2026-11-19 --out="$work/all/now" >/dev/null 2>&1
    grep -q '"back"\|,back,' "$work/all/now/pay/2026-11-19/missing.csv" 2>/dev/null || has_ended $pid
}
wait_until "the row of after the restart is there" is_back
kill -TERM $pid
wait $pid && code=0 || code=$?
background=
ok $code "a restart of the server: exit $code: $(cat "$work/said")"
grep -q "trying again" "$work/said"
ok $? "a restart of the server is said"
same all

# ---- a long transaction, a row larger than a packet, and little memory
sql 1 shop <<SQL
BEGIN; $insert SELECT CONCAT('L', seq), seq, 1, '2026-11-19 10:00:00' FROM seq_1_to_40000;
UPDATE payment_order SET note = REPEAT('n', 20000000) WHERE order_no = 'L1'; COMMIT;
BEGIN; $insert SELECT CONCAT('M', seq), seq, 1, '2026-11-19 10:00:00' FROM seq_1_to_20000; INSERT INTO log (x) VALUES ('p'); ROLLBACK;
SQL
if sh -c "ulimit -v 400000 && \"$tieout\" --version" >/dev/null 2>&1; then # sanitizers cannot live with a limit
    (ulimit -v 400000 && "$tieout" capture "$work/all/live.yaml" --catch-up)
else
    "$tieout" capture "$work/all/live.yaml" --catch-up
fi
same all

# ---- what is refused, and leaves the position where it was
sql 1 -e "SET GLOBAL binlog_format = MIXED; SET GLOBAL binlog_row_image = MINIMAL; SET GLOBAL binlog_row_metadata = NO_LOG"
"$tieout" capture "$work/all/live.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "settings" 5 "SET GLOBAL binlog_format=ROW; SET GLOBAL binlog_row_image=FULL; SET GLOBAL binlog_row_metadata=FULL;"
sql 1 -e "SET GLOBAL binlog_format = ROW; SET GLOBAL binlog_row_image = FULL; SET GLOBAL binlog_row_metadata = FULL"
position=$("$tieout" capture "$work/all/live.yaml" --status | grep position)
sql 1 shop -e "SET SESSION binlog_row_image = MINIMAL; UPDATE payment_order SET status = 2 WHERE order_no = 'L7'"
"$tieout" capture "$work/all/live.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "a MINIMAL image" 3 "mysql-bin.0000[0-9]*@[0-9]*.*SET GLOBAL binlog_row_image=FULL"
[ "$("$tieout" capture "$work/all/live.yaml" --status | grep position)" = "$position" ]
ok $? "a refused event leaves the position where it was"
sed 's/user: root, server_id: 4711/user: nobody_here, server_id: 4711/' "$work/all/live.yaml" >"$work/all/user.yaml"
"$tieout" capture "$work/all/user.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "a user who may not" 5 "Access denied.*check user and password"
sed 's/server_id: 4711/server_id: 1/' "$work/all/live.yaml" >"$work/all/id.yaml"
"$tieout" capture "$work/all/id.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "a server_id that is taken" 5 "the server has server_id 1 too"

# ---- purge, reset
job gone "dir: gone"
"$tieout" capture "$work/kill/live.yaml" --catch-up >/dev/null 2>&1 || true # stops at the MINIMAL image
sql 1 shop -e "FLUSH BINARY LOGS; FLUSH BINARY LOGS; $insert VALUES ('P1', 1, 1, '2026-11-19 10:00:00')"
one_log() # one that a connection still reads is not purged, and a dead one is noticed late
{
    sql 1 -e "PURGE BINARY LOGS TO '$(sql 1 -e 'SHOW BINARY LOGS' | tail -1 | cut -f1)'"
    [ "$(sql 1 -e 'SHOW BINARY LOGS' | wc -l)" -eq 1 ]
}
wait_until "the logs are purged" one_log
"$tieout" capture "$work/all/live.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "purged logs" 6 "captured up to mysql-bin.0000[0-9]*:[0-9]* of server_id 1 (GTIDs 0-1-[0-9]*); the server (server_id 1) has mysql-bin.0000.*GTIDs 0-1-"
"$tieout" capture "$work/gone/live.yaml" --catch-up
sql 1 shop <<SQL
RESET MASTER; $insert VALUES ('Q1', 1, 1, '2026-11-19 10:00:00');
SQL
"$tieout" capture "$work/gone/live.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "a reset" 6 "its file is gone from the server"
rm -rf "$work/gone/gone"
"$tieout" capture "$work/gone/live.yaml" --catch-up
sleep 1.1 # its file says when it was begun, in seconds
sql 1 shop <<SQL
RESET MASTER; $insert SELECT CONCAT('S', seq), seq, 1, '2026-11-19 10:00:00' FROM seq_1_to_1000;
SQL
"$tieout" capture "$work/gone/live.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "a reset, and a file of the same name that is longer" 6 "mysql-bin.000001 is another file than it was: captured up to mysql-bin.000001:"
# an idle night: nothing was sent since the snapshot but what file it is, and the position is that of every file's beginning
rm -rf "$work/gone/gone"
sed 's/start: oldest/start: snapshot/' "$work/gone/live.yaml" >"$work/gone/idle.yaml"
sql 1 shop -e "FLUSH BINARY LOGS"
"$tieout" capture "$work/gone/idle.yaml" --catch-up
cp -r "$work/gone/gone" "$work/gone/kept"
sleep 1.1
sql 1 shop <<SQL
RESET MASTER; $insert VALUES ('I0', 1, 1, '2026-11-19 10:00:00'); $insert VALUES ('I1', 1, 1, '2026-11-19 10:00:00'); FLUSH BINARY LOGS; $insert VALUES ('I2', 1, 1, '2026-11-19 10:00:00');
SQL
"$tieout" capture "$work/gone/idle.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "a reset after an idle night" 6 "mysql-bin.000002 is another file than it was: captured up to mysql-bin.000002:"
# ... and a state of before, which does not say when the file was begun
rm -rf "$work/gone/gone"
mv "$work/gone/kept" "$work/gone/gone"
sqlite3 "$work/gone/gone/capture.db" "UPDATE capture SET file_time = 0"
"$tieout" capture "$work/gone/idle.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "a reset, known by GTIDs" 6 "its log has other transactions up to there (RESET MASTER): captured up to mysql-bin.000002:"

# ---- failover by GTID
sql 1 shop -e "RESET MASTER; TRUNCATE payment_order; TRUNCATE other; RESET MASTER"
server_start 2 --binlog-checksum=NONE # by GTID, too, what it sends of its first file's beginning is not what its checksum says
sql 2 -e "CREATE DATABASE shop; $(sql 1 -e 'SHOW CREATE TABLE shop.payment_order\G' | sed -n '/CREATE/,$p' | sed 's/.*CREATE TABLE `/CREATE TABLE `shop`.`/; s/AUTO_INCREMENT=[0-9]*//' | tr '\n' ' '); RESET MASTER"
server_stop 1
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/ca.key" -out "$work/ca.pem" -days 2 -subj /CN=testca 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/csr" -subj /CN=localhost 2>/dev/null
openssl x509 -req -in "$work/csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -out "$work/cert.pem" -days 2 2>/dev/null
server_start 1 --skip-networking=0 --bind-address=127.0.0.1 --port="$port" --ssl-cert="$work/cert.pem" --ssl-key="$work/key.pem" \
    --ssl-ca="$work/ca.pem"
sql 1 -e "CREATE USER r@127.0.0.1; GRANT ALL ON *.* TO r@127.0.0.1; RESET MASTER"
sql 2 -e "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=$port, MASTER_USER='r', MASTER_USE_GTID=slave_pos; START SLAVE"
# ---- TLS: a password in a file of its own, the server's certificate and name
sql 1 -e "CREATE USER t IDENTIFIED BY 'secret' REQUIRE SSL; GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO t"
job tls ""
echo secret >"$work/tls/secret"
chmod 600 "$work/tls/secret"
tls() # HOST SETTINGS
{
    sed "s#host: $work/s1, user: root#host: $1, port: $port, user: t, password: \"file:secret\", $2#" "$work/tls/live.yaml" >"$work/tls/tls.yaml"
    "$tieout" capture "$work/tls/tls.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
}
tls localhost "tls: verify, ca: $work/ca.pem"
refused "TLS" 0 '^$'
tls 127.0.0.1 "tls: verify, ca: $work/ca.pem"
refused "TLS, a certificate of another name" 5 "TLS/SSL error"
tls localhost "tls: verify"
refused "TLS, a certificate of nobody known" 5 "TLS/SSL error.*see .tls:. and .ca:"
tls localhost "tls: off"
refused "a user who must use TLS" 5 "Access denied"
chmod 644 "$work/tls/secret"
tls localhost "tls: verify, ca: $work/ca.pem"
refused "a secret that others may read" 2 "others may read this secret"
job over ""
sed "s#$work/s1#$work/s2#" "$work/over/live.yaml" >"$work/over/two.yaml"
sql 1 shop -e "$insert SELECT CONCAT('F', seq), seq, 1, '2026-11-19 10:00:00' FROM seq_1_to_500"
"$tieout" capture "$work/over/live.yaml" --catch-up
sql 1 shop -e "UPDATE payment_order SET amount = 1 WHERE id < 10"
replicated() { [ "$(sql 2 -e 'SELECT COUNT(*) FROM shop.payment_order WHERE amount = 1')" -ge 9 ]; }
wait_until "server 2 has the change" replicated
sql 2 -e "STOP SLAVE; RESET SLAVE ALL"
server_stop 1
sql 2 shop -e "$insert SELECT CONCAT('G', seq), seq, 1, '2026-11-19 10:00:00' FROM seq_1_to_500; DELETE FROM payment_order WHERE id = 100"
"$tieout" capture "$work/over/two.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
ok $code "failover: exit $code: $(cat "$work/said")"
"$tieout" run "$work/over/two.yaml" --date=2026-11-19 --out="$work/over/live" >/dev/null 2>&1
rows_are over 2
"$tieout" capture "$work/over/two.yaml" --status | grep -q "of server_id 2"
ok $? "failover: the position is the second server's"
# A server that lacks what was captured, or lost it, is none to go on with.
sql 2 shop -e "RESET MASTER; $insert VALUES ('lost', 1, 1, '2026-11-19 10:00:00')"
sed -i 's/server_id: 4711/server_id: 4712/' "$work/over/two.yaml"
"$tieout" capture "$work/over/two.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
refused "a second server that was reset" 6 "captured up to .*GTIDs 0-2-"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 78 ]
