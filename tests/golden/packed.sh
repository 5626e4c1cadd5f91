#!/bin/sh
# tests/golden/packed.sh TIEOUT: a bill gives the same digest however it is packed, on any road, and a packed log gives what the
# log gives. Every difference is told; exit 1 when there is one.
set -eu
tieout=$(readlink -f -- "$1")
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
fixtures=$(readlink -f -- "$here/../../fixtures")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
failed=0
# Under a sanitizer a run takes long: every other road there, the other ones with the next packing.
watched=$(grep -c '__asan_init\|__tsan_init' "$tieout" || true)
turn=0
digest() { sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' "$1/summary.json"; }

"$tieout" gen --rows=12000 --seed=7 --out=day 2>gen.log
size=$(wc -c <day/channel.csv)
gzip -nc day/local.csv >local.csv.gz
gzip -nc day/channel.csv >channel.csv.gz
{
    head -c 1000000 day/channel.csv | gzip -n1
    gzip -nc </dev/null
    tail -c +1000001 day/channel.csv | head -c 131072 | gzip -n9
    tail -c +1131073 day/channel.csv | gzip -n
    head -c 777 /dev/zero
} >members.csv.gz
zstd -q -c day/channel.csv >channel.csv.zst
{
    head -c 500000 day/channel.csv | zstd -q -19
    tail -c +500001 day/channel.csv | zstd -q -1
} >frames.csv.zst
(cd day && zip -q ../channel.zip channel.csv && zip -q -0 ../stored.zip channel.csv && zip -q ../both.zip channel.csv local.csv)
zip -q - - <day/channel.csv >streamed.zip
want=
for channel in day/channel.csv channel.csv.gz members.csv.gz channel.csv.zst frames.csv.zst channel.zip stored.zip streamed.zip \
    'both.zip!channel.csv' 'both.zip!*ann*'; do
    turn=$((turn + 1))
    for road in "day/local.csv --threads=1" "local.csv.gz --threads=2" "local.csv.gz --threads=3 --chunk=4096" \
        "both.zip!loc* --threads=2 --chunk=65537 --io=posix"; do
        turn=$((turn + 1))
        [ "$watched" -eq 0 ] || [ $((turn % 2)) -eq 0 ] || continue
        # shellcheck disable=SC2086 # words on purpose
        "$tieout" diff ${road%% *} "$channel" ${road#* } --key=channel_code,biz_order_no --amount=amount --compare=status --out=out \
            >stdout 2>stderr || [ $? -eq 1 ] || {
            echo "$channel, $road: $(grep '^error' stderr)"
            failed=1
            continue
        }
        got=$(digest out)
        want=${want:-$got}
        [ "$got" = "$want" ] || {
            echo "$channel, $road: another digest than the plain bill"
            failed=1
        }
        grep -q "\"bytes\": *$size" out/stats.json out/summary.json || true
        rm -rf out
    done
done

# Places lead into the unpacked bytes: the rows that a place names are those of the plain bill.
for channel in day/channel.csv channel.csv.gz channel.zip; do
    "$tieout" diff day/local.csv "$channel" --key=channel_code,biz_order_no --amount=amount --compare=status --out=out >stdout 2>stderr || true
    sed 's/.*,\([^,]*\)$/\1/; s/^[^:]*:/:/' out/extra.csv >"places.$(basename "$channel")"
    rm -rf out
done
cmp places.channel.csv places.channel.csv.gz || failed=1
cmp places.channel.csv places.channel.zip || failed=1

# Archives of every kind that must be read.
printf 'order,amount,status\nB1,10.00,SUCCESS\nB2,20.50,SUCCESS\nB3,3.00,FAILED\n' >good.csv
for name in one stored descriptor zip64_entry zip64_end gbk utf8 folder sfx 'detail_and_summary.zip!*detail*' 'gbk.zip!业务*.csv' 'folder.zip!d/bill.csv'; do
    case $name in *!*) ;; *) name=$name.zip ;; esac
    "$tieout" diff "$fixtures/archives/$name" good.csv --key=order --amount=amount --out=out >stdout 2>stderr || {
        echo "$name: exit $?: $(grep '^error' stderr)"
        failed=1
    }
    rm -rf out
done

# Several packed bills of one day, and all entries of an archive.
mkdir bills
head -1 day/channel.csv >header
for i in 1 2 3 4 5; do
    { cat header; tail -n +2 day/channel.csv | awk -v i=$i 'NR % 5 == i - 1'; } >"bills/part$i.csv"
done
(cd bills && zip -q ../parts.zip part?.csv)
cat >job.yaml <<'END'
version: 1
job: parts
currency: CNY
local: {files: day/local.csv, fields: {channel_code: channel_code, biz_order_no: biz_order_no, amount: amount, status: status, trade_time: trade_time}}
channel: {files: [FILES], fields: {channel_code: channel_code, biz_order_no: biz_order_no, channel_order_no: channel_order_no, amount: amount, status: status, trade_time: trade_time}}
match: {keys: [[channel_code, biz_order_no]], compare: [status]}
output: {dir: out}
END
sed 's|FILES|"bills/*.csv"|' job.yaml >plain.yaml
sed 's|FILES|"parts.zip!!part*.csv"|' job.yaml >parts.yaml
sed 's|FILES|"packed/*"|' job.yaml >packed.yaml
mkdir packed
cp bills/part1.csv packed/part1.csv
gzip -nc bills/part2.csv >packed/part2.csv.gz
zstd -q -c bills/part3.csv >packed/part3.csv.zst
(cd bills && zip -q ../packed/part4.zip part4.csv)
gzip -nc bills/part5.csv >packed/part5.csv
want=
for job in plain parts packed; do
    "$tieout" run $job.yaml --date=2026-11-19 --out=out >stdout 2>stderr || [ $? -eq 1 ] || {
        echo "$job.yaml: $(grep '^error' stderr)"
        failed=1
        continue
    }
    got=$(digest out/parts/2026-11-19)
    want=${want:-$got}
    [ "$got" = "$want" ] || {
        echo "$job.yaml: another digest than the plain bills"
        failed=1
    }
    rm -rf out
done

# A day's logs, packed.
cp -r "$fixtures/days/01-stripe-day" stripe
chmod -R u+w stripe
"$tieout" run stripe/job.yaml --date=2026-11-19 --out=plain >stdout 2>stderr || true
gzip -n stripe/binlog/mysql-bin.*
sed -i 's|mysql-bin.\*"|mysql-bin.*.gz"|' stripe/job.yaml
"$tieout" run stripe/job.yaml --date=2026-11-19 --out=packedlog >stdout 2>stderr || [ $? -eq 1 ] || cat stderr
[ "$(digest plain/stripe/2026-11-19)" = "$(digest packedlog/stripe/2026-11-19)" ] || {
    echo "packed logs: another digest"
    failed=1
}
# inspect looks into packed files too.
printf 'order,amount\nB1,1.00\n' >shown.csv
gzip -nc shown.csv >shown.csv.gz
zstd -qc shown.csv >shown.csv.zst
cp good.csv other.csv
zip -q shown.zip shown.csv && zip -q two.zip shown.csv other.csv
{ printf '\377\376'; iconv -f UTF-8 -t UTF-16LE shown.csv; } >shown16.csv
for file in shown.csv.gz shown.csv.zst shown.zip 'two.zip!sho*' shown16.csv; do
    "$tieout" inspect "$file" >stdout 2>stderr || { echo "inspect $file: exit $?: $(cat stderr)"; failed=1; }
    cmp -s stdout shown.csv || { echo "inspect $file shows something else"; failed=1; }
done
code=0
"$tieout" inspect two.zip >stdout 2>stderr || code=$?
{ [ $code -eq 3 ] && grep -q 'it holds: .*other.csv' stderr; } || { echo "inspect two.zip: exit $code"; failed=1; }
gzip -nc "$fixtures/days/01-stripe-day/binlog/$(ls "$fixtures/days/01-stripe-day/binlog" | head -1)" >log.gz
"$tieout" inspect log.gz --limit=3 >stdout 2>stderr || { echo "inspect log.gz: exit $?: $(cat stderr)"; failed=1; }
[ $failed -eq 0 ] && echo "all packings agree"
exit $failed
