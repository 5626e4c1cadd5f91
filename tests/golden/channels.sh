#!/bin/sh
# tests/golden/channels.sh TIEOUT: bills as the channels leave them.
#   The day fixtures/days/02-five-channels: every channel against both databases, by several roads, finds exactly the differences of
#   expected.tsv, and all roads give one digest.
#   Every sample of fixtures/channels: its rows are those of its .expected file, or it is refused for the reason that stands there.
# Prints a line for each; exit 1 when one is wrong.
set -eu
tieout=$1
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
day=$root/fixtures/days/02-five-channels
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
wrong=0

# rows DIR CLASS COLUMN...: those columns of a class file, by name, with tabs between. Neither numbers nor reasons hold commas or quotes.
rows()
{
    file=$1/$2.csv
    shift 2
    awk -F, -v wanted="$*" '
        { sub(/\r$/, "") }
        NR == 1 { n = split(wanted, name, " "); for (i = 1; i <= NF; i++) at[$i] = i; next }
        { for (i = 1; i <= n; i++) printf "%s%s", $(at[name[i]]), i < n ? "\t" : "\n" }' "$file"
}

differences()
{
    job=$1 dir=$2
    for class in mismatch missing extra suspense duplicate ambiguous; do
        rows "$dir" $class biz_order_no reasons | sed "s/^\([^	]*\)	/$job	\1	$class	/"
    done
    rows "$dir" match biz_order_no reasons | awk -F'\t' -v job="$job" '$2 ~ /day_cut/ { print job "\t" $1 "\tmatch\t" $2 }'
    rows "$dir" excluded biz_order_no reasons | awk -F'\t' -v job="$job" '$2 !~ /non_monetary/ { print job "\t" $1 "\texcluded\t" $2 }'
}

# for_mysql: a log with MINIMAL metadata names neither columns nor an ENUM's words, so the job has to.
for_mysql()
{
    sed 's,binlog/mariadb,binlog/mysql,
        s/table: pay.payment_order/&, columns: [id, order_no, channel, channel_txn_no, amount, fee, currency, status, flags, created_at, paid_at, is_test]/
        s/table: pay.payment_refund/&, columns: [refund_no, order_no, amount, status, done_at]/
        s/FAILED: FAILED/&, "#1": PROCESSING, "#2": PROCESSING, "#3": SUCCESS, "#4": SUCCESS, "#5": SUCCESS, "#6": CLOSED, "#7": FAILED/'
}

cp -r "$day" "$work/day"
cut -f1-4 "$day/expected.tsv" | sort >"$work/expected"
for db in mariadb mysql; do
    for road in "--threads=1" "--threads=3 --chunk=4KiB" "--chunk=64KiB --io=posix"; do
        : >"$work/found"
        : >"$work/digests"
        matches=0
        for job in alipay wechat unionpay stripe paypal; do
            if [ $db = mysql ]; then for_mysql; else cat; fi <"$day/$job.yaml" >"$work/day/$job.yaml"
            code=0
            # shellcheck disable=SC2086 # one word per option
            "$tieout" run "$work/day/$job.yaml" --date=2026-01-05 "--out=$work/out" --write-match $road 2>"$work/stderr" || code=$?
            if [ $code -ne 1 ]; then
                echo "WRONG $job $db $road: exit $code"
                cat "$work/stderr"
                wrong=1
                continue
            fi
            differences $job "$work/out/$job/2026-01-05" >>"$work/found"
            matches=$((matches + $(rows "$work/out/$job/2026-01-05" match biz_order_no | wc -l)))
            sed -n "s/.*\"digest\": *\"\([^\"]*\)\".*/$job \1/p" "$work/out/$job/2026-01-05/summary.json" >>"$work/digests"
        done
        sort "$work/found" >"$work/sorted"
        [ -f "$work/digests.$db" ] || cp "$work/digests" "$work/digests.$db"
        if ! diff "$work/expected" "$work/sorted" >"$work/diff" || [ "$matches" -ne 361 ] || ! cmp -s "$work/digests" "$work/digests.$db" ||
            [ "$(wc -l <"$work/digests")" -ne 5 ]; then
            echo "WRONG five channels, $db $road: $matches matches"
            cat "$work/diff"
            wrong=1
        else
            echo "ok five channels, $db $road"
        fi
    done
done

# UnionPay's corrections have no order numbers: they are keyed by the trace number and the time of what they are about.
{
    printf 'version: 1\njob: zme\nchannel_code: UNIONPAY\ncurrency: CNY\n'
    printf 'local: {files: refunds.csv, fields: {biz_order_no: no, amount: amount, attr: {trace: trace, traced_at: traced_at}}}\n'
    printf 'channel: {files: "%s/fixtures/channels/unionpay/898310000000001_20240115_both.zip", profile: unionpay-zme,\n' "$root"
    printf '    fields: {attr: {trace: 上一笔交易的系统跟踪号, traced_at: 上一笔交易的日期时间}}}\nmatch: {keys: [[trace, traced_at]]}\n'
} >"$work/zme.yaml"
printf 'no,trace,traced_at,amount\nR1,000001,0114120000,-50.00\nR2,000002,0110235959,-123.45\nR3,000002,0110235959,123.45\n' >"$work/refunds.csv"
"$tieout" run "$work/zme.yaml" --date=2024-01-15 "--out=$work/out" --write-match 2>"$work/stderr" || true
if [ "$(rows "$work/out/zme/2024-01-15" match biz_order_no channel_order_no reasons | tr '\t\n' '  ')" = "R1 000101 exact R2 000102 exact R3 000104 exact " ]; then
    echo "ok corrections by trace number and time"
else
    echo "WRONG corrections by trace number and time"
    cat "$work/stderr"
    wrong=1
fi

# Samples: PROFILE PATTERN EXPECTED and what else the side says, a line each.
printf 'order,amount\n' >"$work/local.csv"
while read -r profile pattern expected more; do
    [ -n "$profile" ] || continue
    case $profile in *.yaml) profile=$root/fixtures/channels/$profile ;; esac
    cat >"$work/sample.yaml" <<EOF
version: 1
job: sample
channel_code: X
timezone: Asia/Shanghai
currency: CNY
local: {files: local.csv, fields: {biz_order_no: order, amount: amount}}
channel: {files: "$root/fixtures/channels/$pattern", profile: $profile$more}
match: {keys: [[biz_order_no]]}
EOF
    rm -rf "$work/out"
    code=0
    "$tieout" run "$work/sample.yaml" --date=2024-01-15 "--out=$work/out" 2>"$work/stderr" || code=$?
    dir=$work/out/sample/2024-01-15
    if [ $code -le 1 ]; then
        columns="biz_type biz_order_no channel_order_no bill_date trade_time currency amount fee status place"
        # shellcheck disable=SC2086 # one word per column
        { rows "$dir" extra $columns; rows "$dir" excluded $columns; rows "$dir" ambiguous $columns; } |
            awk -F'\t' '{ n = $NF; sub(/.*@/, "", n); print n "\t" $0 }' | sort -n | cut -f2-10 >"$work/found"
    else
        sed -n "s,$root/fixtures/channels/,,g; s/^error //p" "$work/stderr" >"$work/found"
    fi
    if [ "${UPDATE:-}" ]; then
        cp "$work/found" "$root/fixtures/channels/$expected"
    elif ! diff "$root/fixtures/channels/$expected" "$work/found" >"$work/diff"; then
        echo "WRONG sample $profile $pattern: exit $code"
        cat "$work/diff"
        wrong=1
    else
        echo "ok sample $profile $pattern"
    fi
done <"$root/fixtures/channels/samples.txt"
exit $wrong
