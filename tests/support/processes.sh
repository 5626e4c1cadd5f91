# tests/support/processes.sh: waiting for what others do, and ports; sourced by tests. Nothing here goes by the clock: a limit is minutes, which only
# something broken needs.

# Whether PID, a child of ours, has ended. `kill -0` would not tell: it finds an ended one too until it is waited for.
has_ended() # PID
{
    read -r process <"/proc/$1/stat" || return 0
    process=${process##*) }
    [ "${process%% *}" = Z ]
} 2>/dev/null

# wait_until WHAT COMMAND...: asks again and again until COMMAND succeeds. After ten minutes it says so and fails.
wait_until()
{
    awaited=$1
    shift
    began_to_wait=$(date +%s)
    until "$@"; do
        [ $(($(date +%s) - began_to_wait)) -lt 600 ] || { echo "waited in vain until $awaited" >&2; return 1; }
        sleep 0.05
    done
}

# hold_ports COUNT: $ports, ports of 127.0.0.1 that are ours until release_ports. They are bound and not listened on: nobody else is given one,
# neither a server nor somebody's end of a connection, and a server of ours may listen there, stop and come back. $work is the test's.
holders=
hold_ports()
{
    rm -f "$work/held"
    mkfifo "$work/held"
    python3 -S -E -c 'import signal, socket, sys
held = [socket.socket() for n in range(int(sys.argv[1]))]
for s in held:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held), flush=True)
signal.pause()' "$1" >"$work/held" &
    holders="$holders $!"
    read -r ports <"$work/held"
}

release_ports()
{
    for holder in $holders; do
        kill "$holder" 2>/dev/null || true
        wait "$holder" 2>/dev/null || true
    done
    holders=
}
