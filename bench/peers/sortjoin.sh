#!/bin/sh
# bench/peers/sortjoin.sh: the reconciliation with cut, sort and join, as one types it in a shell.
#
#     sh sortjoin.sh DAY OUT MODE THREADS      (as duckdb.js)
#
# Right only for files without quotes, like gen's.
set -eu
day=$1 out=$2 mode=$3 threads=$4
export LC_ALL=C
mkdir -p "$out/tmp"
key_first() # FILE CHANNEL ORDER AMOUNT STATUS: column numbers
{
    tail -n +2 "$1" | awk -F, -v OFS=, -v c="$2" -v o="$3" -v a="$4" -v s="$5" '{ print $c "/" $o, $a, $s }' |
        sort -t, -k1,1 --parallel="$threads" -S 40% -T "$out/tmp"
}
key_first "$day/local.csv" 1 3 9 11 >"$out/tmp/local" &
key_first "$day/channel.csv" 1 2 8 10 >"$out/tmp/channel"
wait
# A doubled key comes out of join once per pair, one after the other.
join -t, -a1 -a2 -e '' -o 0,1.2,2.2,1.3,2.3 "$out/tmp/local" "$out/tmp/channel" | awk -F, -v OFS=, -v all="$([ "$mode" = all ] && echo 1)" '
    function show() {
        class = doubled ? "doubled" : ra == "" ? "missing" : la == "" ? "extra" : la == ra && ls == rs ? "match" : "mismatch"
        if (all || class != "match")
            print key, la, ra, ls, rs, class
    }
    BEGIN { print "key,la,ra,ls,rs,class" }
    $1 == key { doubled = 1; next }
    NR > 1 { show() }
    { key = $1; la = $2; ra = $3; ls = $4; rs = $5; doubled = 0 }
    END { if (NR) show() }' >"$out/result.csv"
rm -r "$out/tmp"
