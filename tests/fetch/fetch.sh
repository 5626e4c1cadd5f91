#!/bin/sh
# tests/fetch/fetch.sh TIEOUT: `tieout fetch` against a folder, sshd, vsftpd and nginx, well and badly behaved. Every wrong is
# told; exit 1 when there is one.
set -eu
tieout=$(readlink -f -- "$1")
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
# shellcheck source=tests/support/processes.sh
. "$here/../support/processes.sh"
# shellcheck source=tests/fetch/servers.sh
. "$here/servers.sh"
trap 'stop_all; release_ports; chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
unset http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY || true
chmod 755 "$work"
cd "$work"
failed=0
wrong()
{
    echo "WRONG: $*"
    sed 's/^/    /' "$work/stderr"
    failed=1
}

# job NAME 'fetch settings': writes NAME.yaml.
job()
{
    cat >"$work/$1.yaml" <<END
version: 1
job: $1
channel_code: SHOP
currency: CNY
local: {files: local.csv, fields: {biz_order_no: order, amount: amount}}
channel:
  files: "data/SHOP/{date}/*"
  fields: {biz_order_no: order, amount: amount}
  fetch: $2
match: {keys: [[biz_order_no]]}
output: {dir: out}
END
}

# fetch NAME EXIT ['words that stderr must hold']: runs it.
fetch()
{
    code=0
    "$tieout" fetch "$work/$1.yaml" --date=2026-11-19 >"$work/stdout" 2>"$work/stderr" || code=$?
    [ "$code" -eq "$2" ] || wrong "$1: exit code $code, expected $2"
    [ $# -lt 3 ] || grep -q -- "$3" "$work/stderr" || wrong "$1: does not say: $3"
    if grep -q 's3cret' "$work/stdout" "$work/stderr"; then
        wrong "$1: tells the secret"
    fi
}
# fetch_again NAME: what is not there is asked for again; it is stopped as soon as it says so.
fetch_again()
{
    begin_fetch "$1" --deadline=3600
    said_again
    kill "$fetcher" 2>/dev/null || true
    end_fetch
}
begin_fetch() # NAME [OPTION]
{
    : >"$work/stderr"
    "$tieout" fetch "$work/$1.yaml" --date=2026-11-19 $2 >"$work/stdout" 2>"$work/stderr" &
    fetcher=$!
    pids="$pids $fetcher"
}
said_again()
{
    until grep -q 'again in' "$work/stderr"; do
        ! has_ended "$fetcher" || { wrong "it was not tried again"; return 0; }
        sleep 0.05
    done
}
end_fetch() # its exit code in $code
{
    code=0
    wait "$fetcher" || code=$?
    forget "$fetcher"
}
spool=$work/data/SHOP/2026-11-19
# there FILE ORIGINAL: the spool holds it, whole, and nothing half-done.
there()
{
    cmp -s "$spool/$1" "$2" || wrong "$1 is not in the spool, or not whole"
    [ -z "$(find "$spool" -name '.*' -type f)" ] || wrong "left behind: $(find "$spool" -name '.*' -type f)"
}
empty() { rm -rf "$work/data"; }
not_there() { [ ! -e "$spool/$1" ] || wrong "$1 is in the spool"; }

printf 'order,amount\nB1,10.00\nB2,20.50\n' >bill.csv
cp bill.csv local.csv
printf 'order,amount\nB1,10.00\nB2,20.60\n' >changed_bill.csv # as long as bill.csv
touch -d '2026-11-20 08:00' changed_bill.csv
gzip -nc bill.csv >bill.csv.gz
{
    cat bill.csv
    i=0
    while [ $i -lt 40000 ]; do
        echo "B$i,$i.00,................."
        i=$((i + 1))
    done
} >big.csv
printf 's3cret\n' >password
chmod 600 password

# ---- a folder ----
mkdir drop
cp bill.csv drop/bill_20261119.csv
cp bill.csv.gz drop/bill_20261119.csv.gz
cp bill.csv drop/still_20261119.part
job folder '{from: "drop/*{yyyymmdd}*"}'
fetch folder 0 'bill_20261119.csv: 31 bytes, sha256:'
there bill_20261119.csv bill.csv
there bill_20261119.csv.gz bill.csv.gz
not_there still_20261119.part
[ "$(wc -l <stdout)" -eq 2 ] || wrong "two paths expected on stdout"
fetch folder 0 'is there already'
# A restatement is told and kept beside; what came first stays, and it is not brought twice.
printf 'B3,1.00\n' >>drop/bill_20261119.csv
fetch folder 0 'note: bill_20261119.csv is a restatement: 39 bytes, sha256:'
there bill_20261119.csv bill.csv
cmp -s "$spool.restated/2-bill_20261119.csv" drop/bill_20261119.csv || wrong "the restatement was not kept beside"
fetch folder 0 'was restated since'
grep -q 'is a restatement' stderr && wrong "it was brought twice"
printf 'B4,1.00\n' >>drop/bill_20261119.csv
fetch folder 0 'is a restatement: 47 bytes'
[ "$(ls "$spool.restated")" = "$(printf '2-bill_20261119.csv\n3-bill_20261119.csv')" ] || wrong "restatements: $(ls "$spool.restated")"
touch -d '2026-11-20 10:00' drop/bill_20261119.csv.gz
fetch folder 0 'bill_20261119.csv.gz: what is there now has the same bytes'
there bill_20261119.csv.gz bill.csv.gz
[ "$(wc -l <stdout)" -eq 2 ] || wrong "two paths expected on stdout"
cp bill.csv drop/bill_20261119.csv
empty
head -c 40 bill.csv.gz >drop/bill_20261119.csv.gz
fetch folder 3 'gzip.cut'
not_there bill_20261119.csv.gz
empty
job nothing '{from: "drop/nothing*", deadline: 2s}'
fetch nothing 5 'there is no such file'
job late '{from: "late/bill.csv", deadline: 600s, retry: {max: 1s}}'
begin_fetch late ''
said_again
mkdir late
cp bill.csv late/tmp
mv late/tmp late/bill.csv
end_fetch
[ $code -eq 0 ] || wrong "late: exit code $code"
there bill.csv bill.csv
empty
mkdir -p empties
: >empties/bill.csv
job empties '{from: empties/bill.csv, deadline: 0s}'
fetch empties 3 '0 bytes'
printf '<html>not yet</html>' >empties/bill.csv
fetch empties 3 'HTML'
job early '{from: "drop/*", not_before: "10:00"}'
"$tieout" fetch early.yaml --date=2078-01-01 >stdout 2>stderr && wrong "early: exit code 0"
grep -q 'not ready before 2078-01-02T10:00:00+08:00' stderr || wrong "early: does not say so"
# Two at once.
mkdir -p "$spool"
exec 9<"$spool"
flock 9
fetch folder 6 'another fetch'
exec 9<&-
empty

# ---- secrets, before anything goes out ----
hold_ports 7
read -r sshd_port ftp_port ftps_port https_port wrong_port self_port http_port <<END
$ports
END
chmod 644 password
job readable "{from: \"sftp://127.0.0.1:$sshd_port/x\", user: me, password: \"file:password\", host_key: \"SHA256:x\"}"
fetch readable 2 'others may read this secret'
chmod 600 password
job inline "{from: \"sftp://127.0.0.1:$sshd_port/x\", user: me, password: s3cret}"
fetch inline 2 'never the password itself'
job in_url "{from: \"sftp://me:s3cret@127.0.0.1:$sshd_port/x\"}"
fetch in_url 2 'names no user'
job unset "{from: \"sftp://127.0.0.1:$sshd_port/x\", user: me, password: \"env:TIEOUT_NOT_SET\", host_key: \"SHA256:x\"}"
fetch unset 2 'is not set'

# ---- SFTP ----
mkdir remote
cp bill.csv remote/bill-2026-11-19.csv
cp big.csv remote/big.csv
cp bill.csv 'remote/with space #1.csv'
start_sshd "$work/host_key"
me=$(id -un)
host_key=$(ssh-keygen -lf host_key.pub | awk '{print $2}')
base="user: $me, key: user_key, deadline: 0s"
url=sftp://127.0.0.1:$sshd_port$work/remote
job sftp "{from: \"$url/bill-{date}.csv\", $base, host_key: \"$host_key\"}"
fetch sftp 0
there bill-2026-11-19.csv bill.csv
empty
job sftp_pattern "{from: \"$url/*i*.csv\", $base, host_key: \"$host_key\"}"
fetch sftp_pattern 0
there bill-2026-11-19.csv bill.csv
there big.csv big.csv
there 'with space #1.csv' bill.csv
fetch sftp_pattern 0 'is there already'
cp changed_bill.csv remote/bill-2026-11-19.csv
touch -d "2026-11-20 12:00:00" remote/bill-2026-11-19.csv # a server tells whole seconds: the size is the same
fetch sftp_pattern 0 'is a restatement'
there bill-2026-11-19.csv bill.csv
cmp -s "$spool.restated/2-bill-2026-11-19.csv" changed_bill.csv || wrong "sftp: the restatement was not kept beside"
fetch sftp_pattern 0 'was restated since'
grep -q 'is a restatement' stderr && wrong "sftp: it was brought twice"
cp bill.csv remote/bill-2026-11-19.csv
empty
printf '[127.0.0.1]:%s %s\n' "$sshd_port" "$(cut -d' ' -f1,2 host_key.pub)" >known_hosts
job sftp_known "{from: \"$url/bill-{date}.csv\", $base, known_hosts: known_hosts}"
fetch sftp_known 0
there bill-2026-11-19.csv bill.csv
empty
job sftp_missing "{from: \"$url/none-{date}.csv\", $base, host_key: \"$host_key\"}"
fetch sftp_missing 5 'no such file'
not_there none-2026-11-19.csv
job sftp_nobody "{from: \"$url/bill-{date}.csv\", user: nobody-here, key: user_key, host_key: \"$host_key\"}"
fetch sftp_nobody 5 'does not let us in'
job sftp_anyone "{from: \"$url/bill-{date}.csv\", $base}"
fetch sftp_anyone 2 'nothing says who this server must be'
job sftp_trust "{from: \"$url/bill-{date}.csv\", $base, trust_server_without_checking_identity: true}"
fetch sftp_trust 0 'warning: .*identity is not checked'
empty
chmod 644 user_key
fetch sftp 2 'others may read this secret'
chmod 600 user_key
# Cut off before: it goes on where it stopped. The first byte was changed here, which shows that it was not brought again.
mkdir -p "$spool"
size=$(wc -c <big.csv)
job sftp_big "{from: \"$url/big.csv\", $base, host_key: \"$host_key\"}"
{ printf X; tail -c +2 big.csv | head -c 99999; } >"$spool/.big.csv.part"
printf '100000 %s -1 \n' "$size" >"$spool/.big.csv.mark"
{ printf X; tail -c +2 big.csv; } >changed.csv
fetch sftp_big 0 'going on at byte 100000'
there big.csv changed.csv
empty
# Another size than before: it is another file, and is brought from its beginning.
mkdir -p "$spool"
head -c 100000 changed.csv >"$spool/.big.csv.part"
printf '100000 7777777 -1 \n' >"$spool/.big.csv.mark"
fetch sftp_big 0 'once more from its beginning'
there big.csv big.csv
empty
# Another host key: nothing is told to that server.
stop_all
start_sshd "$work/other_key"
logins=$(grep -c 'Accepted publickey' sshd.log)
fetch sftp 5 'is not who it should be'
fetch sftp_known 5 'is not who it should be'
[ "$(grep -c 'Accepted publickey' sshd.log)" -eq "$logins" ] || wrong "it logged in to a server with another host key"
not_there bill-2026-11-19.csv
stop_all
job sftp_down "{from: \"$url/bill-{date}.csv\", user: $me, key: user_key, host_key: \"$host_key\"}"
fetch_again sftp_down

# ---- FTP and FTPS ----
make_certificates
mkdir -p ftp
cp big.csv ftp/big.csv
cp bill.csv ftp/bill_20261119.csv
start_vsftpd NO
base="user: anonymous, password: \"file:password\", deadline: 0s"
url=ftp://127.0.0.1:$ftp_port
job ftp_plain "{from: \"$url/bill_{yyyymmdd}.csv\", $base}"
fetch ftp_plain 2 'without encryption'
job ftp_trust "{from: \"$url/b*.csv\", $base, trust_server_without_checking_identity: true}"
fetch ftp_trust 0 'warning'
there bill_20261119.csv bill.csv
fetch ftp_trust 0 'is there already'
cp changed_bill.csv ftp/bill_20261119.csv
touch -d '2026-11-20 09:00' ftp/bill_20261119.csv
fetch ftp_trust 0 'is a restatement'
there bill_20261119.csv bill.csv
cp bill.csv ftp/bill_20261119.csv
there big.csv big.csv
empty
grep -q 'command.*PASS' vsftpd.log || wrong "vsftpd.log does not tell of passwords"
: >vsftpd.log
job ftp_needs_tls "{from: \"ftpes://127.0.0.1:$ftp_port/big.csv\", $base, ca: tls/ca.pem}"
fetch ftp_needs_tls 5 'nothing was told to it'
grep -q 'command.*PASS' vsftpd.log && wrong "the password went out without TLS"
stop_all
ftp_port=$ftps_port
start_vsftpd YES
url=ftpes://127.0.0.1:$ftp_port
job ftps "{from: \"$url/big.csv\", $base, ca: tls/ca.pem}"
fetch ftps 0
there big.csv big.csv
empty
mkdir -p "$spool"
head -c 100000 changed.csv >"$spool/.big.csv.part"
printf '100000 %s -1 \n' "$size" >"$spool/.big.csv.mark"
fetch ftps 0 'going on at byte 100000'
there big.csv changed.csv
empty
job ftps_missing "{from: \"$url/none.csv\", $base, ca: tls/ca.pem}"
fetch ftps_missing 5 'no such file'
: >vsftpd.log
job ftps_unknown "{from: \"$url/big.csv\", $base}"
fetch ftps_unknown 5 'is not who it should be'
grep -q 'command.*PASS' vsftpd.log && wrong "a password went to a server that nobody vouches for"
not_there big.csv
fetch ftps 0
stop_all
fetch ftps 0 'whether it was restated cannot be seen'
there big.csv big.csv
empty

# ---- HTTP and HTTPS ----
mkdir -p www
cp big.csv bill.csv bill.csv.gz www
sha256sum bill.csv | cut -d' ' -f1 >www/bill.csv.sha256
printf '{"code":"NO_STATEMENT_EXIST"}' >www/message.csv
printf 'me:%s\n' "$(openssl passwd -apr1 s3cret)" >htpasswd
start_nginx
# How many GETs nginx has told of. What it sent last it may not have told yet; one worker does all, in turn, so behind a later request it has.
marks=0
gets()
{
    marks=$((marks + 1))
    python3 -S -E -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"HEAD /mark%s HTTP/1.0\r\n\r\n" % sys.argv[2].encode())
s.recv(100)' "$http_port" $marks
    until grep -q "^HEAD /mark$marks " nginx/access.log; do sleep 0.02; done
    grep -c '^GET' nginx/access.log || true
}
base="ca: tls/ca.pem, deadline: 0s"
url=https://127.0.0.1:$https_port
job https "{from: [\"$url/bill.csv\", \"$url/bill.csv.gz\"], $base}"
fetch https 0
there bill.csv bill.csv
there bill.csv.gz bill.csv.gz
before=$(gets)
fetch https 0 'is there already'
[ "$(gets)" -eq "$before" ] || wrong "what is there was brought again"
# Restated on the server: only its time tells it from what came.
cp changed_bill.csv www/bill.csv
touch -d '2026-11-20 09:00' www/bill.csv
fetch https 0 'is a restatement'
there bill.csv bill.csv
cmp -s "$spool.restated/2-bill.csv" changed_bill.csv || wrong "https: the restatement was not kept beside"
before=$(gets)
fetch https 0 'bill.csv was restated since'
[ "$(gets)" -eq "$before" ] || wrong "https: the restatement was brought twice"
touch -d '2026-11-20 09:30' www/bill.csv
fetch https 0 'was restated since'
[ "$(ls "$spool.restated")" = 2-bill.csv ] || wrong "https: one restatement lies there twice"
cp bill.csv www/bill.csv
empty
job https_sum "{from: \"$url/bill.csv\", $base, checksum: .sha256}"
fetch https_sum 0
there bill.csv bill.csv
empty
fetch https_sum 0
printf '%064d\n' 0 >www/bill.csv.sha256
touch -d '2026-11-20 09:00' www/bill.csv
fetch https_sum 3 'its SHA256 is'
there bill.csv bill.csv
empty
fetch https_sum 3 'its SHA256 is'
not_there bill.csv
job https_private "{from: \"$url/private/bill.csv\", $base, user: me, password: \"file:password\"}"
fetch https_private 0
there bill.csv bill.csv
empty
export TIEOUT_TEST_PASSWORD=s3cret-not
job https_denied "{from: \"$url/private/bill.csv\", $base, user: me, password: \"env:TIEOUT_TEST_PASSWORD\"}"
fetch https_denied 5 'answers 401'
job https_message "{from: \"$url/message.csv\", $base}"
fetch https_message 3 'NO_STATEMENT_EXIST'
not_there message.csv
job https_moved "{from: \"$url/moved/bill.csv\", $base}"
fetch https_moved 0
there bill.csv bill.csv
empty
job https_missing "{from: \"$url/none.csv\", $base}"
fetch https_missing 5 'answers 404'
fetch_again https_missing
job https_busy "{from: \"$url/busy/bill.csv\", $base}"
fetch https_busy 5 'answers 503'
job https_wrong "{from: \"https://127.0.0.1:$wrong_port/private/bill.csv\", $base, user: me, password: \"file:password\"}"
fetch https_wrong 5 'is not who it should be'
job https_self "{from: \"https://127.0.0.1:$self_port/bill.csv\", $base}"
fetch https_self 5 'is not who it should be'
job https_trust "{from: \"https://127.0.0.1:$self_port/bill.csv\", $base, trust_server_without_checking_identity: true}"
fetch https_trust 0 'warning'
empty
job http_plain "{from: \"http://127.0.0.1:$http_port/bill.csv\", $base}"
fetch http_plain 2 'without encryption'
# Cut in the middle of a slow transfer: the server goes away, comes back, and the rest is brought.
: >nginx/access.log
job https_slow "{from: \"$url/slow/big.csv\", ca: tls/ca.pem, deadline: 600s, retry: {max: 1s}}"
worker=$(pgrep -P "$nginx_pid")
begin_fetch https_slow ''
half_there()
{
    until [ "$(stat -c %s "$spool/.big.csv.part" 2>/dev/null || echo 0)" -gt 200000 ] || has_ended "$fetcher"; do sleep 0.05; done
}
half_there
# A signal ends it, and what came stays.
kill "$fetcher"
end_fetch
[ $code -eq 130 ] || wrong "https_slow: a signal: exit code $code"
grep -q 'what came is kept' stderr || wrong "https_slow: a signal: it does not say what became of what came"
[ "$(stat -c %s "$spool/.big.csv.part")" -gt 200000 ] || wrong "https_slow: a signal: what came was thrown away"
empty
begin_fetch https_slow ''
half_there
kill -9 "$nginx_pid" "$worker"
wait "$nginx_pid" 2>/dev/null || true
forget "$nginx_pid"
sed -i 's/limit_rate 1k/limit_rate 0/' nginx.conf
/usr/sbin/nginx -c "$work/nginx.conf" -e "$work/nginx/error.log" &
nginx_pid=$!
pids="$pids $nginx_pid"
end_fetch
[ $code -eq 0 ] || wrong "https_slow: exit code $code"
there big.csv big.csv
grep -q 'going on at byte' stderr || wrong "https_slow: began again"
gets >gets
grep -q 'GET /slow/big.csv 206' nginx/access.log || wrong "https_slow: no part was asked for"
empty
# A server that says nothing at all.
worker=$(pgrep -P "$nginx_pid")
kill -STOP "$worker"
job https_stall "{from: \"$url/big.csv\", ca: tls/ca.pem, deadline: 3s, stall: 1s}"
fetch https_stall 5
kill -CONT "$worker"
# It changed between two tries: what is there now comes whole.
mkdir -p "$spool"
head -c 100000 changed.csv >"$spool/.big.csv.part"
printf '100000 %s -1 "another-etag"\n' "$size" >"$spool/.big.csv.mark"
job https_changed "{from: \"$url/big.csv\", $base}"
fetch https_changed 0 'once more from its beginning'
there big.csv big.csv
empty
stop_all

[ $failed -eq 0 ] && echo "fetch does what it says"
exit $failed
