#!/bin/sh
# bench/push.sh [--errors=N] [--build=DIR] [--nsqd=PATH]: errors a second to each kind of sink, on loopback, and what a book with N errors
# costs. One line a measurement. nsqd: TIEOUT_NSQD or --nsqd; without one, the tests' strict server takes its place and the line says so.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
errors=100000 build=$root/build/release nsqd=${TIEOUT_NSQD:-}
for word in "$@"; do
    case $word in
    --errors=*) errors=${word#*=} ;;
    --build=*) build=${word#*=} ;;
    --nsqd=*) nsqd=${word#*=} ;;
    *) echo "usage: bench/push.sh [--errors=N] [--build=DIR] [--nsqd=PATH]" >&2 && exit 2 ;;
    esac
done
tieout=$build/cli/tieout make_book=$build/tests/push/push_make_book kafka_mock=$build/tests/push/push_kafka_mock
work=$(mktemp -d)
# shellcheck source=tests/support/processes.sh
. "$root/tests/support/processes.sh"
# shellcheck source=tests/fetch/servers.sh
. "$root/tests/fetch/servers.sh"
trap 'stop_all; release_ports; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export HOOK_SECRET=bench-secret

mkdir "$work/book"
echo 'version: 1' >"$work/book/book.yaml"
"$make_book" "$work/book/state" "$errors" | sed "s/^/commit:   /"
echo "commit:   $(stat -c %s "$work/book/state/state.db" | awk -v n="$errors" '{ printf "%.0f bytes of state.db an error", $1 / n }')"

# measure NAME SETTINGS: all errors to one sink.
measure()
{
    rm -rf "$work/run"
    cp -r "$work/book" "$work/run"
    printf 'version: 1\npush: {sinks: {it: {%s}}}\n' "$2" >"$work/run/book.yaml"
    python3 - "$tieout" "$work/run" "$1" "$errors" <<'END'
import resource, subprocess, sys, time
from_ = time.monotonic()
code = subprocess.call([sys.argv[1], "push", "--jobs=" + sys.argv[2]], stderr=subprocess.DEVNULL)
took = time.monotonic() - from_
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if code:
    sys.exit(f"{sys.argv[3]}: exit {code}")
print(f"{sys.argv[3]:9} {int(sys.argv[4]) / took:8.0f} errors/s ({took:.2f} s; {used.ru_utime + used.ru_stime:.2f} s of CPU; {used.ru_maxrss // 1024} MB peak)")
END
}

measure file: 'file: out.jsonl'
measure csv: 'file: out.csv, format: csv'

hold_ports 3
read -r port tcp http <<END
$ports
END
mkdir -p "$work/nginx"
cat >"$work/nginx.conf" <<END
daemon off;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    keepalive_requests 10000000;
    server { listen 127.0.0.1:$port; location / { return 200 "{}"; } }
}
END
nginx=$(command -v nginx || echo /usr/sbin/nginx)
"$nginx" -c "$work/nginx.conf" >/dev/null 2>&1 &
pids="$pids $!"
wait_for_port "$port" nginx $!
measure webhook: "webhook: \"http://127.0.0.1:$port/\", secret: env:HOOK_SECRET"
measure webhook8: "webhook: \"http://127.0.0.1:$port/\", secret: env:HOOK_SECRET, parallel: 8"

if [ -n "$nsqd" ]; then
    mkdir "$work/nsqd"
    "$nsqd" "-tcp-address=127.0.0.1:$tcp" "-http-address=127.0.0.1:$http" -log-level=error -data-path "$work/nsqd" >/dev/null 2>&1 &
    pids="$pids $!"
    wait_for_port "$tcp" nsqd $!
    measure nsq: "nsq: \"127.0.0.1:$tcp\", topic: errors"
    measure nsqhttp: "nsq: \"http://127.0.0.1:$http\", topic: errors"
else
    mkfifo "$work/port"
    python3 "$root/tests/push/peers.py" nsq /dev/null >"$work/port" 2>/dev/null &
    pids="$pids $!"
    read -r tcp <"$work/port"
    echo "nsq:      no nsqd here; the tests' server instead"
    measure nsq: "nsq: \"127.0.0.1:$tcp\", topic: errors"
fi

if [ -x "$kafka_mock" ]; then
    mkfifo "$work/brokers" "$work/hold"
    "$kafka_mock" <"$work/hold" >"$work/brokers" 2>/dev/null &
    pids="$pids $!"
    exec 8>"$work/hold"
    read -r brokers <"$work/brokers"
    measure kafka: "kafka: \"$brokers\", topic: errors"
    exec 8>&-
fi

# A sink at 10 a second: what waits is in the database, not in memory.
rm -rf "$work/run"
cp -r "$work/book" "$work/run"
printf 'version: 1\npush: {sinks: {slow: {file: out.jsonl, rate: 10}}}\n' >"$work/run/book.yaml"
python3 - "$tieout" "$work/run" "$errors" <<'END'
import os, resource, signal, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "push", "--jobs=" + sys.argv[2]], stderr=subprocess.DEVNULL)
while not os.path.exists(sys.argv[2] + "/out.jsonl") and p.poll() is None:
    time.sleep(0.01)
time.sleep(5 if int(sys.argv[3]) > 1000 else 0.5)
p.send_signal(signal.SIGTERM)
p.wait()
sent = sum(1 for _ in open(sys.argv[2] + "/out.jsonl"))
print(f"rate:     {sent} of {sys.argv[3]} errors at 10 a second, then stopped; {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB peak")
END
