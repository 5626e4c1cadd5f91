# shellcheck shell=sh disable=SC2154,SC2034,SC1091 # root, build, data, work: of the script that sources this; the others it uses
# bench/common.sh: what the scripts in bench/ share. Sourced with `root` set to the repository.

bench_fail()
{
    echo "${0##*/}: $*" >&2
    exit 2
}

# The release build, or the one that --build names. Sets tieout, agree, measure.
bench_build()
{
    if [ -z "$build" ]; then
        build=$root/build/release
        # shellcheck source=cli/deps.sh
        . "$root/cli/deps.sh"
        deps_install build >&2 || exit 5
        mkdir -p "$build"
        if ! { cmake -G Ninja -C "$root/tests/cache/release.cmake" -S "$root" -B "$build" &&
            cmake --build "$build" --target tieout tieout_agree bench_measure; } >"$build/bench.log" 2>&1; then
            tail -n 40 "$build/bench.log" >&2
            bench_fail "the build failed; all of it is in $build/bench.log"
        fi
    fi
    tieout=$build/cli/tieout agree=$build/fixtures/tieout_agree measure=$build/bench/bench_measure
    for bench_program in "$tieout" "$agree" "$measure"; do
        [ -x "$bench_program" ] || bench_fail "$bench_program is not there; build it, or leave --build out"
    done
}

# bench_day ORDER ROWS: makes $data/ORDER unless it holds a day of that size.
bench_day()
{
    bench_dir=$data/$1
    if ! grep -qs "^ \"rows\": $2,\$" "$bench_dir/truth.json"; then
        mkdir -p "$data"
        rm -f "$bench_dir"/log.* # of the day that was there
        "$tieout" gen --out="$bench_dir" --rows="$2" --order="$1" --seed=1 2>"$work/gen.log" || {
            cat "$work/gen.log" >&2
            bench_fail "gen failed"
        }
    fi
}

# What this is measured on, without names.
bench_machine()
{
    awk -F': *' '/^model name/ { model = $2 } /^processor/ { n++ } END { printf "%d cores, %s", n, model }' /proc/cpuinfo
    awk '/^MemTotal/ { printf ", %.0f GiB", $2 / 1048576 }' /proc/meminfo
    [ -r /etc/os-release ] && (. /etc/os-release && printf ', %s' "$PRETTY_NAME")
    echo
}
