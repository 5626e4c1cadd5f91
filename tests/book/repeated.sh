#!/bin/sh
# tests/book/repeated.sh TIEOUT: what came on an earlier day and comes again: rows, corrections, partners under a later key, budgets.
set -eu
. "$(dirname -- "$0")/common.sh"

fail() {
    echo "FAILED: $book: $*"
    failures=$((failures + 1))
}
t() { "$tieout" "$@" --jobs="$book"; }
# book NAME [LINES OF match...]: both sides have an id, an order, a second number, an amount, a status and a day.
make() {
    book=$1
    shift
    mkdir -p "$book/in"
    cat >"$book/a.yaml" <<YAML
version: 1
job: a
channel_code: A
timezone: Asia/Shanghai
currency: CNY
local:
  files: "in/l-{date}.csv"
  format: csv
  occurrence_id: id
  fields: {biz_order_no: order_no, channel_order_no: txn, amount: {column: amount, unit: major}, status: status, bill_date: day}
channel:
  files: "in/c-{date}.csv"
  format: csv
  occurrence_id: id
  fields: {biz_order_no: order_no, channel_order_no: txn, amount: {column: amount, unit: major}, status: status, bill_date: day}
match:
  keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]]
  compare: [status]
  window: none
suspense: {threshold: {local: ${thresholds:-1}, channel: ${thresholds:-1}}}
output: {dir: out, match: true}
YAML
    for line in "$@"; do sed -i "s/^match:/&\n  $line/" "$book/a.yaml"; done
}
# rows SIDE DAY id,order,txn,amount[,status[,day]]...
rows() {
    side=$1 day=$2
    shift 2
    {
        echo id,order_no,txn,amount,status,day
        for row in "$@"; do
            echo "$row" | awk -F, -v d="2026-11-0$day" '{print $1","$2","$3","$4","($5==""?"SUCCESS":$5)","($6==""?d:"2026-11-0"$6)}'
        done
    } >"$book/in/$side-2026-11-0$day.csv"
}
day() { # DAY CODE TEXT
    expect 0 made t task init --date=2026-11-0$1
    expect "$2" "$3" t task run
}
has() { # DAY CLASS TEXT
    grep -qF -- "$3" "$book/out/a/2026-11-0$1/$2.csv" || {
        fail "no \"$3\" in $2.csv of day $1:"
        grep . "$book/out/a/2026-11-0$1/"[a-z]*s[a-z]*.csv "$book/out/a/2026-11-0$1/"[dema]*.csv | grep -v ':side,\|:channel_code,\|aggregate' | sort -u
    }
}
not() {
    if grep -qF -- "$3" "$book/out/a/2026-11-0$1/$2.csv"; then fail "\"$3\" in $2.csv of day $1"; fi
}

# ---- a row that an earlier day took in is a duplicate, on either side, whatever became of it ----
make twice
rows l 1 l1,o1,,100; rows c 1 c1,o1,,100
rows l 2 l2,o2,,100; rows c 2 c2,o2,,100 c1,o1,,100,,1
rows l 3 l3,o3,,100 l1,o1,,100,,1; rows c 3 c3,o3,,100 c1,o1,,100,,1
rows l 4 l4,o4,,100 l1,o1,,120,,1; rows c 4 c4,o4,,100
day 1 0 done
day 2 0 'came before, in A/-/2026-11-01/1'
has 2 duplicate 'c1,,repeated'
day 3 0 done
has 3 duplicate 'l1,,repeated'
has 3 duplicate 'c1,,repeated'
not 3 match o1
day 4 1 'other contents'
has 4 ambiguous 'conflict;repeated'
expect 0 'all agree' t verify
# done again: the same, and of the day itself nothing came before
cp -r twice/out before
expect 1 done t task rerun --date=2026-11-02 --cascade
for d in 2 3 4; do
    grep '"digest"' "before/a/2026-11-0$d/summary.json" >one
    grep '"digest"' "twice/out/a/2026-11-0$d/summary.json" >two
    cmp -s one two || fail "day $d done again has another digest"
done
# the file of ids is damaged, or gone
ids=$(ls twice/state/ids/*.ids | head -1)
cp "$ids" kept
rows l 5 l5,o5,,100; rows c 5 c5,o5,,100 c1,o1,,100,,1
hurt() { # BYTE...
    cp kept "$ids"
    for at in "$@"; do flip "$ids" "$at"; done
}
hurt 50 # a short print
expect 6 'is damaged' t verify
hurt 20 64 # an entry of either side
expect 0 made t task init --date=2026-11-05
expect 6 'is damaged' t task run
expect 6 'is damaged' t verify
rm "$ids"
expect 6 'was removed' t task run
cp kept "$ids"
expect 0 done t task run
has 5 duplicate 'c1,,repeated'

# ---- without a date of its own a row is looked for in all the days before; without an id two equal payments are two ----
make undated
sed -i 's/, bill_date: day//' undated/a.yaml
rows l 1 l1,o1,,100 ,o7,,5; rows c 1 c1,o1,,100 ,o7,,5
rows l 2 ,o7,,5; rows c 2 ,o7,,5
rows l 3 l3,o3,,100; rows c 3 c1,o1,,100 c3,o3,,100
day 1 0 done
day 2 0 done
has 2 match o7
day 3 0 'came before, in A/-/2026-11-01/1'
has 3 duplicate 'c1,,repeated'
make mixed # some rows say their date, the same ones on another day do not, either way round
rows l 1 l1,o1,,100 l2,o2,,7; rows c 1 c1,o1,,100
echo 'c2,o2,,7,SUCCESS,' >>mixed/in/c-2026-11-01.csv
rows l 2 l3,o3,,9; rows c 2 c3,o3,,9 c2,o2,,7,,1
echo 'c1,o1,,100,SUCCESS,' >>mixed/in/c-2026-11-02.csv
day 1 0 done
day 2 0 'came before, in A/-/2026-11-01/1'
has 2 duplicate 'c1,,repeated'
has 2 duplicate 'c2,,repeated'
make off
printf 'ids: {keep: 0}\n' >>off/a.yaml
rows l 1 l1,o1,,100; rows c 1 c1,o1,,100
rows l 2 l2,o2,,100; rows c 2 c2,o2,,100 c1,o1,,100,,1
day 1 0 done
day 2 0 done
has 2 suspense 'c1,,'

# ---- still open: the carried one stays and gets old; without its first key a row is known by its others ----
make open
rows l 1 l1,o1,,100; rows c 1 c0,,t0,5
rows l 2 l1,o1,,100,,1 l2,o2,,7; rows c 2 c0,,t0,5,,1 c2,o2,,7
day 1 0 done
day 2 1 done
has 2 duplicate 'l1,,repeated'
has 2 duplicate 'c0,,repeated'
has 2 missing 'l1,,carried'
has 2 extra 'c0,,carried'

# ---- in a large file a few rows are looked for one by one, many beside each other ----
make large
many() { # SIDE DAY
    awk -v s="$1" 'BEGIN { print "id,order_no,txn,amount,status,day"; for (i = 1; i <= 20000; i++) print s i ",o" i ",,1,SUCCESS,2026-11-01" }' >"$book/in/$1-2026-11-0$2.csv"
}
many l 1
many c 1
for side in l c; do rows $side 2 "${side}1,o1,,1,,1" "${side}777,o777,,1,,1" "${side}20000,o20000,,1,,1" "${side}20001,o20001,,1,,1" "${side}5,o5,,2,,1"; done
day 1 0 done
day 2 1 '3 records of the channel side came before'
for id in l1 l777 l20000 c1 c777 c20000; do has 2 duplicate ",$id,,repeated"; done
has 2 ambiguous ',l5,'
has 2 match o20001
[ "$(wc -l <"$book/out/a/2026-11-02/match.csv")" -eq 2 ] || fail 'what came before was matched again'
many l 3
many c 3
echo l20002,o20002,,1,SUCCESS,2026-11-03 >>"$book/in/l-2026-11-03.csv"
echo c20002,o20002,,1,SUCCESS,2026-11-03 >>"$book/in/c-2026-11-03.csv"
day 3 0 done
[ "$(wc -l <"$book/out/a/2026-11-03/duplicate.csv")" -eq 40001 ] || fail 'a whole day that comes again is not known'
[ "$(wc -l <"$book/out/a/2026-11-03/match.csv")" -eq 2 ] || fail 'a whole day that comes again was matched again'

# ---- a row that comes again with another stated date: known, unless the job says that its numbers begin anew; and somebody is told ----
for any in false default true; do
    thresholds=1 make dates-$any "" 2>/dev/null
    [ $any = default ] || sed -i "s/^suspense:/ids: {any_date: $any}\n&/" "$book/a.yaml"
    rows l 1 l1,o1,,100; rows c 1 c1,o1,,100
    rows l 2 l2,o1,,100; rows c 2 c1,o1,,100
    rows l 3; rows c 3 c1,o1,,90
    day 1 0 done
    expect 0 made t task init --date=2026-11-02
    expect 0 done t task run
    if [ $any != false ]; then
        has 2 duplicate 'c1,,repeated'
        has 2 suspense 'l2,'
        expect 0 'ids.other_date' t status
        expect 0 '1 of the channel side came before under another bill date' t status
        expect 0 made t task init --date=2026-11-03
        expect 1 'came before' t task run
        has 3 ambiguous 'c1,'
        has 3 missing 'l2,'
        t status >said 2>&1 || :
        ! grep -q ids.other_date said || fail "the alarm stands behind a day that gave no cause"
    else
        has 2 match 'A,o1'
    fi
    expect 0 'all agree' t verify
done

# ---- without any key (a fee, interest): by its id alone, on either side, whatever became of it ----
for thresholds in 0 2; do
    make keyless$thresholds
    rows l 1 i1,,,3; rows c 1 f1,,,5 f2,,,6
    rows l 2 l2,o2,,7 i1,,,3,,1; rows c 2 c2,o2,,7 f1,,,5,,1 f2,,,8,,1
    rows l 3 l3,o3,,7; rows c 3 c3,o3,,7 f1,,,5,,1 f1,,,5
    day 1 $((thresholds == 0)) done
    day 2 1 'came before, in A/-/2026-11-01/1'
    has 2 duplicate 'i1,,repeated'
    has 2 duplicate 'f1,,repeated'
    has 2 ambiguous 'conflict;repeated'
    not 2 extra 'f1,'
    not 2 missing 'i1,'
    day 3 1 done
    has 3 duplicate 'f1,,repeated'
    [ "$(grep -c f1 "$book/out/a/2026-11-03/duplicate.csv")" -eq 1 ] || fail "a fee of another day is a new one"
    expect 0 'all agree' t verify
done
unset thresholds

# ---- two rows that are alike, without ids, one of them carried: each keeps its own error over a restatement ----
thresholds=2 make alike
rows l 1 l0,z,,1; rows c 1 ,o1,t1,60
rows l 2 la,o1,t1,10 lb,o1,t1,20; rows c 2 ,o1,t1,60,,1 c2,q,t7,7
day 1 0 done
day 2 1 done
t errors list --format=json >said 2>&1
carried=$(grep channel_place said | grep '"reasons":"carried"' | cut -c8-15)
fresh=$(grep channel_place said | grep '"reasons":""' | cut -c8-15)
expect 0 '1 done' t errors resolve "$carried" --reason='asked the channel'
rows l 1 l0,z,,1 l6,o1,t1,60
expect 1 done t task rerun --date=2026-11-01 --cascade
has 1 match 'A,o1,t1'
t errors list --all >said 2>&1
grep "^$carried" said | grep -q reversed || { fail "the error of the row that is matched now stands"; cat said; }
grep "^$fresh" said | grep -q ' open' || { fail "the error of the row that is ambiguous still is gone"; cat said; }
expect 0 'all agree' t verify

# ---- a tolerance budget counts over all days: what the first spent the second has not ----
make budget 'tolerance: {amount: 0.10, budget: 0.10}'
rows l 1 a1,a,,100 b1,b,,100; rows c 1 a2,a,,100.06 b3,b3,,100
rows l 2 c1,c,,1 d1,d,,100; rows c 2 b2,b,,100.06,,1 c2,c,,1 d2,d,,100.06
rows l 3 e1,e,,100,,1; rows c 3 e2,e,,100.01,,1
day 1 0 done
has 1 match tolerance
day 2 1 done
has 2 mismatch '100.00,100.06,0.06,1,SUCCESS,SUCCESS,CNY,2026-11-01' # bill date 1: 0.06 are spent, another 0.06 are too much
has 2 mismatch budget
has 2 match 'A,d,,tolerance'
day 3 1 done
has 3 mismatch 'A,e,,budget' # all after the first that did not fit
# the first day's pair is corrected: its budget is free again, for all days behind it
rows c 1 a2,a,,100 b3,b3,,100
expect 1 done t task rerun --date=2026-11-01 --cascade
has 2 match 'A,b,,tolerance;carried'
has 3 match 'A,e,,tolerance'
expect 0 'all agree' t verify

# ---- a late row that shares only a later key with a final one reopens it ----
thresholds=0 make later
rows l 1 l1,o1,t1,100 l2,o2,t2,7; rows c 1 c0,z,,5
rows l 2 z2,z2,,1; rows c 2 c1,,t1,100 cz,z2,,1
rows l 3 l3,,t9,1; rows c 3 c3,o9,t2,7
rows l 4; rows c 4 c4,,t7,100
day 1 1 done
has 1 missing l1
day 2 0 done
has 2 match 'A,o1,t1,day_cut;late,100.00,100.00,0.00,2'
day 3 1 done
has 3 match 'A,o2,t2,day_cut;late,7.00,7.00,0.00,2'
has 3 missing l3
day 4 1 done
has 4 extra c4
t errors list >said 2>&1
grep -q 'o1\|o2' said && { fail "errors of reopened records stand"; cat said; }
expect 0 'takes back: missing' t trace o1
expect 0 'all agree' t verify
expect 1 done t task rerun --date=2026-11-01 --cascade
has 2 match 'A,o1,t1,day_cut;late,100.00,100.00,0.00,2'
expect 0 'all agree' t verify

# ---- a mismatch is reopened by whatever shares a key with one of its records ----
thresholds=0 make corrected
rows l 1 l1,o1,,100 l2,o2,t2,50 l3,o3,,9; rows c 1 c1,o1,,90 c2,,t2,40 c3,o3,,8
rows l 2 z,z,,1; rows c 2 c1b,o1,,100 cz,z,,1
rows l 3; rows c 3 c2b,o2,,50
rows l 4 l3b,o3,,8; rows c 4 cy,y,,2
day 1 1 done
has 1 mismatch 'A,o1,,amount,100.00,90.00'
has 1 mismatch 'A,o2,t2,amount,50.00,40.00'
day 2 1 done
has 2 match 'A,o1,,day_cut;late,100.00,100.00'
has 2 extra 'c1,,late'
not 2 mismatch o1
day 3 1 done
has 3 match 'A,o2,t2,day_cut;late,50.00,50.00'
has 3 extra 'c2,,late' # its partner of then is taken, and it shares no key with the newcomer
day 4 1 done
has 4 match 'A,o3,,day_cut;late,8.00,8.00'
has 4 missing 'l3,,late'
expect 0 'takes back: mismatch' t trace o1
expect 0 'all agree' t verify
t errors list >said 2>&1
[ "$(grep -c mismatch said)" -eq 0 ] || { fail "errors of mismatches that were taken back stand"; cat said; }
expect 1 done t task rerun --date=2026-11-01 --cascade
has 3 extra 'c2,,late'
expect 0 'all agree' t verify

# ---- what an earlier key joined no later key takes apart: two days say what the same rows say on one ----
thresholds=0 make joined
rows l 1 l1,o8,,60; rows c 1 c1,o8,t4,40
rows l 2 l2,o5,t4,100; rows c 2
rows l 3 l1b,o8,,40; rows c 3 cz,,t5,1
day 1 1 done
day 2 1 done
has 2 missing 'l2,'
not 2 mismatch o8
not 2 missing 'l1,'
t errors list >said 2>/dev/null
[ "$(grep -c " o8$" said)" -eq 1 ] || { fail "the error of a mismatch that stands is gone"; cat said; }
expect 0 'all agree' t verify
day 3 1 done # the first key still does
has 3 match 'A,o8,t4,day_cut;late,40.00,40.00'
has 3 missing 'l1,,late'
expect 0 'all agree' t verify
thresholds=0 make joined-once
rows l 1 l1,o8,,60 l2,o5,t4,100; rows c 1 c1,o8,t4,40
day 1 1 done
has 1 mismatch 'A,o8,t4,amount,60.00,40.00'
has 1 missing 'l2,'

# ---- a damaged first line of a file of the state is damage, not an input's ----
for attrs in '' 'attrs: {extra: status}'; do
    thresholds=0 make header${attrs:+-attrs}
    [ -z "$attrs" ] || sed -i 's/^  fields: {/&attr: {extra: status}, /' "$book/a.yaml"
    rows l 1; rows c 1 c1,o1,,100
    rows l 2 l1,o1,,100; rows c 2
    day 1 1 done
    expect 0 made t task init --date=2026-11-02
    sed -i '1s/currency/durrency/' "$book"/state/suspense/*final-channel.csv
    expect 6 'is damaged' t task run
    sed -i '1s/durrency/currency/' "$book"/state/suspense/*final-channel.csv
    expect 0 done t task run
done

finish 'what came before: as it should be'
