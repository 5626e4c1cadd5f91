#!/bin/sh
# tests/golden/profile_packings.sh TIEOUT: a bill of every built-in profile gives one digest however it is packed and on any road: plain,
# gzip, gzip of several members that end anywhere, zip, zstd, and UTF-16 where the profile's text is UTF-8. And a row of it stands at one
# place, whether it is an extra or has a partner in match.csv. A line for each profile; exit 1 when one differs, reads nothing, or has no line
# in the table below.
set -eu
tieout=$(readlink -f -- "$1")
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
corpus=$root/fixtures/corpus/bill
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
wrong=0
printf 'order,amount\n' >local.csv
mkdir bills

# digest PROFILE FILE ROAD: sets found to the digest and rows.
digest()
{
    rm -rf out
    printf 'version: 1\njob: p\nchannel_code: X\ntimezone: Asia/Shanghai\ncurrency: CNY
local: {files: local.csv, fields: {biz_order_no: order, amount: amount}}
channel: {profile: %s, files: ["%s"]}\nmatch: {keys: [[biz_order_no]]}\n' "$1" "$2" >job.yaml
    code=0
    # shellcheck disable=SC2086 # one word per option
    "$tieout" run job.yaml --date=2024-01-15 --out=out $3 2>stderr || code=$?
    found=none
    if [ $code -le 1 ]; then
        found="$(sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' out/p/2024-01-15/summary.json) $(cat out/p/2024-01-15/extra.csv \
            out/p/2024-01-15/excluded.csv out/p/2024-01-15/duplicate.csv out/p/2024-01-15/ambiguous.csv | wc -l)"
    fi
}

# unquoted FILE: its rows with no comma in any cell.
unquoted()
{
    sed -e :a -e 's/^\(\([^"]*"[^"]*"\)*[^"]*"[^",]*\),/\1;/' -e ta "$1"
}

# places PROFILE FILE: the extras of the run before get partners; their places in match.csv must be those they had. Sets found to how many.
places()
{
    unquoted out/p/2024-01-15/extra.csv >extra.csv
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print "order,number,merchant,amount,date,currency"; next }
        { print $at["biz_order_no"] "," $at["channel_order_no"] "," $at["merchant_no"] "," $at["amount"] "," $at["bill_date"] "," $at["currency"] }' \
        extra.csv >partners.csv
    # A statement's entries have no order number, and some no number at all.
    key=biz_order_no
    [ "$(tail -n +2 partners.csv | cut -d, -f1 | sort -u)" ] || key=channel_order_no
    [ "$(tail -n +2 partners.csv | cut -d, -f1,2 | sort -u)" != , ] || key=merchant_no
    rm -rf out
    printf 'version: 1\njob: p\nchannel_code: X\ntimezone: Asia/Shanghai\ncurrency: CNY
local: {files: partners.csv, fields: {biz_order_no: order, channel_order_no: number, merchant_no: merchant, amount: amount, bill_date: date, currency: currency}}
channel: {profile: %s, files: ["%s"]}\nmatch: {keys: [[%s]], compare: [amount]}\noutput: {match: true}\n' "$1" "$2" "$key" >job.yaml
    "$tieout" run job.yaml --date=2024-01-15 --out=out 2>stderr || true
    unquoted out/p/2024-01-15/match.csv >match.csv
    found=$(awk -F, 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        NR == FNR { seen[$at["amount"] " " $at["place"]] = 1; next }
        { n++; if (!($at["channel_amount"] " " $at["channel_place"] in seen)) wrong = wrong " " $at["channel_place"] }
        END { print wrong ? "none:" wrong : n + 0 }' extra.csv match.csv)
}

pack()
{
    file=bills/$1 size=$(wc -c <"bills/$1")
    gzip -nc "$file" >"$file.gz"
    {
        head -c $((size / 3)) "$file" | gzip -n1
        tail -c +$((size / 3 + 1)) "$file" | head -c $((size / 2 - size / 3)) | gzip -n9
        gzip -nc </dev/null
        tail -c +$((size / 2 + 1)) "$file" | gzip -n
    } >"bills/members-$1.gz"
    zstd -qc "$file" >"$file.zst"
    (cd bills && zip -q "$1.zip" "$1" && zip -q -0 "stored-$1.zip" "$1")
}

: >seen
road=
while read -r profile source name charset; do
    [ -n "$profile" ] || continue
    echo "$profile" >>seen
    cp "$corpus/$source" "bills/$name"
    # The published sample states a row that it does not have.
    [ "$profile" != wechat-fundflow ] || sed -i '$s/^.*/`2,`0,`0,`2,`0.02/' "bills/$name"
    pack "$name"
    inputs="$name $name.gz members-$name.gz $name.zst $name.zip stored-$name.zip"
    if [ "$charset" = UTF-8 ]; then
        { printf '\377\376'; sed '1s/^\xef\xbb\xbf//' "bills/$name" | iconv -f UTF-8 -t UTF-16LE; } >"bills/le-$name"
        { printf '\376\377'; sed '1s/^\xef\xbb\xbf//' "bills/$name" | iconv -f UTF-8 -t UTF-16BE; } | gzip -n >"bills/be-$name"
        inputs="$inputs le-$name be-$name"
    fi
    digest "$profile" "bills/$name" --threads=1
    want=$found
    good=1
    case $want in
    none | *' 4')
        echo "WRONG $profile: no rows"
        cat stderr
        good=0
        ;;
    esac
    places "$profile" "bills/$name"
    case $found in
    0 | none*)
        echo "WRONG $profile: in match.csv rows have other places than as extras: $found"
        good=0
        ;;
    esac
    for input in $inputs; do
        case $road in *posix) road=--threads=2 ;; *) road="--threads=3 --chunk=64 --io=posix" ;; esac
        digest "$profile" "bills/$input" "$road"
        [ "$found" = "$want" ] && continue
        echo "WRONG $profile, $input, $road: $found, plain: $want"
        cat stderr
        good=0
    done
    if [ $good -eq 1 ]; then
        echo "ok $profile: ${want#* } lines"
    else
        wrong=1
    fi
done <<'END'
adyen settlement_detail_report_batch_12.csv report.csv UTF-8
alipay alipay_trade.csv trade.csv GB18030
alipay-fund alipay_fund.csv fund.csv GB18030
bai2 bai2_sample1.txt report.bai bytes
camt053 camt053.v4.xml statement.xml XML
mt940 mBank_mt940.sta statement.sta bytes
paypal STL-20240115.01.011.CSV STL.csv UTF-8
stripe payout_reconciliation_itemized_po_1Example.csv stripe.csv UTF-8
unionpay-zm unionpay_zm INN24011588ZM_1 GBK
unionpay-zme unionpay_zme INN24011588ZME_1 GBK
wechat-fundflow fundflowbill_v3.csv fundflow.csv UTF-8
wechat-tradebill tradebill_all_20240115.csv tradebill.csv UTF-8
END
"$tieout" profiles | sed 's/ .*//' | sort >built_in
sort seen | diff built_in - || { echo "WRONG: profiles without a line here"; wrong=1; }
exit $wrong
