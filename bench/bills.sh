#!/bin/sh
# bench/bills.sh TIEOUT [ROWS [RUNS]]: the same Alipay bill in GB18030 and in UTF-8, with and without a Chinese column compared, and a UnionPay
# file of fixed widths, with line ends and without, and with 3000 bytes more in each row: each against itself on one thread; and the Alipay bill on
# two threads, plain and as .gz, .zst and .zip, beside what gzip -dc alone takes. The roads in turn, the fastest of RUNS runs of each.
set -eu
tieout=$1
count=${2:-400000}
runs=${3:-5}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
iconv -f GB18030 -t UTF-8 "$root/fixtures/corpus/bill/alipay_trade.csv" | tr -d '\r' >sample.csv
{
    head -n 5 sample.csv
    sed -n 6p sample.csv | awk -v count="$count" '{
        a = index($0, "2024011522001400000000000001")
        b = index($0, "SO20240115000001")
        head = substr($0, 1, a - 1); between = substr($0, a + 28, b - a - 28); tail = substr($0, b + 16)
        for (i = 0; i < count; i++)
            printf "%s2024011522001%015d%sSO20240115%08d%s\n", head, i, between, i, tail
    }'
    echo '#-----业务明细列表结束-----'
    echo "#交易合计：$count笔，商家实收共${count}00.00元，商家优惠共0.00元"
    echo '#退款合计：0笔，商家实收退款共0.00元，商家优惠退款共0.00元'
} >utf8.csv
iconv -f UTF-8 -t GB18030 utf8.csv >gbk.csv
sed 's/charset: GB18030/charset: UTF-8/' "$root/core/config/profiles/alipay.yaml" >utf8.yaml
head -n 1 "$root/fixtures/corpus/bill/unionpay_zm" | LC_ALL=C awk -v count="$count" '{
    a = index($0, "252401151000000000018")
    b = index($0, "UO20240115000001")
    head = substr($0, 1, a - 1); between = substr($0, a + 21, b - a - 21); tail = substr($0, b + 16)
    for (i = 0; i < count; i++)
        printf "%s2524%017d%sUO202401%08d%s\n", head, i, between, i, tail
}' >INN24011588ZM_1
tr -d '\r\n' <INN24011588ZM_1 >INN24011588ZM_2
sed 's/^  gap: 1/  gap: 1\n  line_ends: none/' "$root/core/config/profiles/unionpay-zm.yaml" >endless.yaml
# The width alone: a quarter of the rows, each 3000 bytes wider.
LC_ALL=C awk -v count="$((count / 4))" 'BEGIN { pad = sprintf("%3000s", "") } NR <= count { sub(/\r$/, ""); print $0 pad }' INN24011588ZM_1 >INN24011588ZM_3
tr -d '\n' <INN24011588ZM_3 >INN24011588ZM_4
sed 's/{保留: 98}/{保留: 3098}/' "$root/core/config/profiles/unionpay-zm.yaml" >wide.yaml
sed 's/^  gap: 1/  gap: 1\n  line_ends: none/' wide.yaml >wide-endless.yaml
gzip -kn gbk.csv
zstd -qk gbk.csv
zip -q gbk.csv.zip gbk.csv
job()
{
    printf 'version: 1\njob: b\nchannel_code: X\ncurrency: CNY\nlocal: {files: %s, profile: %s%s}\nchannel: {files: %s, profile: %s%s}\nmatch: {keys: [[biz_order_no]], compare: [amount, status%s]}\n' \
        "$2" "$3" "$4" "$2" "$3" "$4" "$5" >"$1.job"
}
title=', fields: {attr: {title: 商品名称}}'
job gbk gbk.csv alipay '' ''
job utf8 utf8.csv utf8.yaml '' ''
job gbk-title gbk.csv alipay "$title" ', title'
job utf8-title utf8.csv utf8.yaml "$title" ', title'
job fixed INN24011588ZM_1 unionpay-zm '' ''
job endless INN24011588ZM_2 endless.yaml '' ''
job wide INN24011588ZM_3 wide.yaml '' ''
job wide-endless INN24011588ZM_4 wide-endless.yaml '' ''
for packing in '' .gz .zst .zip; do
    printf 'version: 1\njob: b\nchannel_code: X\ncurrency: CNY\nlocal: {files: gbk.csv, profile: alipay}\nchannel: {files: "gbk.csv%s", profile: alipay}\nmatch: {keys: [[biz_order_no]], compare: [amount, status]}\n' \
        $packing >two$packing.job
done
# went NAME THREADS: "NAME SECONDS s  ROWS and bytes".
went()
{
    rm -rf out
    "$tieout" run "$1.job" --date=2024-01-15 --out=out "--threads=$2" 2>&1 | sed -n "s/^ *\(.* rows, .*\) in \([0-9.]*\) s: .*/$1 \2 s  \1/p"
}
run=0
while [ $run -lt "$runs" ]; do
    run=$((run + 1))
    for name in gbk utf8 gbk-title utf8-title fixed endless wide wide-endless; do
        went $name 1
    done
    for name in two two.gz two.zst two.zip; do
        went $name 2
    done
    # zlib alone; all that a packed bill may cost more than a plain one.
    began=$(date +%s%N)
    gzip -dc gbk.csv.gz >/dev/null
    ended=$(date +%s%N)
    echo "$began $ended" | awk '{ printf "gzip-dc %.3f s  unpacked to /dev/null\n", ($2 - $1) / 1e9 }'
done | sort -k1,1 -k2,2n | awk '!seen[$1]++ { print; n++ } END { exit n != 13 }'
