# tests/live/server.sh: real MariaDB servers for tests, sourced. Private folders and sockets, no network, gone at the end.
#
#     . server.sh; servers_begin; server_start 1 [options]; sql 1 <<SQL ...; server_stop 1; (the trap of servers_begin ends all)
#
# Server N has server_id N, its data in $work/dN, its socket $work/sN.
PATH=$PATH:/usr/sbin
export PATH
case $0 in
bench/* | */bench/*) . "$here/../tests/support/processes.sh" ;;
*) . "$here/../support/processes.sh" ;;
esac
servers_begin()
{
    for program in mariadbd mariadb-install-db mariadb mariadb-admin; do
        command -v "$program" >/dev/null || { echo "$program is not there: sh cli/deps.sh test"; exit 1; }
    done
    work=$(mktemp -d)
    servers=
    background=
    trap servers_end EXIT
    trap 'exit 130' INT TERM
    # A server that starts takes away what others have of temporary tables in its folder for such: each has its own.
    mkdir "$work/fresh" "$work/tmp"
    TMPDIR="$work/tmp" mariadb-install-db --no-defaults --datadir="$work/fresh" --user="$(id -un)" --auth-root-authentication-method=normal \
        --skip-test-db >"$work/install.log" 2>&1 || { cat "$work/install.log"; exit 1; }
}

servers_end()
{
    for pid in $background; do
        kill -9 "$pid" 2>/dev/null || true
    done
    for n in $servers; do
        kill -9 "$(cat "$work/pid$n" 2>/dev/null)" 2>/dev/null || true
    done
    release_ports
    wait 2>/dev/null || true
    rm -rf "$work"
}

server_start()
{
    n=$1
    shift
    [ -d "$work/d$n" ] || cp -r "$work/fresh" "$work/d$n"
    mkdir -p "$work/tmp$n"
    mariadbd --no-defaults --user="$(id -un)" --tmpdir="$work/tmp$n" --datadir="$work/d$n" --socket="$work/s$n" --pid-file="$work/pid$n" --skip-networking \
        --server-id="$n" --log-bin="$work/d$n/mysql-bin" --binlog-format=ROW --binlog-row-metadata=FULL --log-slave-updates \
        --sync-binlog=0 --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=64M --max-allowed-packet=64M \
        --innodb-log-file-size=64M --performance-schema=OFF "$@" >>"$work/log$n" 2>&1 &
    server_child=$!
    servers="$servers $n"
    wait_until "server $n answers" answers_or_ended || exit 1
    ! has_ended "$server_child" || { cat "$work/log$n"; exit 1; }
}

answers_or_ended()
{
    mariadb-admin --no-defaults --socket="$work/s$n" --user=root ping >/dev/null 2>&1 || has_ended "$server_child"
}

server_stop()
{
    server_pid=$(cat "$work/pid$1")
    mariadb-admin --no-defaults --socket="$work/s$1" --user=root shutdown >/dev/null 2>&1
    while kill -0 "$server_pid" 2>/dev/null; do sleep 0.05; done
}

sql()
{
    n=$1
    shift
    mariadb --no-defaults --socket="$work/s$n" --user=root --default-character-set=utf8mb4 --max-allowed-packet=64M -BN "$@"
}

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
