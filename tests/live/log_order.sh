#!/bin/sh
# tests/live/log_order.sh TIEOUT: what a real MariaDB does between two files of its log is no hole and no wrong order: XA over files, domains, numbers that
# were set and fall, a clock that a session set, restarts. Its files in folders of their own and under other names give the same rows.
set -u
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
. "$here/job.sh"
servers_begin
server_start 1
sql 1 -e "CREATE DATABASE shop; CREATE TABLE shop.t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL,
    note VARCHAR(100), created_at DATETIME(3) NOT NULL)"
insert() # ORDER [STATEMENTS BEFORE] [STATEMENTS BEHIND]
{
    sql 1 shop -e "${2:-} INSERT INTO t (order_no, amount, note, created_at) VALUES ('$1', 1.00, '', '2026-11-19 10:00:00'); ${3:-}"
}
flush() { sql 1 -e "FLUSH BINARY LOGS"; }
insert a
flush
insert xa "XA START 'x';" "XA END 'x'; XA PREPARE 'x'"
flush
flush
insert b
sql 1 -e "XA COMMIT 'x'"
flush
insert domain "SET gtid_domain_id = 5;"
flush
insert server "SET server_id = 77;"
insert high "SET gtid_seq_no = 1000;"
insert low "SET gtid_seq_no = 500;"
flush
insert c
flush
insert old "SET TIMESTAMP = 1000000000;" "FLUSH BINARY LOGS"
insert d "UPDATE t SET amount = 7 WHERE order_no = 'a';"
server_stop 1
server_start 1
insert e "" "SET TIMESTAMP = 1000000001; FLUSH BINARY LOGS"
server_stop 1
server_start 1
insert f "DELETE FROM t WHERE order_no = 'b';"
flush
rows=$(sql 1 -e "SELECT COUNT(*), SUM(amount) FROM shop.t" | tr '\t' ' ')
server_stop 1
mkdir "$work/plain" "$work/folders" "$work/names" "$work/twice"
cp "$work"/d1/mysql-bin.0* "$work/plain/"
cp -r "$work/plain" "$work/twice/a"
cp -r "$work/plain" "$work/twice/b"
number=99
for log in "$work"/plain/*; do
    mkdir "$work/folders/$number"
    cp "$log" "$work/folders/$number/"
    cp "$log" "$work/names/$number-log"
    number=$((number - 1))
done
missing() # FILES
{
    rm -rf "$work/out"
    job_file "$work/job.yaml" pay "binlog: {files: \"$1\", table: shop.t}"
    "$tieout" run "$work/job.yaml" --date=2026-11-19 --out="$work/out" --threads=2 --format=json 2>"$work/said" |
        awk '/"missing"/ { in_class = 1 } in_class && /"count"/ { gsub(/[^0-9]/, ""); count = $0 }
             in_class && /"amount"|CNY/ && match($0, /[0-9]+\.[0-9]+/) { print count, substr($0, RSTART, RLENGTH); exit }'
}
for files in "plain/mysql-bin.0*" "folders/*/mysql-bin.0*" "names/*" "twice/*/mysql-bin.0*"; do
    got=$(missing "$work/$files")
    [ "$got" = "$rows" ]
    ok $? "$files: \"$got\", the server has \"$rows\": $(cat "$work/said")"
done
rm "$work/names/97-log"
got=$(missing "$work/names/*")
[ -z "$got" ] && grep -q "error binlog.gap: .*/names/96-log" "$work/said"
ok $? "a file is missing among other names: \"$got\" $(cat "$work/said")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 5 ]
