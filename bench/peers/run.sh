#!/bin/sh
# shellcheck disable=SC1091,SC2034,SC2154 # common.sh sets some of these and uses others
# bench/peers/run.sh: tieout beside others on the same day, in one session.
#
#     bench/peers/run.sh [--rows=1000000] [--runs=5] [--orders=time,shuffled] [--mode=breaks|all]
#                        [--peers=tieout,duckdb,...] [--threads=2] [--limit=300] [--build=DIR] [--data=DIR] [--work=DIR]
#                        [--results=FILE] [--fresh]
#
# Peers: tieout tieout-MEMORY duckdb duckdb-minmax duckdb-enum duckdb-join duckdb-MEMORY polars chdb chdb-merge sortjoin sqlite,
# where MEMORY is a limit like 512MB or 256MiB. Without --peers: all but the variants; above two million rows without
# sortjoin and sqlite, which take minutes then.
#
# Makes the day (seed 1) where --data does not hold it, installs the peers from npm into --work (never into the repository),
# and runs them one after the other, --runs times over. Before each run both files are read until they are in memory. A
# run whose counts differ from what gen planted does not count and is said so; tieout's must agree in money too. The
# table has medians; RESULTS keeps every run, one line each, for bench/peers/table.sh and bench/plot.sh.
#
# --fresh: the day's files are copied into --work first, in pieces of 4 MiB, and these are read. A file that was just written so lies
# in the page cache in large pieces; one that was pushed out and read back, page by page. What the kernel takes to copy it differs by
# half, for all peers alike.
#
# tieout runs in the day's folder, as one would by hand: match.csv names both files in each row, so a path of 30 bytes more is 0.6 GB
# more to be written for 10 million rows.
#
# Time: for peers that live in node, from before the engine is opened to when the result is written, by their own clock;
# for tieout, sqlite and sortjoin the whole process. Memory: peak RSS of the process; of sortjoin, its largest child.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
. "$root/bench/common.sh"

rows=1000000 runs=5 orders=time,shuffled mode=breaks peers='' threads=2 limit=300 build='' data='' results='' fresh=0
work=${TMPDIR:-/tmp}/tieout-peers
for arg in "$@"; do
    case $arg in
    --rows=*) rows=${arg#*=} ;;
    --runs=*) runs=${arg#*=} ;;
    --orders=*) orders=${arg#*=} ;;
    --mode=breaks | --mode=all) mode=${arg#*=} ;;
    --peers=*) peers=${arg#*=} ;;
    --threads=*) threads=${arg#*=} ;;
    --limit=*) limit=${arg#*=} ;;
    --build=*) build=${arg#*=} ;;
    --data=*) data=${arg#*=} ;;
    --work=*) work=${arg#*=} ;;
    --results=*) results=${arg#*=} ;;
    --fresh) fresh=1 ;;
    *) bench_fail "unknown option $arg; the options are at the top of $0" ;;
    esac
done
orders=$(echo "$orders" | tr ',' ' ')
if [ -z "$peers" ]; then
    peers=tieout,duckdb,polars,chdb
    if [ "$rows" -le 2000000 ]; then
        peers=$peers,sortjoin,sqlite
    else
        echo "run.sh: sortjoin and sqlite are left out at this size; name them in --peers to wait for them" >&2
    fi
fi
peers=$(echo "$peers" | tr ',' ' ')
data=${data:-$work/day-$rows}
results=${results:-$work/results-$rows-$mode.tsv}
mkdir -p "$work"
work=$(realpath "$work") out=$work/out
bench_build
tieout=$(realpath "$tieout") measure=$(realpath "$measure")

# Installs a package of package.json, at the version that stands there; what goes with it by name as well, since npm
# does not always choose the machine's own binary by itself.
install_package()
{
    [ -d "$work/node_modules/$1" ] && return 0
    command -v npm >/dev/null 2>&1 || return 1
    cp "$here/package.json" "$work/package.json"
    (cd "$work" && npm install --no-audit --no-fund) >"$work/npm.log" 2>&1
    [ -d "$work/node_modules/$1" ]
}

# Why a peer cannot run; nothing when it can.
why_not()
{
    case $1 in
    tieout | tieout-*) ;;
    duckdb | duckdb-*) install_package @duckdb/node-api || echo "npm could not install @duckdb/node-api" ;;
    polars) install_package nodejs-polars || echo "npm could not install nodejs-polars" ;;
    chdb | chdb-merge) install_package chdb || echo "npm could not install chdb" ;;
    sqlite) command -v sqlite3 >/dev/null 2>&1 || echo "sqlite3 is not installed (sh cli/deps.sh bench)" ;;
    sortjoin) command -v join >/dev/null 2>&1 || echo "coreutils are not installed" ;;
    *) echo "there is no such peer" ;;
    esac
}

present=
for peer in $peers; do
    reason=$(why_not "$peer")
    if [ -n "$reason" ]; then
        echo "run.sh: $peer is left out: $reason" >&2
        printf '%s\t%s\n' "$peer" "$reason" >>"$work/left-out.$$"
    else
        present="$present $peer"
    fi
done
[ -n "$present" ] || bench_fail "no peer can run"
export NODE_PATH="$work/node_modules" POLARS_MAX_THREADS="$threads"

# command_of PEER DAY: its command line in "$@" of the caller's eval.
command_of()
{
    case $1 in
    tieout | tieout-*)
        memory=
        [ "$1" != tieout ] && memory="--memory=${1#tieout-}"
        match=
        [ "$mode" = all ] && match=--write-match
        echo "$tieout diff local.csv channel.csv --key=channel_code,biz_order_no --amount=amount --compare=status --threads=$threads --out=$out $memory $match"
        ;;
    duckdb) echo "node $here/duckdb.js $2 $out $mode $threads group" ;;
    duckdb-minmax | duckdb-join | duckdb-enum) echo "node $here/duckdb.js $2 $out $mode $threads ${1#duckdb-}" ;;
    duckdb-*) echo "node $here/duckdb.js $2 $out $mode $threads group ${1#duckdb-}" ;;
    polars) echo "node $here/polars.js $2 $out $mode" ;;
    chdb) echo "node $here/chdb.js $2 $out $mode $threads group" ;;
    chdb-merge) echo "node $here/chdb.js $2 $out $mode $threads merge" ;;
    sqlite | sortjoin) echo "sh $here/$1.sh $2 $out $mode $threads" ;;
    esac
}

planted()
{
    sed -n "s/^ *\"$1\": \([0-9]*\),*\$/\1/p" "$2" | tail -n 1
}

# The right answer in the words of result.csv: mismatch missing extra doubled [match]. Joins tell no doubled keys.
truth_of()
{
    awk -v a="$(planted amount-breaks "$2")" -v s="$(planted status-breaks "$2")" -v m="$(planted missing "$2")" \
        -v e="$(planted extra "$2")" -v d="$(planted doubles "$2")" -v rows="$rows" -v mode="$mode" -v join="$1" 'BEGIN {
        if (join == "duckdb-join" || join == "chdb-merge") {
            match_count = rows - a - s - m + d
            d = 0
        } else {
            match_count = rows - a - s - m - d
        }
        printf "%d %d %d %d %d\n", a + s, m, e, d, mode == "all" ? match_count : 0 }'
}

counts_of()
{
    awk -F, 'NR > 1 { gsub(/"/, "", $NF); c[$NF]++ }
        END { printf "%d %d %d %d %d\n", c["mismatch"], c["missing"], c["extra"], c["doubled"], c["match"] }' "$1"
}

# One run; a line of results.
one_run()
{
    peer=$1 order=$2 run=$3 day=$data/$2
    rm -rf "$out"
    sync # what the run before left to be written or discarded is not this one's
    case $peer in tieout | tieout-*) ;; *) mkdir -p "$out" ;; esac
    # shellcheck disable=SC2046 # words on purpose
    cost=$(cd "$day" && "$measure" --warm="$day/local.csv" --warm="$day/channel.csv" --log="$work/run.log" --limit="$limit" -- $(command_of "$peer" "$day"))
    # shellcheck disable=SC2086
    set -- $cost
    seconds=$1 verdict=ok
    case $peer in
    tieout | tieout-*)
        if [ "$7" != 1 ] && [ "$7" != 0 ]; then
            verdict="exit $7"
        elif ! "$agree" "$day/truth.json" "$out/summary.json" >"$work/agree.log" 2>&1; then
            verdict="other answer"
        fi
        ;;
    *)
        if [ "$7" != 0 ]; then
            verdict="exit $7"
        elif [ "$(counts_of "$out/result.csv")" != "$(truth_of "$peer" "$day/truth.json")" ]; then
            verdict="other answer"
        else
            case $peer in duckdb* | polars | chdb*) seconds=$(tail -n 1 "$work/run.log") ;; esac
        fi
        ;;
    esac
    [ "$verdict" = ok ] || echo "run.sh: $peer, $order, run $run does not count: $verdict ($(tail -n 1 "$work/run.log"))" >&2
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$rows" "$order" "$mode" "$peer" "$run" "$seconds" "$1" "$2" "$3" "$4" "$5" "$6" "$verdict" \
        >>"$results"
    printf '%s %s run %s: %.2f s, %.0f MB, load before %s, %s\n' "$order" "$peer" "$run" "$seconds" "$(($4 / 1000))" "$6" "$verdict" >&2
}

for order in $orders; do
    bench_day "$order" "$rows"
    if [ "$fresh" = 1 ]; then
        mkdir -p "$work/fresh/$order"
        cp "$data/$order/truth.json" "$work/fresh/$order/truth.json"
        for side in local channel; do
            rm -f "$work/fresh/$order/$side.csv"
            dd if="$data/$order/$side.csv" of="$work/fresh/$order/$side.csv" bs=4M conv=fsync 2>/dev/null || bench_fail "no room for a copy of $data/$order/$side.csv in $work"
        done
    fi
done
if [ "$fresh" = 1 ]; then
    data=$work/fresh
fi
data=$(realpath "$data")
printf '# %s, %s threads\n# rows\torder\tmode\tpeer\trun\tseconds\twall\tuser\tsys\trss_kb\twarm_permille\tload\tverdict\n' "$(bench_machine)" "$threads" >"$results"
run=1
while [ "$run" -le "$runs" ]; do
    for order in $orders; do
        for peer in $present; do
            one_run "$peer" "$order" "$run"
        done
    done
    run=$((run + 1))
done
rm -rf "$out" "$work/fresh"
sh "$here/table.sh" "$results"
if [ -f "$work/left-out.$$" ]; then
    echo
    awk -F'\t' '{ print "Left out: " $1 " (" $2 ")" }' "$work/left-out.$$"
    rm "$work/left-out.$$"
fi
echo
echo "every run: $results"
