#!/bin/sh
# tests/live/images.sh TIEOUT: MINIMAL and NOBLOB images are folded over what the rows were: the log's rows are those of the table.
set -u
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
. "$here/job.sh"
servers_begin
server_start 1
sql 1 <<SQL
CREATE DATABASE shop; CREATE TABLE shop.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL DEFAULT 5,
    status TINYINT NOT NULL DEFAULT 1, note TEXT, other INT, created_at DATETIME(3) NOT NULL);
SQL
insert="INSERT INTO t (order_no, amount, status, note, other, created_at)"
changes()
{
    cat <<SQL
$insert SELECT CONCAT('$1', seq), seq * 1.01, 1, CONCAT('note ', seq), seq, '2026-11-19 10:00:00' FROM seq_1_to_2000;
UPDATE t SET status = 2 WHERE id % 3 = 0;
UPDATE t SET amount = amount + 1 WHERE id % 5 = 0;
UPDATE t SET note = CONCAT('new ', id) WHERE id % 7 = 0;
UPDATE t SET note = NULL WHERE id % 11 = 0;
UPDATE t SET order_no = CONCAT(order_no, '-moved') WHERE id % 13 = 0;
UPDATE t SET id = id + 1000000 WHERE id % 17 = 0 AND id < 1000000;
UPDATE t SET other = other + 1;
UPDATE t SET id = id + 2000000 WHERE id % 29 = 0 AND id < 1000000;
UPDATE t SET id = -id WHERE id % 31 = 0 AND id < 1000000; UPDATE t SET id = id - 5000000, status = 2 WHERE id < 0 AND id % 3 = 0;
UPDATE t SET id = id + 1 WHERE id BETWEEN -700 AND -300 ORDER BY id DESC;
SET @low = (SELECT MIN(id) FROM t WHERE id > 0), @high = (SELECT MAX(id) FROM t);
UPDATE t SET id = 9000000 WHERE id = @low; UPDATE t SET id = @low WHERE id = @high; UPDATE t SET id = @high WHERE id = 9000000;
UPDATE t SET id = id + 500000 WHERE id % 37 = 0 AND id BETWEEN 1 AND 400000; DELETE FROM t WHERE id > 500000 AND id < 510000 AND id % 2 = 0;
DELETE FROM t WHERE id % 19 = 0;
BEGIN; UPDATE t SET amount = 77 WHERE id % 23 = 0; UPDATE t SET status = 2 WHERE id % 23 = 0; ROLLBACK;
BEGIN; $insert VALUES ('$1-twice', 1, 1, 'a', 1, '2026-11-19 10:00:00'); UPDATE t SET amount = 2 WHERE order_no = '$1-twice'; UPDATE t SET amount = 3 WHERE order_no = '$1-twice'; COMMIT;
XA START '$1'; UPDATE t SET amount = amount + 3 WHERE order_no = '$1-twice'; XA END '$1'; XA PREPARE '$1'; XA COMMIT '$1';
$insert VALUES ('$1-back', 1, 1, 'a', 1, '2026-11-19 10:00:00'); SET @id = LAST_INSERT_ID(); DELETE FROM t WHERE id = @id;
INSERT INTO t (id, order_no, amount, status, note, other, created_at) VALUES (@id, '$1-again', 2, 1, 'b', 1, '2026-11-19 10:00:00'); UPDATE t SET amount = 4 WHERE id = @id;
SQL
}
printf 'biz_order_no,amount\nA1,1.01\nA2,9.00\n' >"$work/bill.csv"
job() # NAME SOURCE
{
    job_file "$work/$1.yaml" pay "$2" "status: {column: status, map: {1: SUCCESS, 2: REFUNDED}}, attr: {note: note}"
}
run() # NAME OPTIONS
{
    name=$1
    shift
    "$tieout" run "$work/$name.yaml" --date=2026-11-19 --out="$work/out/$name" "$@" >"$work/said" 2>&1 && code=0 || code=$?
    for class in missing mismatch; do # without places, which are another thing
        "$tieout" inspect "$work/out/$name/pay/2026-11-19/$class.csv" --json-lines 2>/dev/null | sed 's/"[a-z_]*place":"[^"]*"//g' | sort
    done >"$work/$name.rows"
}
# Copies: a server may write one more event of its own into a log that it ended.
same()
{
    rm -rf "$work/logs"
    mkdir "$work/logs"
    cp "$work"/d1/mysql-bin.0* "$work/logs"
    run log --threads=3 --chunk=20000
    ok "$([ "$code" = 1 ] && echo 0 || echo 1)" "$1: exit $code: $(cat "$work/said")"
    run table
    [ -s "$work/log.rows" ] && cmp -s "$work/log.rows" "$work/table.rows"
    ok $? "$1: the log's rows are the table's: $(diff "$work/log.rows" "$work/table.rows" | head -4)"
    run log --threads=1 --chunk=3000
    cmp -s "$work/log.rows" "$work/table.rows"
    ok $? "$1: with other chunks too"
}
refused() # WHAT EXIT PATTERN
{
    ok "$([ "$code" = "$2" ] && echo 0 || echo 1)" "$1: exit $code, not $2"
    { tr '\n' ' ' <"$work/said"; echo; } | grep -q -e "$3"
    ok $? "$1: says $3: $(cat "$work/said")"
}
job log "binlog: {files: \"$work/logs/mysql-bin.0*\", table: shop.t}"
job table "query: {host: $work/s1, user: root, table: shop.t}"
sql 1 -e "SET GLOBAL binlog_row_image = MINIMAL"
changes A | sql 1 shop
same MINIMAL
voided=$(grep -c voided "$work/out/log/pay/2026-11-19/excluded.csv")
[ "$voided" -ge 100 ] && grep -q 'A-back,.*CNY,1\.00,.*SUCCESS,a,' "$work/out/log/pay/2026-11-19/excluded.csv"
ok $? "MINIMAL: rows that were deleted are whole: $(grep A-back "$work/out/log/pay/2026-11-19/excluded.csv")"
sql 1 -e "SET GLOBAL binlog_row_image = NOBLOB; FLUSH BINARY LOGS"
changes B | sql 1 shop
same "NOBLOB behind MINIMAL"
sql 1 -e "SET GLOBAL binlog_row_image = FULL; FLUSH BINARY LOGS"
changes C | sql 1 shop
same "all three"
gzip "$work"/logs/*
job log "binlog: {files: \"$work/logs/mysql-bin.0*.gz\", table: shop.t}"
run log --threads=2
cmp -s "$work/log.rows" "$work/table.rows"
ok $? "packed logs: $(cat "$work/said")"

# What was never seen whole stops: a default that no statement gave; rows of before the log.
sql 1 shop -e "FLUSH BINARY LOGS; SET SESSION binlog_row_image = MINIMAL; INSERT INTO t (order_no, created_at) VALUES ('D1', '2026-11-19 10:00:00'); UPDATE t SET amount = 9 WHERE id = 1"
cp "$work"/d1/mysql-bin.000004 "$work/logs"
job log "binlog: {files: \"$work/logs/mysql-bin.000004\", table: shop.t}"
run log
refused "rows of before the log" 3 "mysql-bin.000004@[0-9]*: row 0 of table shop.t: its image does not hold column .*no whole image of the row from before"
# What is no part of the primary key cannot tell rows apart.
job log "binlog: {files: \"$work/d1/mysql-bin.000001\", table: shop.t}"
sed -i '0,/^  fields:/s/^  fields:/  occurrence_id: order_no\n&/' "$work/log.yaml"
run log
refused "rows told apart by another column" 3 "mysql-bin.000001@[0-9]*: row 0 of table shop.t: its before-image does not hold column .order_no. .*.occurrence_id:. tells rows apart"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 15 ]
