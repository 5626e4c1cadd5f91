#!/bin/sh
# cli/deps.sh: the Debian packages that tieout needs, named here and nowhere else.
#
#     sh cli/deps.sh build test     installs what is missing of these groups (without a group: build)
#     sh cli/deps.sh --list build   prints the names
#     . cli/deps.sh                 then deps_names, deps_missing, deps_install GROUP...
#
# Asks dpkg first; where everything is there, nothing is downloaded and nobody needs to be root.

# A group's packages, one a line. build: to compile tieout and run the sample day. test: to run all tests. bench: the peers
# that bench/ compares with. fuzz: for long fuzzing sessions; replaying their finds needs `test` only.
deps_names()
{
    for deps_group in "$@"; do
        case $deps_group in
        build)
            printf '%s\n' cmake ninja-build gcc g++ make pkg-config libc6-dev \
                liburing-dev libjemalloc-dev libxxhash-dev zlib1g-dev libfyaml-dev libjansson-dev libssl-dev libzstd-dev libsqlite3-dev \
                libzip-dev libisal-dev libmariadb-dev libcurl4-openssl-dev libexpat1-dev librdkafka-dev \
                libbenchmark-dev tzdata ca-certificates
            ;;
        test)
            printf '%s\n' clang clang-format libclang-rt-14-dev llvm-14 mariadb-server-core mariadb-client \
                strace sqlite3 gzip zip zstd openssl openssh-server openssh-client vsftpd nginx-light curl python3
            ;;
        peers | bench)
            printf '%s\n' sqlite3 mawk coreutils valgrind linux-perf time
            # Debian's npm conflicts with a node from elsewhere: one that is there will do.
            command -v node >/dev/null 2>&1 || echo nodejs
            command -v npm >/dev/null 2>&1 || echo npm
            ;;
        fuzz)
            printf '%s\n' afl++ clang llvm-14 libclang-rt-14-dev
            ;;
        *)
            echo "deps.sh: there is no group \"$deps_group\"; the groups are build test bench fuzz" >&2
            return 2
            ;;
        esac
    done
}

# Those of them that are not installed.
deps_missing()
{
    deps_wanted=$(deps_names "$@") || return 2
    # shellcheck disable=SC2086 # one word per package
    deps_there=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $deps_wanted 2>/dev/null | sed -n 's/^installed //p')
    for deps_package in $deps_wanted; do
        case "
$deps_there
" in
        *"
$deps_package
"*) ;;
        *) echo "$deps_package" ;;
        esac
    done | sort -u
}

deps_install()
{
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "deps.sh: this is not Debian; install what fits these names by hand:" >&2
        deps_names "$@" | tr '\n' ' ' >&2
        echo >&2
        return 5
    fi
    deps_list=$(deps_missing "$@") || return 2
    if [ -z "$deps_list" ]; then
        return 0
    fi
    deps_list=$(printf '%s' "$deps_list" | tr '\n' ' ')
    echo "deps.sh: installing $deps_list" >&2
    deps_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "deps.sh: as root: apt-get install $deps_list" >&2
            return 5
        fi
        deps_root=sudo
    fi
    # shellcheck disable=SC2086 # one word per package
    if ! { $deps_root apt-get -q update &&
        $deps_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $deps_list; } >&2; then
        echo "deps.sh: apt-get failed; is there a network, and is this Debian 12?" >&2
        return 5
    fi
}

# Run as a program, not sourced.
case ${0##*/} in
deps.sh)
    set -eu
    case ${1:-} in
    --list)
        shift
        deps_names "${@:-build}"
        ;;
    -*)
        echo "usage: sh cli/deps.sh [--list] [build] [test] [bench] [fuzz]" >&2
        exit 2
        ;;
    *)
        deps_install "${@:-build}"
        ;;
    esac
    ;;
esac
