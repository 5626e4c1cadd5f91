#!/bin/sh
# tests/live/full_disk.sh TIEOUT [ROWS]: the disk of a capture fills up in the middle of one large transaction (20,000 rows in a test run,
# `sh tests/live/full_disk.sh TIEOUT 10000000` by hand). It says which file and disk, its checkpoint stays, nothing of the transaction is to be
# seen, and once there is room the same command goes on to what the server has.
set -u
tieout=$1
rows=${2:-20000}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
. "$here/job.sh"
servers_begin
mkdir "$work/disk"
# A third of what the transaction needs.
small=$((rows * 40 / 1024 + 700)) large=$((rows * 400 / 1024 + 20000))
if [ "$(id -u)" -ne 0 ] || ! mount -t tmpfs -o "size=${small}k" tmpfs "$work/disk" 2>/dev/null; then
    echo "skipped: no right to mount a tmpfs"
    exit 77
fi
trap 'umount -l "$work/disk"; servers_end' EXIT
server_start 1 --max-binlog-size=1073741824 --innodb-buffer-pool-size=256M
sql 1 -e "CREATE DATABASE shop; CREATE TABLE shop.t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL,
    note VARCHAR(100), created_at DATETIME(3) NOT NULL)"
job_file "$work/job.yaml" pay "replica: {host: $work/s1, user: root, server_id: 4711, table: shop.t, start: oldest, dir: $work/disk/capture}"
insert() # FROM TO: one transaction
{
    sql 1 shop -e "INSERT INTO t (order_no, amount, note, created_at) SELECT CONCAT('A', seq), seq * 1.01, 'some words that take room, forty of them', '2026-11-19 10:00:00' FROM seq_$1_to_$2"
}
missing()
{
    rm -rf "$work/out"
    "$tieout" run "$work/job.yaml" --date=2026-11-19 --out="$work/out" --threads=2 --format=json 2>"$work/run.said" |
        sed -n '/"missing"/,/}/s/.*"count": \([0-9]*\).*/\1/p' | head -1
}
place()
{
    "$tieout" capture "$work/job.yaml" --status --format=json | sed -n 's/ *"\(file\|position\|gtids\)": /\1 /p' | tr -d '\n'
}
insert 1 100
"$tieout" capture "$work/job.yaml" --catch-up >"$work/said" 2>&1
ok $? "the first rows are captured: $(cat "$work/said")"
before=$(place)
insert 101 $((rows + 100))
began=$(date +%s)
"$tieout" capture "$work/job.yaml" --catch-up >"$work/said" 2>&1
ok $(($? != 4)) "a full disk is exit code 4: $(cat "$work/said")"
grep -q "$work/disk/capture/.*No space left" "$work/said"
ok $? "the file and the disk are named: $(cat "$work/said")"
[ -n "$before" ] && [ "$(place)" = "$before" ]
ok $? "the checkpoint stays: $before, then $(place)"
[ "$(missing)" = 99 ]
ok $? "nothing of the transaction is to be seen: $(missing) rows, $(cat "$work/run.said")"
"$tieout" capture "$work/job.yaml" --catch-up >"$work/said" 2>&1
ok $(($? != 4)) "once more without room: $(cat "$work/said")"
[ "$(place)" = "$before" ]
ok $? "the checkpoint stays again"
mount -o "remount,size=${large}k" "$work/disk"
"$tieout" capture "$work/job.yaml" --catch-up >"$work/said" 2>&1
ok $? "with room it goes on: $(cat "$work/said")"
[ "$(place)" != "$before" ]
ok $? "and its checkpoint moves"
[ "$(missing)" = $((rows + 99)) ]
ok $? "all rows of the server are there: $(missing), $(cat "$work/run.said")"
sum=$(sql 1 shop -e "SELECT SUM(amount) - 1.01 FROM t")
grep -q "\"CNY\": \"$sum\"" "$work"/out/pay/2026-11-19/summary.json
ok $? "with the server's sum, $sum"
echo "$rows rows in one transaction, a disk of $small KiB: $(($(date +%s) - began)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 11 ]
