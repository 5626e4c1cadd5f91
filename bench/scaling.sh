#!/bin/sh
# bench/scaling.sh: what a row costs over threads and over the size of the day.
#
#     bench/scaling.sh [--rows=1000000,3000000,10000000] [--threads=1,2,4] [--runs=5] [--orders=time,shuffled] [--build=DIR]
#                      [--work=DIR] [--data=DIR] [--results=FILE]
#
# The runs are those of whole_day.sh, breaks only. Flat is good: the cost of a row should not grow with the day. More threads
# than cores must not cost much; fewer must not cost more a row. --rows=...,30000000 takes 8 GB of disk and memory.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
sizes=--rows=1000000,3000000,10000000 threads=--threads=1,2,4 work=${TMPDIR:-/tmp}/tieout-days results=''
rest=
for arg in "$@"; do
    case $arg in
    --rows=*) sizes=$arg ;;
    --threads=*) threads=$arg ;;
    --work=*) work=${arg#*=} ;;
    --results=*) results=${arg#*=} ;;
    --runs=* | --orders=* | --build=* | --data=*) rest="$rest $arg" ;;
    *)
        echo "scaling.sh: unknown option $arg; the options are at the top of $0" >&2
        exit 2
        ;;
    esac
done
results=${results:-$work/scaling.tsv}
# shellcheck disable=SC2086 # words on purpose
sh "$here/whole_day.sh" "$sizes" "$threads" --write=breaks --work="$work" --results="$results" $rest

# Beside one thread and beside the smallest day.
awk -F'\t' "$(cat "$here/median.awk")"'
    /^#/ || $13 != "ok" { next }
    {
        wall[$2, $1, $3] = wall[$2, $1, $3] " " $7
        cpu[$2, $1, $3] = cpu[$2, $1, $3] " " ($8 + $9)
        if (!($2 in orders)) { orders[$2] = 1; order[++order_count] = $2 }
        if (!($1 in sizes)) { sizes[$1] = 1; size[++size_count] = $1 }
        if (!($3 in threads)) { threads[$3] = 1; thread[++thread_count] = $3 }
    }
    END {
        print "\n| order | threads | rows a side | ns of wall time a row | beside the smallest day | speed beside one thread | ns of user+sys a row | beside the smallest day |"
        print "|---|---|---|---|---|---|---|---|"
        for (o = 1; o <= order_count; o++)
            for (t = 1; t <= thread_count; t++)
                for (s = 1; s <= size_count; s++) {
                    k = order[o] SUBSEP size[s] SUBSEP thread[t]
                    if (!(k in wall)) continue
                    cost = median(wall[k]) * 1e9 / (2 * size[s])
                    first = order[o] SUBSEP size[1] SUBSEP thread[t]
                    one = order[o] SUBSEP size[s] SUBSEP 1
                    busy = median(cpu[k]) * 1e9 / (2 * size[s])
                    printf "| %s | %s | %d | %.0f | %s | %s | %.0f | %s |\n", order[o], thread[t], size[s], cost,
                        first in wall ? sprintf("%.2f", cost / (median(wall[first]) * 1e9 / (2 * size[1]))) : "-",
                        one in wall ? sprintf("%.2f", median(wall[one]) / median(wall[k])) : "-", busy,
                        first in wall ? sprintf("%.2f", busy / (median(cpu[first]) * 1e9 / (2 * size[1]))) : "-"
                }
    }' "$results"
