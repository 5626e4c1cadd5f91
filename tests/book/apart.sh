#!/bin/sh
# tests/book/apart.sh TIEOUT: open records that pass by the run: the same outputs and state to the byte as when all are fed to it, however many
# workers there are; damage is seen; other rules, and nothing passes by.
set -eu
. "$(dirname -- "$0")/common.sh"

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
sums() { (cd "$1" && find out state/suspense state/verdicts -type f ! -name stats.json | sort | xargs sha256sum); }
# same BOOK DAYS: the book's days in three ways: all is fed, what passes by with one worker, and with four. The first stays in BOOK.
same() {
    t task init --date=2026-11-01 --jobs=$1 2>/dev/null
    rm -rf one four
    cp -a $1 one
    cp -a $1 four
    for d in $(seq "$2"); do
        for b in $1 one four; do
            [ "$d" = 1 ] || t task init --date=2026-11-0$d --jobs=$b 2>/dev/null
            case $b in
            $1) apart=1000000000 threads=2 ;;
            one) apart=1 threads=1 ;;
            four) apart=1 threads=4 ;;
            esac
            t task run --jobs=$b --carry-apart=$apart --threads=$threads >said 2>&1 || [ $? -eq 1 ] || { cat said; exit 1; }
        done
    done
    sums $1 >want
    for b in one four; do
        sums $b >got
        if ! diff want got; then
            echo "FAILED: $1, $b: what passes by the run is not what is fed to it"
            failures=$((failures + 1))
        fi
        expect 0 'all agree' t verify --jobs=$b
    done
}

# Rows with all that a record may have: ids, fees of either sign, times with and without a part of a second or none at all, a cut that moves
# some to the next day, days that are stated and disagree, what the job compares besides, money without decimals and with three, cells that a
# spreadsheet would run, empty ones, long ones; columns of the job's own in another order than that of their names.
mkdir -p wide/local wide/bill
cat >wide/w.yaml <<YAML
version: 1
job: W
channel_code: W
timezone: Asia/Shanghai
cut: "23:00"
local:
  files: "local/W-{date}.csv"
  format: csv
  occurrence_id: id
  fields: &fields {biz_order_no: order, channel_order_no: trade, merchant_no: shop, amount: amount, currency: cur, direction: way, fee: fee, status: status, trade_time: at, bill_date: day, attr: {zone: zone, area: area}}
channel:
  files: "bill/W-{date}.csv"
  format: csv
  occurrence_id: id
  fields: {biz_order_no: order, channel_order_no: trade, merchant_no: shop, amount: amount, currency: cur, direction: way, fee: {column: fee, sign: cost}, status: status, trade_time: at, bill_date: day, attr: {zone: zone, area: area}}
match:
  keys: [[channel_code, biz_order_no]]
  compare: [status, zone, area]
  window: none
suspense: {threshold: {local: 4, channel: 3}}
output: {dir: out}
YAML
sed -i 's/&fields //' wide/w.yaml
for d in 1 2 3 4 5; do
    awk -v d=$d 'BEGIN {
        head = "id,order,trade,shop,amount,cur,way,fee,status,at,day,zone,area"
        f[0] = "wide/local/W-2026-11-0" d ".csv"; f[1] = "wide/bill/W-2026-11-0" d ".csv"
        print head >f[0]; print head >f[1]
        split("CNY JPY KWD USD", cur, " ")
        split("12:34:56 23:30:00 00:00:00 22:59:59 23:00:01 12:00:00.5", clock, " ")
        for (i = 0; i < 900; i++) {
            c = cur[1 + i % 4]
            amount = c == "JPY" ? i "" : c == "KWD" ? i ".125" : i ".5"
            fee = i % 5 == 0 ? "" : i % 5 == 1 ? "0.00" : i % 5 == 2 ? "-1" : "2"
            at = i % 11 == 0 ? "" : "2026-11-0" d "T" clock[1 + i % 6] (i % 2 ? "+08:00" : "")
            if (i % 13 == 0) at = "2026-11-0" d " 12:00:00"
            day = i % 17 == 0 ? "" : "2026-11-0" (i % 19 == 0 && d > 1 ? d - 1 : d)
            order = i % 41 == 0 ? "=1+" d i : i % 43 == 0 ? "" : i % 47 == 0 ? "a;b c" d i : "o" d "-" i
            if (i % 53 == 0) order = order "-------------------------------------------------------------------------------- long"
            id = i % 7 == 0 ? "" : "i" d "-" i
            zone = i % 29 == 0 ? "\"z, \"\"1\"\"\"" : i % 31 == 0 ? "@z" : i % 3 ? "z" : ""
            printf "%s,%s,t%d,s%d,%s,%s,%s,%s,%s,%s,%s,%s,%s\n", id, order, i, i % 3, amount, c, i % 4 == 3 ? "OUT" : "IN", fee, i % 37 ? "SUCCESS" : "FAILED", at, day, zone, "a" i % 2 >f[i % 2]
            if (d > 1 && i % 30 == 0)
                printf "x%d-%d,o%d-%d,,,1,%s,IN,,SUCCESS,,2026-11-0%d,,\n", d, i, d - 1, i, c, d >f[(i + 1) % 2]
        }
    }'
done
same wide 5
grep -q date_disagrees wide/out/W/2026-11-05/suspense.csv || { echo "FAILED: no dates disagree in this test"; failures=$((failures + 1)); }

for d in 1 2 3 4 5 6; do day $d; done
same fed 6
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
    flip "$file" $((size / 2))
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
