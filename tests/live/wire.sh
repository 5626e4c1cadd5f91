#!/bin/sh
# tests/live/wire.sh TIEOUT: bad networks, hostile servers, rights that are taken away, and a replica with our number.
set -u
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
. "$here/job.sh"
servers_begin
server_start 1
sql 1 <<SQL
CREATE DATABASE shop; CREATE TABLE shop.t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL,
    note TEXT, created_at DATETIME(3) NOT NULL);
CREATE USER tieout@localhost; GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT, REPLICATION SLAVE ADMIN ON *.* TO tieout@localhost;
GRANT BINLOG MONITOR ON *.* TO tieout@localhost;
SQL
mkfifo "$work/port"
python3 "$here/wire_proxy.py" "$work/s1" "$work/plan" "$work/sent" >"$work/port" &
proxy=$!
background=$proxy
read -r port <"$work/port"
insert="INSERT INTO shop.t (order_no, amount, note, created_at)"
rows() # NAME FROM
{
    echo "$insert SELECT CONCAT('$1-', seq), seq, REPEAT('x', seq % 500), '2026-11-19 10:00:00' FROM seq_1_to_$2;"
}
job() # NAME SOURCE
{
    job_file "$work/$1.yaml" "$1" "$2"
}
replica="user: tieout, server_id: 4711, table: shop.t, start: oldest"
job wire "replica: {host: 127.0.0.1, port: $port, $replica}"
job table "query: {host: $work/s1, user: root, table: shop.t}"
run()
{
    "$tieout" run "$work/$1.yaml" --date=2026-11-19 --out="$work/out" >"$work/said" 2>&1
    "$tieout" inspect "$work/out/$1/2026-11-19/missing.csv" --json-lines 2>/dev/null | sed 's/"[a-z_]*place":"[^"]*"//g' | sort >"$work/$1.rows"
}
same()
{
    run wire
    run table
    [ -s "$work/wire.rows" ] && cmp -s "$work/wire.rows" "$work/table.rows"
    ok $? "$1: what was captured is the table: $(diff "$work/wire.rows" "$work/table.rows" | head -4) $(cat "$work/said")"
}
capture()
{
    timeout 600 "$tieout" capture "$work/wire.yaml" --catch-up >"$work/said" 2>&1 && code=0 || code=$?
}
refused() # WHAT EXIT PATTERN
{
    ok "$([ "$code" = "$2" ] && echo 0 || echo 1)" "$1: exit $code, not $2: $(cat "$work/said")"
    { tr '\n' ' ' <"$work/said"; echo; } | grep -q -e "$3"
    ok $? "$1: says $3: $(cat "$work/said")"
}
stays=wire # the capture that is meant
place()
{
    "$tieout" capture "$work/$stays.yaml" --status 2>/dev/null | sed -n 's/^ *position *//p'
}
# waits until a capture that runs has all that the server has
caught_up()
{
    want=$(sql 1 -e 'SHOW MASTER STATUS' | awk '{print $1 ":" $2}')
    wait_until "$1: caught up to $want" at_or_ended
    place | grep -q "^$want of"
    ok $? "$1: caught up to $want: $(place)"
}
at_or_ended()
{
    place | grep -q "^$want of" || has_ended $pid
}
# begins NAME: its capture runs, until `ends`.
begins()
{
    "$tieout" capture "$work/$1.yaml" >"$work/$1.running" 2>&1 &
    pid=$!
    background="$proxy $pid"
}
ends()
{
    kill -TERM $pid
    wait $pid 2>/dev/null
    background=$proxy
}

# ---- resets and half packets anywhere: each committed change counts once
{
    rows A 300
    for i in $(seq 40); do rows "B$i" 20; done
    echo "UPDATE shop.t SET amount = amount + 1 WHERE id % 3 = 0; DELETE FROM shop.t WHERE id % 41 = 0;"
} | sql 1 shop
for i in 300 7000 20001 40003 60000; do echo "reset $i"; echo "half $((i + 7))"; done >"$work/plan"
begins wire
caught_up "resets"
[ ! -s "$work/plan" ]
ok $? "resets: all of them came: $(cat "$work/plan")"
[ "$(grep -c "trying again" "$work/wire.running")" -ge 10 ]
ok $? "resets are told: $(cat "$work/wire.running")"
ends
same "resets"

# ---- a stream that stands still, and one whose headers lie: the place is kept
sql 1 -e "SET GLOBAL net_write_timeout = 1" # and the server gives up on who does not read
rows C 3000 | sql 1 shop
printf 'stall 3000\nlie 3\nreset 1000\n' >"$work/plan"
begins wire
caught_up "a stall"
ends
same "a stall"
sql 1 -e "SET GLOBAL net_write_timeout = 60" # who asks with --catch-up does not try again

# ---- what a server says in its stream
before=$(place)
rows D 10 | sql 1 shop
echo "error 2 1236 log event entry exceeded max_allowed_packet; Increase max_allowed_packet on master" >"$work/plan"
capture
refused "an event that is too large" 5 "exceeded max_allowed_packet.*SET GLOBAL max_allowed_packet=1073741824"
[ "$(place)" = "$before" ]
ok $? "an event that is too large: the place is kept: $before, $(place)"
echo "error 2 1236 A slave with the same server_uuid/server_id as this slave has connected to the master" >"$work/plan"
capture
refused "our number" 5 "same server_uuid/server_id.*give each replica a server_id of its own"
echo "infile" >"$work/plan"
capture
refused "a server that asks for a file" 5 "127.0.0.1"
! grep -q root "$work/sent" 2>/dev/null
ok $? "no file is sent: $(cat "$work/sent" 2>/dev/null)"
capture
refused "afterwards" 0 ""
same "afterwards"

# ---- a second capture with our number: one of the two says so, and they do not throw each other out for ever
job rival "replica: {host: $work/s1, $replica}"
begins wire
first=$pid
streams() { "$tieout" capture "$work/wire.yaml" --status --format=json | grep -q '"state": "streaming"' || has_ended $first; }
wait_until "the first of two captures streams" streams
begins rival
background="$proxy $first $pid"
one_ended() { has_ended $first || has_ended $pid; }
wait_until "one of two captures with one number has ended" one_ended
left=$pid loser=$first stays=rival # whoever is left goes on with what comes
! has_ended $pid || left=$first loser=$pid stays=wire
wait $loser && code=0 || code=$?
cat "$work/wire.running" "$work/rival.running" >"$work/said"
refused "two captures with one number" 5 "server_id.*give each replica a server_id of its own"
rows E 1 | sql 1 shop
pid=$left
caught_up "the other of two captures"
stays=wire
ends

# ---- rights that are taken away
sql 1 -e "REVOKE REPLICATION SLAVE ON *.* FROM tieout@localhost; REVOKE BINLOG MONITOR ON *.* FROM tieout@localhost"
capture
refused "no rights" 5 "GRANT REPLICATION SLAVE"
sql 1 -e "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO tieout@localhost"
capture
refused "rights given again" 0 ""
same "rights given again"

# ---- a crash that loses the end of the log: what was captured is more than the server has
log=$work/d1/$(sql 1 -e 'SHOW MASTER STATUS' | cut -f1)
server_pid=$(cat "$work/pid1")
kill -9 "$server_pid"
while kill -0 "$server_pid" 2>/dev/null; do sleep 0.05; done
truncate -s -200 "$log"
server_start 1
capture
refused "a log that lost its end" 6 "its file is shorter now (RESET MASTER, or a crash that lost its end): captured up to mysql-bin.000001:"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 27 ]
