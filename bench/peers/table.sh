#!/bin/sh
# bench/peers/table.sh: the table of a results file that run.sh wrote.
#
#     bench/peers/table.sh RESULTS.tsv
#
# Medians over the runs that count. The ratio is DuckDB's best plan over the peer, the memory the peer over that plan's.
set -eu
awk -F'\t' "$(cat "$(dirname -- "$0")/../median.awk")"'
    /^# rows/ { next }
    /^#/ { print substr($0, 3); next }
    {
        place = $1 SUBSEP $2 SUBSEP $3
        if (!(place in known)) { known[place] = 1; places[++place_count] = place }
        id = place SUBSEP $4
        if (!(id in seen)) { seen[id] = 1; order[place] = order[place] " " $4 }
        if ($13 != "ok") { bad[id]++; next }
        n[id]++
        seconds[id] = seconds[id] " " $6
        cpu[id] = cpu[id] " " ($8 + $9)
        rss[id] = rss[id] " " $10
        if (load[id] == "" || $12 > load[id]) load[id] = $12
        if (low[id] == "" || $6 + 0 < low[id]) low[id] = $6 + 0
        if ($6 + 0 > high[id]) high[id] = $6 + 0
    }
    END {
        for (p = 1; p <= place_count; p++) {
            split(places[p], part, SUBSEP)
            count = split(substr(order[places[p]], 2), peers, " ")
            best = ""
            for (i = 1; i <= count; i++)
                if (peers[i] ~ /^duckdb(-minmax|-enum|-join)?$/) {
                    id = places[p] SUBSEP peers[i]
                    if (n[id] && (best == "" || median(seconds[id]) < median(seconds[best]))) best = id
                }
            printf "\n%s rows a side, order %s, %s\n\n", part[1], part[2], part[3] == "all" ? "all keys written" : "only breaks written"
            print "| peer | seconds (median) | fastest to slowest | user+sys s | peak RSS MB | DuckDB / peer | peer RSS / DuckDB | highest load before | runs |"
            print "|---|---|---|---|---|---|---|---|---|"
            for (i = 1; i <= count; i++) {
                id = places[p] SUBSEP peers[i]
                if (!n[id]) { printf "| %s | none of %d runs counts | | | | | | | 0 |\n", peers[i], bad[id]; continue }
                ratio = share = "-"
                if (best != "") {
                    ratio = sprintf("%.2f", median(seconds[best]) / median(seconds[id]))
                    share = sprintf("%.3f", median(rss[id]) / median(rss[best]))
                }
                printf "| %s | %.2f | %.2f to %.2f | %.2f | %.0f | %s | %s | %s | %d%s |\n", peers[i], median(seconds[id]), low[id], high[id],
                    median(cpu[id]), median(rss[id]) / 1000, ratio, share, load[id], n[id], bad[id] ? " of " (n[id] + bad[id]) : ""
            }
        }
    }' "$1"
