#!/bin/sh
# tests/golden/broken_bills.sh TIEOUT: bills that are damaged, cut, mixed up or laid out in some other way: each is refused for the right
# reason, or read right, and nothing in between. Made of the samples in fixtures/channels; a line each; exit 1 when one is wrong.
set -eu
tieout=$1
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
samples=$root/fixtures/channels
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
wrong=0
printf 'order,amount\n' >local.csv

# run PROFILE FILE...: sets code and stderr; rows of the bill are in out/.
run()
{
    profile=$1
    shift
    rm -rf out
    {
        printf 'version: 1\njob: b\nchannel_code: X\ntimezone: Asia/Shanghai\ncurrency: CNY\n'
        printf 'local: {files: local.csv, fields: {biz_order_no: order, amount: amount}}\n'
        printf 'channel: {profile: %s, files: [' "$profile"
        printf '"%s", ' "$@"
        printf ']}\nmatch: {keys: [[biz_order_no]]}\n'
    } | sed 's/, \]/]/' >job.yaml
    code=0
    "$tieout" run job.yaml --date=2024-01-15 --out=out 2>stderr || code=$?
}

# refused WHAT TEXT: the last run was refused, and said TEXT.
refused()
{
    if [ $code -eq 3 ] && grep -qF -- "$2" stderr && [ ! -e out ]; then
        echo "ok $1"
    else
        echo "WRONG $1: exit $code, expected 3 and: $2"
        cat stderr
        wrong=1
    fi
}

# read_right WHAT ROWS TEXT: the last run read so many rows, one of which holds TEXT.
read_right()
{
    rows=$(($(cat out/b/2024-01-15/extra.csv out/b/2024-01-15/excluded.csv 2>/dev/null | wc -l) - 2))
    if [ $code -le 1 ] && [ "$rows" -eq "$2" ] && grep -qF -- "$3" out/b/2024-01-15/extra.csv; then
        echo "ok $1"
    else
        echo "WRONG $1: exit $code, $rows rows, expected $2 and: $3"
        cat stderr
        wrong=1
    fi
}

# read_none WHAT: the last run found an empty day.
read_none()
{
    if [ $code -eq 0 ] && grep -qF 'the channel side has no rows: an empty day' stderr; then
        echo "ok $1"
    else
        echo "WRONG $1: exit $code"
        cat stderr
        wrong=1
    fi
}

wechat=$samples/wechat/tradebill_all_20240115.csv
cp "$root/fixtures/corpus/bill/alipay_trade.csv" alipay.csv
cp "$root/fixtures/corpus/bill/unionpay_zm" INN24011588ZM_1

# ---- structure ----
head -n 4 "$wechat" >cut.csv
run wechat-tradebill cut.csv
refused "the totals are cut off" "does not end as a wechat-tradebill bill does"
sed '$d' "$wechat" >cut.csv
run wechat-tradebill cut.csv
refused "the titles of the totals are there, the totals are not" "the row of totals is not there"
sed '3d' "$wechat" >lost.csv
run wechat-tradebill lost.csv
refused "a row is missing" "总交易单数 = 5, its rows give 4"
sed '3p' "$wechat" >doubled.csv
run wechat-tradebill doubled.csv
refused "a row is doubled" "总交易单数 = 5, its rows give 6"
sed '2s/`1000.00/`1000.01/2' "$wechat" >changed.csv
run wechat-tradebill changed.csv
refused "an amount was changed" "订单总金额"
cat "$wechat" >twice.csv
echo >>twice.csv
tail -n +2 "$wechat" >>twice.csv
run wechat-tradebill twice.csv
refused "two bills in one file" "several bills in one file"
sed '2s/测试商品/a,b,,c/' "$wechat" >commas.csv
run wechat-tradebill commas.csv
read_right "commas in a product's name" 5 WO20240115000001
sed '2s/测试商品/a,`b/' "$wechat" >mark.csv
run wechat-tradebill mark.csv
refused "comma and backtick in a product's name cannot be cut safely" "lines amid the rows"
sed '2s/测试商品/a`b/' "$wechat" >tick.csv
run wechat-tradebill tick.csv
read_right "a backtick in a product's name" 5 WO20240115000001
sed '2s/,`SUCCESS//' "$wechat" >short.csv
run wechat-tradebill short.csv
refused "a row with a cell too few" "lines amid the rows"
sed '2s/`SUCCESS/`PAIDUP/' "$wechat" >kind.csv
run wechat-tradebill kind.csv
refused "a kind of row that nobody declared" "reject row_type"
sed '1s/订单金额/订单 金额/' "$wechat" >header.csv
run wechat-tradebill header.csv
refused "a column that is added up has another name" "应结订单总金额 = 1093.80, its rows give 0"
sed '1s/,订单金额/,订单 金额/' "$wechat" >header.csv
run wechat-tradebill header.csv
refused "a column that a payment needs has another name" 'there is no column "订单金额"'
tail -c +4 "$wechat" | awk 'NR == 1 { print "some title" } { print }' >title.csv
run wechat-tradebill title.csv
read_right "a title before the header" 5 WO20240115000001
tail -c +4 "$wechat" | awk 'NR == 1 { row = $0; getline; gsub(/`/, ""); print; print row; next } { print }' >swapped.csv
run wechat-tradebill swapped.csv
refused "a row before the header" "as many cells as the header"
printf '<html><body>502 Bad Gateway</body></html>\n' >html.csv
run wechat-tradebill html.csv
refused "an error page" "looks like HTML"
# Only a whole answer says that there is no bill: not its words in something else, nor beside a bill.
said='<xml><return_msg>No Bill Exist</return_msg></xml>'
printf '%s\n' "$said" >answer.csv
run wechat-tradebill answer.csv
read_none "the channel's word that there is no bill"
printf '<html><body>500. Codes: <a>No Bill Exist</a></body></html>\n' >answer.csv
run wechat-tradebill answer.csv
refused "a gateway's page that names the code" "is no wechat-tradebill bill: it looks like"
printf '{"code":"SYSTEM_ERROR","detail":"not NO_STATEMENT_EXIST"}' >answer.csv
run wechat-tradebill answer.csv
refused "another code" "is no wechat-tradebill bill: it looks like"
{ printf '%s\n' "$said" && cat "$wechat"; } >answer.csv
run wechat-tradebill answer.csv
refused "the word, and a bill behind it" "is no wechat-tradebill bill: it looks like"
printf '%s' "$said" | head -c 20 >answer.csv
run wechat-tradebill answer.csv
refused "half of the word" "is no wechat-tradebill bill: it looks like"
: >empty.csv
run wechat-tradebill empty.csv
refused "an empty file" "is empty (0 bytes)"

# ---- amounts and ids ----
sed '2s/`1000.00,`0.00,`$/`￥1000.00,`0.00,`/; 2s/`1000.00,`0.00,`\r$/`￥1000.00,`0.00,`\r/' "$wechat" >yen.csv
run wechat-tradebill yen.csv
refused "a currency sign in an amount" 'column "订单金额" is "￥1000.00"'
sed '2s/`1000.00/`-1000.00/2' "$wechat" >minus.csv
run wechat-tradebill minus.csv
refused "a payment with a minus" 'column "订单金额" is "-1000.00"'
sed '2s/`WO20240115000001/`2.02401E+17/' "$wechat" >sheet.csv
run wechat-tradebill sheet.csv
refused "an order number that a spreadsheet shortened" "reject key"
sed '2s/10:00:00/10：00：00/' "$wechat" >colons.csv
run wechat-tradebill colons.csv
refused "full-width colons in a time" "reject time"
sed '2s/2024-01-15/2024-02-30/' "$wechat" >day.csv
run wechat-tradebill day.csv
refused "a day that does not exist" "reject time"

# ---- Alipay: GBK, tabs, comment lines ----
run alipay alipay.csv
read_right "Alipay, unpacked" 7 SO20240115000001
iconv -f GB18030 -t UTF-8 alipay.csv >utf8.csv
run alipay utf8.csv
refused "UTF-8 where GB18030 is declared" "another charset"
iconv -f GB18030 -t UTF-16 alipay.csv >utf16.csv
run alipay utf16.csv
refused "UTF-16 where GB18030 is declared" "UTF-16"
LC_ALL=C sed '/^#.*\xba\xcf\xbc\xc6/d' alipay.csv >nototals.csv
run alipay nototals.csv
refused "Alipay without its totals" "does not end as a alipay bill does"
LC_ALL=C awk '{ print } NR == 6 { print "#--- a separator amid the rows ---\r" }' alipay.csv >separator.csv
run alipay separator.csv
read_right "a comment amid the rows" 7 SO20240115000002
LC_ALL=C sed '6s/,2024-01-15 09:00:01/,x,2024-01-15 09:00:01/' alipay.csv >named.csv
run alipay named.csv
read_right "a comma in a product's name, told by the tabs" 7 SO20240115000001
LC_ALL=C sed '6s/\r$/,x\r/' alipay.csv >remark.csv
run alipay remark.csv
refused "a comma in the remark would shift the amounts" "lines amid the rows"
head -c 1500 alipay.csv >half.csv
run alipay half.csv
refused "cut in the middle" "业务明细列表结束"
printf '2024011522001400000000000001,SO,\275' >>half.csv
run alipay half.csv
refused "cut in the middle of a character" "inside a character of 2 bytes"
run alipay "$samples/alipay/20881000000000000156_20240115_trade.csv.zip!*汇总*"
refused "the summary alone" "there is no bill"

# ---- UnionPay: fixed widths ----
run unionpay-zm INN24011588ZM_1
read_right "UnionPay, unpacked" 4 UO20240115000001
LC_ALL=C sed '2s/5999/599/' INN24011588ZM_1 >INN24011588ZM_2
run unionpay-zm INN24011588ZM_2
refused "a line that is a byte short" "606 bytes"
tr -d '\r\n' <INN24011588ZM_1 >INN24011588ZM_3
run unionpay-zm INN24011588ZM_3
refused "no line ends" "reject columns"
# CSV-29: the same records without line ends, where a profile says so.
digest() { sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' out/b/2024-01-15/summary.json; }
"$tieout" profiles show unionpay-zm | sed 's/^  gap: 1/  gap: 1\n  line_ends: none/' >endless.yaml
run unionpay-zm INN24011588ZM_1
want=$(digest)
for road in "--threads=1" "--threads=3 --chunk=16" "--threads=2 --chunk=1000" "--threads=2 --chunk=607 --io=posix"; do
    run endless.yaml INN24011588ZM_3
    # shellcheck disable=SC2086 # one word per option
    "$tieout" run job.yaml --date=2024-01-15 --out=out $road 2>stderr || code=$?
    [ "$(digest)" = "$want" ] || code=99
    read_right "records without line ends, $road" 4 UO20240115000001
done
size=$(wc -c <INN24011588ZM_3)
grep -q "INN24011588ZM_3:2@$((size / 4))" out/b/2024-01-15/extra.csv || { echo "WRONG places of records"; wrong=1; }
gzip -nc INN24011588ZM_3 >INN24011588ZM_3.gz
run endless.yaml INN24011588ZM_3.gz
[ "$(digest)" = "$want" ] || code=99
read_right "records without line ends, packed" 4 UO20240115000001
for end in LF CRLF; do
    { cat INN24011588ZM_3; [ $end = LF ] || printf '\r'; echo; } >INN24011588ZM_7
    run endless.yaml INN24011588ZM_7
    [ "$(digest)" = "$want" ] || code=99
    read_right "records without line ends, $end behind the last" 4 UO20240115000001
    "$tieout" run job.yaml --date=2024-01-15 --out=out --threads=3 --chunk=16 2>stderr || code=$?
    [ "$(digest)" = "$want" ] || code=99
    read_right "the same in small chunks" 4 UO20240115000001
done
{ cat INN24011588ZM_3; printf '\n\n'; } >INN24011588ZM_8
run endless.yaml INN24011588ZM_8
refused "two line ends behind the last record" "no whole record"
head -c $((size - 1)) INN24011588ZM_3 >INN24011588ZM_6
run endless.yaml INN24011588ZM_6
refused "records without line ends, a byte short" "are left at byte $((size / 4 * 3)): no whole record"
run endless.yaml INN24011588ZM_1
refused "line ends where there should be none" "there is a line end in the record"
LC_ALL=C sed '1s/D000000000120/X000000000120/' INN24011588ZM_1 >INN24011588ZM_4
run unionpay-zm INN24011588ZM_4
refused "a fee that is neither debit nor credit" "reject fee"
LC_ALL=C sed 's/ 0115/ 1231/; s/ 0115/ 0101/' INN24011588ZM_1 >INN24010188ZM_5
run unionpay-zm INN24010188ZM_5
read_right "the last day of the year before, on the first of January" 4 2023-12-31

# ---- UnionPay's corrections: what is not declared is refused ----
cp "$root/fixtures/corpus/bill/unionpay_zme" INN24011588ZME_1
run unionpay-zme INN24011588ZME_1
read_right "corrections" 5 000002
LC_ALL=C sed '2s/^E23/E05/' INN24011588ZME_1 >INN24011588ZME_2
run unionpay-zme INN24011588ZME_2
refused "a correction of an unknown code" "reject row_type"
LC_ALL=C sed '2s/D000000012345/ 000000012345/' INN24011588ZME_1 >INN24011588ZME_3
run unionpay-zme INN24011588ZME_3
refused "a correction that does not say which way the money went" "reject amount"
run unionpay-zm INN24011588ZME_1
refused "corrections read as a ZM file" "reject columns"
run unionpay-zme INN24011588ZM_1
refused "a ZM file read as corrections" "reject columns"

# ---- Adyen: a fee is all of its parts, or none ----
sed '1s/Interchange (NC)/Interchange  (NC)/' "$samples/adyen/settlement_detail_report_batch_12.csv" >parts.csv
run adyen parts.csv
refused "a fee without one of its parts" 'there is no column "Interchange (NC)"'

# ---- BAI2: sums and lines are stated ----
bai=$samples/bank/bai2_sample2.txt
run bai2 "$bai"
read_right "BAI2" 4 SP4738
sed '5s/450000/450001/' "$bai" >changed.bai
run bai2 changed.bai
refused "an entry's amount was changed" "of the account states a sum of 9150000"
sed '5d' "$bai" >lost.bai
run bai2 lost.bai
refused "an entry is lost" "of the account states a sum"
sed '5p' "$bai" >doubled.bai
run bai2 doubled.bai
refused "an entry is doubled" "of the account states a sum"
sed '$d' "$bai" >cut.bai
run bai2 cut.bai
refused "the end is cut off" "the report has no end (99)"
head -c 300 "$bai" >cut.bai
run bai2 cut.bai
refused "cut in the middle" "line"
sed '16s/^16,218/16,890/' "$bai" >code.bai
run bai2 code.bai
refused "a type code that is neither credit nor debit" "reject row_type"
tr -d '\n' <"$bai" >one_line.bai
run bai2 one_line.bai
refused "records run together" "line 1"
sed '16,17{N;s/\n//}' "$bai" >run_together.bai
run bai2 run_together.bai
refused "two records on a line" "line"
sed 's/$/   \r/' "$bai" >blanks.bai
run bai2 blanks.bai
read_right "blanks and CR behind the slash" 4 SP4738

# ---- PayPal: row types, reports in parts ----
day=$root/fixtures/days/02-five-channels/bills/paypal
run paypal "$day/STL-20260104.01.011.CSV" "$day/STL-20260104.02.011.CSV"
read_right "a report in two parts" 27 PA20260105000322
run paypal "$day/STL-20260104.01.011.CSV"
refused "the second part is missing" "has no end"
run paypal "$day/STL-20260104.02.011.CSV"
refused "the first part is missing" "is an earlier part missing"
sed '/^"SB","CBB957/d' "$day/STL-20260104.02.011.CSV" >STL-20260104.02.011.CSV
run paypal "$day/STL-20260104.01.011.CSV" STL-20260104.02.011.CSV
refused "a row of the second part is missing" "the trailer states SF"
sed 's/^"SB","1AB23456CD789012E"/"XX","1AB23456CD789012E"/' "$samples/paypal/STL-20240115.01.011.CSV" >type.csv
run paypal type.csv
refused "a row type that nobody declared" "lines amid the rows"

# ---- statements ----
head -n 120 "$samples/bank/camt053.v4.xml" >cut.xml
run camt053 cut.xml
refused "XML that is cut" "no element found"
sed 's/<Document/<!DOCTYPE x [<!ENTITY a "b">]>\n<Document/' "$samples/bank/camt053.v4.xml" >entity.xml
run camt053 entity.xml
refused "entities" "document type declaration"
{ cat "$samples/bank/mBank_mt940.sta" && head -n 3 "$samples/bank/mBank_mt940.sta"; } >cut.sta
run mt940 cut.sta
refused "a second statement of which only the head came" 'the statement that begins here has no opening balance'
{ cat "$samples/bank/mBank_mt940.sta" && echo "sent again" && cat "$samples/bank/mBank_mt940.sta"; } >again.sta
run mt940 again.sta
sed -i 's/biz_order_no: order/channel_order_no: order/; s/keys: .*/keys: [[channel_order_no]]}/' job.yaml
rm -rf out
"$tieout" run job.yaml --date=2017-01-19 --out=out 2>stderr || true
rows=$(wc -l <out/b/2017-01-19/duplicate.csv)
{ [ "$rows" -eq 4 ] && echo "ok a statement that is sent again counts once"; } || { echo "WRONG a statement that is sent again: $rows lines of duplicates"; wrong=1; }
head -n 15 "$samples/bank/mBank_mt940.sta" >cut.sta
run mt940 cut.sta
refused "MT940 without its closing balance" "no closing balance"
sed '0,/CN0,01/s//RC0,01/' "$samples/bank/mBank_mt940.sta" | sed 's/PLN0,43/PLN0,41/' >rc.sta
run mt940 rc.sta
read_right "RC takes a credit back" 3 -0.01

exit $wrong
