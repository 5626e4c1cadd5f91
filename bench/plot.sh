#!/bin/sh
# bench/plot.sh: an SVG of results files that bench/peers/run.sh wrote; bars of medians, one group for each order.
#
#     bench/plot.sh RESULTS.tsv... >bench/peers.svg
set -eu
[ $# -ge 1 ] || {
    echo "usage: plot.sh RESULTS.tsv... >FILE.svg" >&2
    exit 2
}
awk -F'\t' "$(cat "$(dirname -- "$0")/median.awk")"'
    function text(x, y, anchor, class, what) {
        printf "  <text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">%s</text>\n", x, y, anchor, class, what
    }
    function million(rows) {
        return rows % 1000000 ? rows : rows / 1000000 " million"
    }
    /^#/ || $13 != "ok" { next }
    {
        group = $1 SUBSEP $2 SUBSEP $3
        if (!(group in groups)) { groups[group] = ""; name[++group_count] = group }
        id = group SUBSEP $4
        if (!(id in seconds)) { groups[group] = groups[group] " " $4; bars++ }
        seconds[id] = seconds[id] " " $6
        rss[id] = rss[id] " " $10
    }
    END {
        label = 130; width = 520; right = 190; bar = 18; step = 24; head = 34; gap = 18
        height = 20 + group_count * (head + gap) + bars * step
        total = label + width + right
        for (id in seconds) {
            m = median(seconds[id])
            if (m > most) most = m
        }
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", total, height, total, height
        print "  <style>text { font: 13px sans-serif; fill: #222 } .head { font-weight: bold } .small { font-size: 12px; fill: #555 } .ours { fill: #1b7f5c } .theirs { fill: #9aa7b4 }</style>"
        printf "  <rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", total, height
        y = 16
        for (g = 1; g <= group_count; g++) {
            split(name[g], k, SUBSEP)
            count = split(substr(groups[name[g]], 2), peer, " ")
            for (i = 2; i <= count; i++) # the fastest first
                for (j = i; j > 1 && median(seconds[name[g], peer[j]]) < median(seconds[name[g], peer[j - 1]]); j--) {
                    t = peer[j]; peer[j] = peer[j - 1]; peer[j - 1] = t
                }
            text(12, y + 14, "start", "head", million(k[1]) " rows a side, order " k[2] ", " (k[3] == "all" ? "all keys written" : "only breaks written"))
            y += head
            for (i = 1; i <= count; i++) {
                s = median(seconds[name[g], peer[i]])
                w = width * s / most
                text(label - 8, y + 14, "end", "", peer[i])
                printf "  <rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" class=\"%s\"/>\n", label, y, w, bar, peer[i] ~ /^tieout/ ? "ours" : "theirs"
                text(label + w + 6, y + 14, "start", "small", sprintf("%.2f s, %.0f MB", s, median(rss[name[g], peer[i]]) / 1000))
                y += step
            }
            y += gap
        }
        print "</svg>"
    }' "$@"
