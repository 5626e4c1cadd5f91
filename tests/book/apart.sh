#!/bin/sh
# tests/book/apart.sh TIEOUT: open records that pass by the run: the same outputs and state to the byte as when all are fed to it, however many
# workers there are; damage is seen; other rules, and nothing passes by.
set -eu
tieout=$(realpath "$1")
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
. "$root/tests/book/common.sh"

mkdir -p fed/local fed/bill
job A 4 | sed 's/^output/aggregate: {by: [status]}\noutput/' >fed/a.yaml
"$tieout" check fed/a.yaml >/dev/null 2>&1 || job A 4 >fed/a.yaml
# Both sides open many; twins without an id, cells that need quotes, amounts of 0 and below, two of one order; each day ends some, and the
# next day's rows meet some of the first's.
day() { # DAY
    awk -v d="$1" 'BEGIN {
        l = "fed/local/A-2026-11-0" d ".csv"; b = "fed/bill/A-2026-11-0" d ".csv"
        print "order_no,amount,status" >l
        print "trade_no,order_no,amount,status" >b
        for (i = 0; i < 1500; i++) {
            o = "o" d "-" i
            if (i % 3 == 0) printf "%s,%d.%02d,SUCCESS\n", o, i, i % 100 >l
            if (i % 3 == 1) printf "t%s,%s,-%d.%02d,SUCCESS\n", o, o, i % 7, i % 100 >b
            if (i % 3 == 2) { printf "%s,1.00,SUCCESS\n", o >l; printf "t%s,%s,1.00,SUCCESS\n", o, o >b }
            if (i % 50 == 0) printf "%s,%d.%02d,SUCCESS\n", o, i, i % 100 >l
            if (i % 70 == 0) printf "\"q\"\"%s, x\",2.00,FAILED\n", o >l
            if (d > 1 && i % 30 == 0) printf "t%s,o%d-%d,%d.%02d,SUCCESS\n", o, d - 1, i, i, i % 100 >b
            if (d > 1 && i % 31 == 1) printf "o%d-%d,3.00,SUCCESS\n", d - 1, i >l
        }
    }'
}
for d in 1 2 3 4 5 6; do day $d; done
t task init --date=2026-11-01 --jobs=fed 2>/dev/null
cp -a fed one
cp -a fed four
for d in 1 2 3 4 5 6; do
    for b in fed one four; do
        [ $d = 1 ] || t task init --date=2026-11-0$d --jobs=$b 2>/dev/null
        case $b in
        fed) apart=1000000000 threads=2 ;;
        one) apart=1 threads=1 ;;
        four) apart=1 threads=4 ;;
        esac
        t task run --jobs=$b --carry-apart=$apart --threads=$threads >said 2>&1 || [ $? -eq 1 ] || { cat said; exit 1; }
    done
done
sums() { (cd "$1" && find out state/suspense state/verdicts -type f ! -name stats.json | sort | xargs sha256sum); }
sums fed >want
for b in one four; do
    sums $b >got
    if ! diff want got; then
        echo "FAILED: $b: what passes by the run is not what is fed to it"
        failures=$((failures + 1))
    fi
    expect 0 'all agree' t verify --jobs=$b
done
[ "$(grep -c carried fed/out/A/2026-11-06/suspense.csv)" -gt 500 ] || { echo "FAILED: too little is carried for this test"; failures=$((failures + 1)); }

# damage: the rows of those that nobody looks at, and the prints by which they are known
day 7
cp fed/local/A-2026-11-07.csv one/local/
cp fed/bill/A-2026-11-07.csv one/bill/
t task init --date=2026-11-07 --jobs=one 2>/dev/null
for what in open open-prints; do
    rm -rf hurt
    cp -a one hurt
    file=hurt/state/suspense/000006-r1-$what-local.csv
    size=$(stat -c %s "$file")
    printf '\377' | dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
    expect 6 'is damaged' t task run --jobs=hurt --carry-apart=1
    [ ! -e hurt/out/A/2026-11-07 ] || { echo "FAILED: $what: something was published"; failures=$((failures + 1)); }
    rm -rf hurt
    cp -a one hurt
    rm "hurt/state/suspense/000006-r1-$what-channel.csv"
    expect 6 'missing' t task run --jobs=hurt --carry-apart=1
done

# other rules: who meets whom is asked anew
rm -rf hurt
cp -a one hurt
sed 's/compare: \[status\]/compare: []/' one/a.yaml >hurt/a.yaml
cp -a hurt same
expect 1 '1 task done' t task run --jobs=hurt --carry-apart=1
expect 1 '1 task done' t task run --jobs=same --carry-apart=1000000000
sums hurt >want
sums same >got
diff want got || { echo "FAILED: other rules"; failures=$((failures + 1)); }
finish 'what passes by is as what is fed'
