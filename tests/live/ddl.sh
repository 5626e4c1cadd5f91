#!/bin/sh
# tests/live/ddl.sh TIEOUT: a real server's table changes while its log is read and captured. What keeps every value goes on, and the rows are the
# table's; what does not stops, by statement or by what the next rows' TABLE_MAP says, also where the capture was not there when it happened.
set -u
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
. "$here/job.sh"
servers_begin
server_start 1
number=0
job() # NAME: one for the server's files, one for its capture, one for the table
{
    mkdir -p "$work/$1"
    job_file "$work/$1/log.yaml" pay "binlog: {files: \"$work/d1/mysql-bin.0*\", table: $1.t}"
    job_file "$work/$1/live.yaml" pay "replica: {host: $work/s1, user: root, server_id: 4711, table: $1.t, start: oldest}"
    job_file "$work/$1/table.yaml" pay "query: {host: $work/s1, user: root, table: $1.t}"
}
capture()
{
    "$tieout" capture "$work/$1/live.yaml" --catch-up >"$work/said" 2>&1
    ok $? "$2: is captured: $(cat "$work/said")"
}
begin() # a table of its own, captured up to here
{
    number=$((number + 1))
    name=shop$number
    job $name
    sql 1 -e "CREATE DATABASE $name; CREATE TABLE $name.t (id BIGINT PRIMARY KEY, order_no VARCHAR(32), amount DECIMAL(12,2) NOT NULL, created_at DATETIME, note VARCHAR(20));
        INSERT INTO $name.t SELECT seq, CONCAT('A', seq), seq + 0.55, '2026-11-19 10:00:00', 'n' FROM seq_1_to_50;" shop
    capture $name "$1"
}
run() # JOB
{
    "$tieout" run "$work/$name/$1.yaml" --date=2026-11-19 --out="$work/$name/$1" >"$work/said" 2>&1 && code=0 || code=$?
}
goes_on()
{
    begin "$1"
    sql 1 $name -e "$1"
    run table
    "$tieout" inspect "$work/$name/table/pay/2026-11-19/missing.csv" --json-lines 2>/dev/null | rows_left >"$work/want"
    capture $name "$1"
    for kind in log live; do
        run $kind
        "$tieout" inspect "$work/$name/$kind/pay/2026-11-19/missing.csv" --json-lines 2>/dev/null | rows_left >"$work/got"
        [ -s "$work/want" ] && cmp -s "$work/want" "$work/got"
        ok $? "$1: $kind: the rows are the table's: exit $code: $(head -3 "$work/said") $(diff "$work/want" "$work/got" | head -3)"
    done
}
stops() # STATEMENTS PATTERN
{
    begin "$1"
    sql 1 $name -e "SET sql_mode = ''; $1"
    "$tieout" capture "$work/$name/live.yaml" --catch-up >"$work/live.said" 2>&1
    for kind in log live; do
        run $kind
        # What takes rows away stops the capture itself.
        [ $kind = log ] || ! grep -q "$2" "$work/live.said" || { code=3; cp "$work/live.said" "$work/said"; }
        [ $code = 3 ] && grep -q "$2" "$work/said"
        ok $? "$1: $kind stops: exit $code: $(head -2 "$work/said") $(head -2 "$work/live.said")"
    done
}
sql 1 -e "CREATE DATABASE shop"
touch="UPDATE t SET created_at = '2026-11-19 11:00:00' WHERE order_no IN ('A2', 'A3'); DELETE FROM t WHERE order_no = 'A4'"
goes_on "ALTER TABLE t ADD COLUMN extra INT FIRST, ADD KEY (amount), DROP COLUMN note; $touch"
goes_on "ALTER TABLE t MODIFY amount DECIMAL(14,2), CHANGE note remark TEXT, MODIFY order_no VARCHAR(64); $touch"
goes_on "ALTER TABLE t CHANGE id number BIGINT; $touch"
# Strict mode, as servers have it by default: a value that did not fit would have failed the statement.
goes_on "ALTER TABLE t MODIFY order_no VARCHAR(10) NOT NULL, MODIFY amount DECIMAL(10,2) NOT NULL, MODIFY id INT; $touch"
goes_on "ALTER TABLE t CONVERT TO CHARACTER SET latin1; $touch"
stops "SET sql_mode = 'STRICT_ALL_TABLES'; ALTER TABLE t MODIFY amount DECIMAL(12,1); $touch" "becomes DECIMAL(12,1)"
stops "ALTER TABLE t MODIFY order_no VARCHAR(32) NOT NULL; $touch" "NOT NULL"
stops "ALTER TABLE t DROP PRIMARY KEY, ADD COLUMN rid BIGINT AUTO_INCREMENT PRIMARY KEY FIRST; $touch" "is (rid) from here on"
stops "ALTER TABLE t MODIFY amount DECIMAL(12,0)" "becomes DECIMAL(12,0) and was DECIMAL(12,2)"
stops "ALTER TABLE t MODIFY order_no VARCHAR(2); $touch" "of 2 characters"
stops "ALTER TABLE t DROP COLUMN amount; ALTER TABLE t ADD COLUMN amount DECIMAL(12,2) NOT NULL DEFAULT 5; $touch" "is dropped here"
stops "ALTER TABLE t ADD SYSTEM VERSIONING; $touch" "binlog.versioned"
stops "UPDATE t SET order_no = 'A1' WHERE id < 4; ALTER IGNORE TABLE t ADD UNIQUE (order_no)" "come or go here"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
