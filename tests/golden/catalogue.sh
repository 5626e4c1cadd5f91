#!/bin/sh
# tests/golden/catalogue.sh TIEOUT: defects that have broken systems like this one, by the names of the catalogue (tests/README.md lists them
# all and says where the others are tested): files as they really come, each read right or refused for the right reason. A line each; exit 1
# when one is wrong.
set -eu
tieout=$(readlink -f -- "$1")
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
wrong=0
roads='--threads=1
--threads=3 --chunk=16
--threads=2 --chunk=100 --io=posix'
# Under a sanitizer a run takes long: the road that cuts most.
! grep -q '__asan_init\|__tsan_init' "$tieout" || roads='--threads=3 --chunk=16'

say()
{
    if [ "$1" -eq 1 ]; then
        printf 'ok %s\n' "$2"
    else
        printf 'WRONG %s\n' "$2"
        cat stderr
        wrong=1
    fi
}

lines() { if [ -e "out/$1.csv" ]; then echo $(($(wc -l <"out/$1.csv") - 1)); else echo none; fi; }

# outcome: match mismatch missing extra ambiguous duplicate reject, in numbers, of the last run.
outcome() { echo "$(lines match) $(lines mismatch) $(lines missing) $(lines extra) $(lines ambiguous) $(lines duplicate) $(lines reject)"; }

# compare NAME WANT LOCAL CHANNEL OPTION...: `diff` says WANT on every road.
compare()
{
    name=$1 want=$2 local=$3 channel=$4 good=1 first=
    shift 4
    while read -r road; do
        rm -rf out
        code=0
        # shellcheck disable=SC2086 # one word per option
        "$tieout" diff "$local" "$channel" --key=order --amount=amount --write-match --out=out $road "$@" >stdout 2>stderr </dev/null || code=$?
        found=$(outcome)
        digest=$(sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' out/summary.json 2>/dev/null || true)
        first=${first:-$digest}
        [ "$found" = "$want" ] && [ $code -le 1 ] && [ "$digest" = "$first" ] || {
            echo "$name, $road: exit $code, found $found, want $want"
            good=0
            break
        }
    done <<END
$roads
END
    say $good "$name"
}

# refused NAME TEXT LOCAL CHANNEL OPTION...: exit 3, TEXT is said, and nothing is published, on every road.
refused()
{
    name=$1 text=$2 local=$3 channel=$4 good=1
    shift 4
    while read -r road; do
        rm -rf out
        code=0
        # shellcheck disable=SC2086 # one word per option
        "$tieout" diff "$local" "$channel" --key=order --amount=amount --out=out $road "$@" >stdout 2>stderr </dev/null || code=$?
        [ $code -eq 3 ] && grep -qF -- "$text" stderr && [ ! -e out ] || {
            echo "$name, $road: exit $code, want 3 and: $text"
            good=0
            break
        }
    done <<END
$roads
END
    say $good "$name"
}

# by_job NAME TEXT: job.yaml runs (exit 0 or 1) and its extra.csv holds TEXT; out/ becomes the unit's folder.
by_job()
{
    rm -rf out made
    code=0
    "$tieout" run job.yaml --date=2026-01-05 --out=made >stdout 2>stderr || code=$?
    [ ! -e made ] || mv made/*/2026-01-05 out
    if [ $code -le 1 ] && grep -qF -- "$2" out/extra.csv; then say 1 "$1"; else
        echo "$1: exit $code, no row with $2"
        say 0 "$1"
    fi
}

job_refused()
{
    rm -rf made
    code=0
    "$tieout" run job.yaml --date=2026-01-05 --out=made >stdout 2>stderr || code=$?
    if [ $code -eq 3 ] && grep -qF -- "$2" stderr && [ ! -e made ]; then say 1 "$1"; else
        echo "$1: exit $code, want 3 and: $2"
        say 0 "$1"
    fi
}

# profile_job FILE: a job whose channel is FILE as mine.yaml says.
profile_job()
{
    printf 'order,amount\n' >none.csv
    printf 'version: 1\njob: j\nchannel_code: X\ntimezone: %s\ncurrency: CNY
local: {files: none.csv, fields: {biz_order_no: order, amount: amount}}
channel: {profile: mine.yaml, files: "%s"}\nmatch: {keys: [[biz_order_no]]}\n' "${2:-Asia/Shanghai}" "$1" >job.yaml
}

printf 'order,amount\nB1,1.00\nB2,2.00\nB3,3.00\n' >good.csv

# ---- CSV ----
printf 'order,amount\nB1,"1.00"x\nB2,2.00\nB"3,3.00\n' >quotes.csv
compare 'CSV-07 text behind a closing quote, a quote inside: rejects' '1 0 2 0 0 0 2' good.csv quotes.csv --max-rejects=2
refused 'CSV-07 and more of them than allowed: refused, with the column' 'quotes.csv: 2 of 3 rows' good.csv quotes.csv
printf 'order,amount,\nB1,1.00,\nB2,2.00,\nB3,3.00,\n' >trailing.csv
compare 'CSV-08 a trailing delimiter is a last empty cell' '3 0 0 0 0 0 0' good.csv trailing.csv
printf 'order,amount,note\nB1,1.00,x\nB2,2.00\nB3,3.00,x,y\n' >few.csv
compare 'CSV-10 too few and too many cells are rejects, never padded' '1 0 2 0 0 0 2' good.csv few.csv --max-rejects=2
printf 'order,amount\n\n\n\n' >blank_rows.csv
compare 'CSV-13 a header and blank lines are an empty day' '0 0 3 0 0 0 0' good.csv blank_rows.csv
grep -q 'the channel side has no rows' stderr || say 0 'CSV-13 the empty day is told'
: >zero.csv
refused 'CSV-13 a file of 0 bytes is no empty day' 'is empty (0 bytes)' good.csv zero.csv
printf '"a\nnote",order,amount,"the\n\nlast"\n"x\ny",B1,1.00,\n,B2,2.00,"\n"\n,B3,3.00,\n' >multiline.csv
compare 'CSV-14 newlines inside header cells and cells' '3 0 0 0 0 0 0' good.csv multiline.csv
printf 'amount,x,order\n1.00,9,B1\n2.00,9,B2\n3.00,9,B3\n' >reordered.csv
compare 'CSV-15 columns go by name, not by place' '3 0 0 0 0 0 0' good.csv reordered.csv
printf 'order,amount,order\nB1,1,B1\n' >doubled.csv
refused 'CSV-15 two columns of one name' 'are both named "order"' good.csv doubled.csv
printf 'order,total\nB1,1\n' >renamed.csv
refused 'CSV-15 a column that is not there' 'there is no column "amount"' good.csv renamed.csv
{ printf 'order,amount\nB1,"'; head -c 16777216 /dev/zero | tr '\0' x; printf '"\nB2,2.00\n'; } >field16.csv
{ printf 'order,amount\nB1,1.00'; head -c 67108864 /dev/zero | tr '\0' x; printf '\nB2,2.00\n'; } >line64.csv
{ printf 'order,amount'; head -c 1100000 /dev/zero | tr '\0' ,; printf '\nB1,1.00\n'; } >commas.csv
for file in field16 line64; do
    code=0
    peak=$(python3 -c 'import resource, subprocess, sys
code = subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=open("stderr", "w"))
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' x "$tieout" diff good.csv $file.csv --key=order --amount=amount --out=out --threads=2)
    code=${peak% *} peak=${peak#* }
    # Sanitizers have a memory of their own.
    grep -q __asan_init "$tieout" || grep -q __tsan_init "$tieout" || [ "$peak" -lt 65536 ] || { echo "$file: $peak KiB"; code=99; }
    if [ "$code" -eq 3 ] && grep -q 'longer than 1 MiB (1048576 bytes)' stderr; then
        say 1 "CSV-21 $file: the limit is named, memory stays flat"
    else
        echo "$file: exit $code, $peak KiB"
        say 0 "CSV-21 $file"
    fi
done
refused 'CSV-21 a million columns' 'has 1100002 columns; at most 10000 are read' good.csv commas.csv
{
    printf 'order,amount'; i=2; while [ $i -lt 4096 ]; do printf ',c%s' $i; i=$((i + 1)); done
    for n in 1 2 3; do printf '\nB%s,%s.00' $n $n; head -c 4094 /dev/zero | tr '\0' ,; done
    printf '\n'
} >columns4096.csv
compare 'CSV-21 4096 columns are read' '3 0 0 0 0 0 0' good.csv columns4096.csv
printf 'order,amount,note\nB1,1.00,\345\245' >cut_char.csv
refused 'CSV-22 cut inside a character of UTF-8' 'inside a character of 3 bytes' good.csv cut_char.csv
printf 'order,amount\nB1,1.00\r' >cut_cr.csv
refused 'CSV-22 cut behind a carriage return' 'behind a carriage return' good.csv cut_cr.csv
printf 'order,amount\nB1,1.00\nB2,"2.00' >cut_quote.csv
refused 'CSV-22 cut inside a quote' 'inside a quoted cell' good.csv cut_quote.csv
printf 'order,amount\r\nB1,1.00\nB2,2.00\r\nB3,3.00' >mixed.csv
compare 'CSV-23 \n, \r\n and no line end at all, in one file' '3 0 0 0 0 0 0' good.csv mixed.csv
printf 'order,amount\nB1,1.00\rB2,2.00\nB3,3.00\n' >bare_cr.csv
compare 'CSV-23 a bare carriage return ends no line: a reject, up to the newline' '1 0 2 0 0 0 1' good.csv bare_cr.csv --max-rejects=1
printf 'order,amount\nB1,1.00\n----------\nB2,2.00\nB3,3.00\n' >separator.csv
compare 'CSV-24 a separator that nobody declared is a reject' '3 0 0 0 0 0 1' good.csv separator.csv --max-rejects=1
printf 'order,amount\nB1,1.00\n1.23457E+17,2.00\n1.23457e+17,3.00\n' >sheet.csv
compare 'CSV-26 numbers that a sheet shortened are rejects, also where both sides have them' '1 0 0 0 0 0 4' sheet.csv sheet.csv --max-rejects=2
printf 'order,amount,trade_time\nB1,1.00,2026/1/5 9:05\nB2,2.00,2026-01-05 09:05\nB3,3.00,46027.38\n' >sheet_times.csv
compare 'CSV-26 times that a sheet rewrote are rejects; those without seconds are read' '1 0 2 0 0 0 2' good.csv sheet_times.csv --max-rejects=2
cp "$root/fixtures/archives/sheet.xlsx" xlsx.csv
refused 'CSV-27 an .xlsx named .csv' 'is a spreadsheet (.xlsx)' good.csv xlsx.csv
printf '\320\317\021\340\241\261\032\341\0\0\0\0\0\0\0\0' >xls.csv
refused 'CSV-27 an .xls named .csv' 'an Excel sheet (.xls)' good.csv xls.csv
zip -q zipped.zip good.csv && mv zipped.zip zipped.csv
compare 'CSV-27 a zip named .csv is unpacked, by content' '3 0 0 0 0 0 0' good.csv zipped.csv
printf '\n <!DOCTYPE html><html><body>502</body></html>\n' >page.csv
refused 'CSV-27 an error page named .csv' 'looks like HTML or XML' good.csv page.csv
printf '{"code":"NO_BILL"}' >json.csv
refused 'CSV-27 a message named .csv' 'looks like JSON' good.csv json.csv
cat >mine.yaml <<'END'
version: 1
profile: mine
timezone: Asia/Shanghai
layout: {kind: fixed, charset: GBK, trim: " ", widths: [{order: 8}, {amount: 8}, {kind: 4}]}
fields:
  biz_order_no: order
  biz_type: kind
  currency: {constant: CNY}
  amount: {column: amount, unit: minor, sign: signed}
  status: {constant: SUCCESS}
END
printf 'ORDER1  00000100\263\311\271\246\nORDER2  00000200\263\311  \n' >fixed.txt
profile_job fixed.txt
by_job 'CSV-28 widths count bytes, of GBK text too' 'ORDER1'
printf 'ORDER1  0000010\260\263\311\271\246\nORDER2  00000200\263\311  \n' >fixed.txt
job_refused 'CSV-28 a character over the end of a column' 'reject amount: fixed.txt:1@0'
printf 'ORDER1  00000100\263\311\271\nORDER2  00000200\263\311  \n' >fixed.txt
job_refused 'CSV-28 a short line' '19 bytes'
printf 'ORDER1  00000100\263\311\271\246 \nORDER2  00000200\263\311  \n' >fixed.txt
job_refused 'CSV-28 a long line' '21 bytes'

# ---- encodings ----
printf 'order,amount,note\nB1,1.00,\345\245\275\nB2,2.00,\360\237\216\211\nB3,3.00,\303\251\n' >utf8.csv
{ printf '\377\376'; iconv -f UTF-8 -t UTF-16LE utf8.csv; } >le.csv
{ printf '\376\377'; iconv -f UTF-8 -t UTF-16BE utf8.csv; } >be.csv
compare 'ENC-02 UTF-16, little endian with its mark' '3 0 0 0 0 0 0' utf8.csv le.csv --compare=note
compare 'ENC-02 UTF-16, big endian with its mark' '3 0 0 0 0 0 0' be.csv le.csv --compare=note
printf 'order,amount\nA1,1.00\nA3,3.00\n' >place_other.csv
# A place's offset counts bytes of the file as UTF-8, without the mark: `iconv` brings a person there.
printf 'order,amount\nA1,1.00\nÄ2,一.00\nA3,3.00\n' | iconv -f UTF-8 -t UTF-16 >place.csv
compare 'ENC-02 UTF-16, a row that is no record' '2 0 0 0 0 0 1' place.csv place_other.csv --max-rejects=1
place=$(tail -n 1 out/reject.csv)
at=${place##*@}
good=0
[ "${place%@*}" = "local,amount,amount,一.00,\"Ä2,一.00\",place.csv:3" ] && [ "$(iconv -f UTF-16 -t UTF-8 place.csv | tail -c "+$((at + 1))" | head -n 1)" = 'Ä2,一.00' ] && good=1
say $good 'ENC-02 UTF-16, the place of a row leads there'
iconv -f UTF-8 -t UTF-16LE utf8.csv >unmarked.csv
refused 'ENC-02 UTF-16 without its mark' 'UTF-16 text without a byte order mark' good.csv unmarked.csv
head -c 61 le.csv >le_cut.csv
refused 'ENC-02 UTF-16 cut inside a character' 'at byte 60 the file ends inside a character' good.csv le_cut.csv
cat >mine.yaml <<'END'
version: 1
profile: mine
timezone: Asia/Shanghai
layout: {charset: GB18030, delimiter: ",", quote: none, header: [order, amount]}
fields:
  biz_order_no: order
  currency: {constant: CNY}
  amount: {column: amount, unit: major, sign: signed}
  status: {constant: SUCCESS}
END
printf 'order,amount\nA\2252\2026B,1.00\nA\263\311B,1.00\n' >gb.csv
profile_job gb.csv
by_job 'ENC-04 a character of four bytes in GB18030' "$(printf 'A\360\240\200\200B')"
grep -qF "$(printf 'A\346\210\220B')" out/extra.csv || say 0 'ENC-04 a character of two bytes'
printf 'order,amount\nA\303\251\377B,1.00\n' >gb.csv
printf 'order,amount\nA,1\nA\346\210\220B,2\n' >utf8_order.csv
printf 'order,amount\nA,1\nA\263\311B,2\n' >gb_order.csv
compare 'ENC-04 a side in another charset that nobody named meets nobody under such a number' '1 0 1 1 0 0 0' utf8_order.csv gb_order.csv
said=$(grep 'warning: 1 records of the channel side .* no UTF-8, the first one at gb_order.csv:3@' stderr || true)
[ -n "$said" ] && ! grep -q 'local side .* no UTF-8' stderr && say 1 'ENC-04 and is told with its place' || say 0 'ENC-04 and is told with its place'
compare 'ENC-04 both in one charset match byte by byte' '2 0 0 0 0 0 0' gb_order.csv gb_order.csv
job_refused 'ENC-04 bytes that are none in the declared charset, with their row' 'reject charset: gb.csv:2@13'
{ printf 'order,amount\n'; i=0; while [ $i -lt 400 ]; do printf 'F%s,1.00\n' $i; i=$((i + 1)); done; } >filler.csv
{ cat filler.csv; printf 'ORD1\000A,1.00\n'; } >nul_a.csv
{ cat filler.csv; printf 'ORD1\000B,1.00\n'; } >nul_b.csv
head -c 2000 /dev/zero | tr '\0' '\n' >newlines
cat newlines >>nul_a.csv
{ head -c 5000 /dev/zero | tr '\0' ' ' | sed 's/^/order,amount,/'; printf '\nORD1\000A,1.00,\n'; } >long_a.csv
{ head -c 5000 /dev/zero | tr '\0' ' ' | sed 's/^/order,amount,/'; printf '\nORD1\000B,1.00,\n'; } >long_b.csv
compare 'ENC-05 a NUL in a key is a byte as any other: behind it keys differ' '0 0 1 1 0 0 0' long_a.csv long_b.csv
compare 'ENC-05 and equal keys with a NUL match' '1 0 0 0 0 0 0' long_a.csv long_a.csv
printf 'order,amount\nORD1\000A,1.00\n' >nul_head.csv
refused 'ENC-05 NULs in the first lines are no text' 'binary data' good.csv nul_head.csv
printf 'order,amount\n/,1.00\nA,1.00\nB,1.00\nC D,1.00\nE F,1.00\nG,1.00\n' >plain_keys.csv
printf 'order,amount\n\300\257,1.00\nA\357\273\277,1.00\n\355\240\200,1.00\nC\302\240D,1.00\nE\343\200\200F,1.00\n\357\274\247,1.00\n' >odd_keys.csv
compare 'ENC-07 overlong forms, surrogates, U+FEFF, U+00A0, U+3000 and full-width letters are other keys' '0 0 6 6 0 0 0' plain_keys.csv odd_keys.csv
printf 'order,amount\nab1,1.00\nX1,1.00\n007,1.00\n' >keys1.csv
printf 'order,amount\nAB1,1.00\nX1 ,1.00\n7,1.00\n' >keys2.csv
compare 'ENC-09 case, a trailing blank and leading zeros make other keys' '0 0 3 3 0 0 0' keys1.csv keys2.csv
printf '\357\273\277order,amount\nB1,1.00\nB2,2.00\nB3,3.00\n' >bom.csv
compare 'ENC-07 a byte order mark before the header is none of its text' '3 0 0 0 0 0 0' good.csv bom.csv
printf 'order,amount\nB1,1.00\nB2,\357\274\222.00\nB3,\331\243.00\n' >digits.csv
compare 'ENC-08 full-width and Arabic digits are no amounts' '1 0 2 0 0 0 2' good.csv digits.csv --max-rejects=2
mkdir locales
for locale in tr_TR ar_EG; do
    localedef -c -i $locale -f UTF-8 "locales/$locale.UTF-8" 2>/dev/null || true
done
printf 'order,amount,status\nI1,1.00,SUCCESS\ni2,2.50,FAILED\n"\304\260,3",3.00,SUCCESS\n' >l1.csv
printf 'order,amount,status\nI1,1.50,SUCCESS\ni2,2.50,SUCCESS\nx,1234567.89,SUCCESS\n' >l2.csv
good=1
for locale in C C.UTF-8 tr_TR.UTF-8 ar_EG.UTF-8; do
    rm -rf out
    LOCPATH=$work/locales LC_ALL=$locale LANG=$locale "$tieout" diff l1.csv l2.csv --key=order --amount=amount --compare=status --out=out \
        >"said.$locale" 2>stderr || true
    mv out/stats.json "stats.$locale"
    grep -v 'rows/s' stderr >>"said.$locale" # how long it took
    (cd out && for f in *; do echo "$f"; cat "$f"; done) >"files.$locale"
    cmp -s files.C "files.$locale" && cmp -s said.C "said.$locale" || { echo "$locale: other bytes"; good=0; }
done
say $good 'ENC-10 every locale gives the same bytes'

# ---- amounts ----
printf 'order,amount\nB1,\302\2431.00\nB2,\357\277\2452.00\nB3,3.00\345\205\203\n' >symbols.csv
compare 'AMT-04 currency signs that nobody declared are rejects, never 0' '0 0 3 0 0 0 3' good.csv symbols.csv --max-rejects=3
cat >mine.yaml <<'END'
version: 1
profile: mine
timezone: Asia/Shanghai
layout: {charset: UTF-8, delimiter: ";", quote: '"', header: [order, amount], decimal: ","}
fields:
  biz_order_no: order
  currency: {constant: CNY}
  amount: {column: amount, decimal: ",", strip: ".￥元", unit: major, sign: signed}
  status: {constant: SUCCESS}
END
printf 'order;amount\nA;\357\277\2451.234,50\nB;12,5\345\205\203\n' >comma.csv
profile_job comma.csv
by_job 'AMT-04 declared signs, groups and a decimal comma' 'A,,,,2026-01-05,,IN,CNY,1234.50'
grep -q ',12.50,' out/extra.csv || say 0 'AMT-04 a decimal comma'
printf 'order;amount\nA;1234.50\n' >comma.csv
job_refused 'AMT-04 a point where decimals stand behind a comma would be a hundredfold' 'reject amount'
printf 'order,amount\nB1,"1,000.00"\nB2,"12,34,567.00"\nB3,"12,50"\nB4,"1,2345"\nB5,",100"\nB6,1000.00\n' >grouped.csv
printf 'order,amount\nB1,1000\nB2,1234567\nB3,12.50\nB4,12345\nB5,100\nB6,1000\n' >ungrouped.csv
printf 'version: 1\njob: j\nchannel_code: X\ncurrency: CNY
local: {files: ungrouped.csv, fields: {biz_order_no: order, amount: amount}}
channel: {files: grouped.csv, rejects: {max: 3}, fields: {biz_order_no: order, amount: {column: amount, strip: ","}}}
match: {keys: [[biz_order_no]]}\n' >job.yaml
rm -rf out made
"$tieout" run job.yaml --date=2026-01-05 --out=made --write-match >stdout 2>stderr || true
mv made/j/2026-01-05 out
[ "$(outcome)" = '3 0 3 0 0 0 3' ] && good=1 || good=0
say $good 'AMT-04 a stripped comma must group digits: 12,50 is a reject, not 1250'
printf 'order,amount,currency\nB1,100,CNY\nB2,200,CNY\nB3,300,CNY\nJ1,500,JPY\n' >fen.csv
printf 'order,amount,currency\nB1,1.00,CNY\nB2,2.00,CNY\nB3,3.00,CNY\nJ1,500,JPY\n' >yuan.csv
compare 'AMT-07 fen against yuan: every pair differs ...' '1 3 0 0 0 0 0' fen.csv yuan.csv
if grep -q "in CNY all 3 pairs differ, and the local side's amounts are 100 times the other's" stderr; then good=1; else good=0; fi
say $good 'AMT-07 ... and the factor is called out as a unit error'
printf 'order,amount,currency\nB1,1.00,CNY\nB2,2.01,CNY\nB3,3.00,CNY\nJ1,500,JPY\n' >near.csv
compare 'AMT-07 no factor where only some differ' '1 3 0 0 0 0 0' fen.csv near.csv
if grep -q 'times the other' stderr; then say 0 'AMT-07 a factor that is none'; fi
printf 'order,amount\nB1,1\nB2,2.0\nB3,3.000000\n' >zeros.csv
compare 'AMT-08 1, 1.0 and 1.00 are one amount' '3 0 0 0 0 0 0' good.csv zeros.csv
printf 'order,amount\nZ1,0.00\nZ2,-0.00\nZ3,+0\n' >zero1.csv
printf 'order,amount\nZ1,-0\nZ2,0\nZ3,-0.000\n' >zero2.csv
compare 'AMT-09 -0.00 is 0.00' '3 0 0 0 0 0 0' zero1.csv zero2.csv
printf 'order,amount,fee\nB1,1.00,0.60%%\nB2,2.00,0.01\nB3,3.00,\n' >percent.csv
compare 'AMT-12 a percentage in a fee column is no fee' '2 0 1 0 0 0 1' good.csv percent.csv --max-rejects=1

# ---- dates and zones ----
cat >mine.yaml <<'END'
version: 1
profile: mine
timezone: America/New_York
layout: {charset: UTF-8, delimiter: ",", quote: '"', header: [order, amount, time]}
fields:
  biz_order_no: order
  currency: {constant: USD}
  amount: {column: amount, unit: major, sign: signed}
  trade_time: time
  status: {constant: SUCCESS}
END
{
    printf 'order,amount,time\n'
    printf 'S1,1.00,2026-03-08 01:59:59\nS2,1.00,2026-03-08 02:30:00\nS3,1.00,2026-03-08 03:00:00\n'
    printf 'A1,1.00,2026-11-01 00:59:59\nA2,1.00,2026-11-01 01:30:00\nA3,1.00,2026-11-01 02:00:00\n'
} >dst.csv
profile_job dst.csv UTC
by_job 'DT-05 hours that the clock jumps over and that it has twice' '2026-03-08T07:30:00'
for time in 2026-03-08T06:59:59 2026-03-08T07:00:00 2026-11-01T04:59:59 2026-11-01T05:30:00 2026-11-01T07:00:00; do
    grep -q "$time" out/extra.csv || { echo "$time is not there"; say 0 'DT-05'; }
done
[ "$(lines extra)" -eq 6 ] || say 0 'DT-05 no row is lost or doubled'
printf 'order,amount,trade_time\nB1,1.00,2024-02-29 00:00:00\nB2,2.00,2023-02-29 00:00:00\nB3,3.00,2024-13-01 00:00:00\n' >dates1.csv
compare 'DT-03 29 February of a leap year only, no 13th month' '1 0 2 0 0 0 2' good.csv dates1.csv --max-rejects=2
printf 'order,amount,trade_time\nB1,1.00,2024-01-01 24:00:00\nB2,2.00,2024-01-01 23:59:60\nB3,3.00,0001-01-01 00:00:00\nB4,1.00,9999-12-31 00:00:00\n' >dates2.csv
compare 'DT-03 24:00:00, 23:59:60 and years 1 and 9999 are rejects' '0 0 3 0 0 0 4' good.csv dates2.csv --max-rejects=4
printf 'order,amount,trade_time\nB1,1.00,2024-12-31 23:59:59\nB2,2.00,2025-01-01 00:00:00\nB3,3.00,2024-12-30 00:00:00\n' >new_year.csv
compare 'DT-04 the days around a new year' '3 0 0 0 0 0 0' good.csv new_year.csv
if grep -q ',2024-12-31' out/match.csv && grep -q ',2025-01-01' out/match.csv && grep -q ',2024-12-30' out/match.csv; then good=1; else good=0; fi
say $good 'DT-04 and their dates are those of the calendar, no week-year'
printf 'order,amount,trade_time\nB1,1.00,1767573000\nB2,2.00,1767573000000\nB3,3.00,2026-01-05T08:30:00+08:00\n' >epochs.csv
compare 'DT-11 seconds and milliseconds that nobody declared are rejects' '1 0 2 0 0 0 2' good.csv epochs.csv --max-rejects=2

# A file of one column that is key and amount at once, without a header, whose first byte is a line end: the loop of usual rows looked for a
# carriage return one byte before the file.
printf '\n5\n6\n' >one_local.csv
printf '5\r\n\r\n6\r\n' >one_channel.csv
cat >one.yaml <<'END'
version: 1
job: one
channel_code: X
timezone: UTC
currency: CNY
local: {files: one_local.csv, format: csv, csv: {header: false, columns: [v]}, fields: {biz_order_no: v, amount: v}}
channel: {files: one_channel.csv, format: csv, csv: {header: false, columns: [v]}, fields: {biz_order_no: v, amount: v}}
match: {keys: [[channel_code, biz_order_no]], compare: [amount]}
output: {dir: one, match: true}
END
code=0
"$tieout" run one.yaml --date=2026-11-19 >stdout 2>stderr || code=$?
good=0
[ "$code" -eq 0 ] && [ "$(wc -l <one/one/2026-11-19/match.csv)" -eq 3 ] && good=1
say $good 'a blank line as the first of a file of one column'

# ---- what a spreadsheet would run ----
# Every cell is harmless, and no two texts give one cell: an apostrophe less where there is one before such a sign, and it is the text again.
cat >formulas.py <<'END'
import csv, re, sys
signs = "=+-@\t\uff1d\uff0b\uff0d\uff20"
keys = [before + sign + after for sign in signs for before in ("", "'", "''", "x") for after in ("1", ",1", '"x"')] + ["'", "''", "'x", "\uff0c1"]
if len(sys.argv) > 1:
    for name, step in (("formulas.csv", 0), ("formulas2.csv", 1)):
        with open(name, "w", newline="", encoding="utf-8") as file:
            file.write("order,amount\n" + "".join('"%s",%d.00\n' % (key.replace('"', '""'), 1 + step * (i % 2)) for i, key in enumerate(keys)))
    sys.exit()
found = []
for name in ("out/match.csv", "out/mismatch.csv"):
    for row in csv.DictReader(open(name, newline="", encoding="utf-8")):
        cell = row["biz_order_no"]
        assert not re.match("[%s]" % re.escape(signs), cell), cell
        found.append(cell[1:] if re.match("'+[%s]" % re.escape(signs), cell) else cell)
assert sorted(found) == sorted(keys), set(found) ^ set(keys)
END
python3 formulas.py make
compare 'CSV-31 keys that begin like formulas' '56 56 0 0 0 0 0' formulas.csv formulas2.csv
good=0
python3 formulas.py 2>stderr && good=1
say $good 'CSV-31 none is run, and each can be had back'

# ---- currencies without a minor unit (ISO 4217: N.A.) ----
printf 'order,amount,currency\nG1,1.2345,XAU\nG2,2.00,xdr\n' >metals.csv
compare 'AMT-13 metals and units of account are currencies' '2 0 0 0 0 0 0' metals.csv metals.csv
good=0
grep -q '"XAU": *"1.2345"' out/summary.json && grep -q '"XDR": *"2"' out/summary.json && good=1
say $good 'AMT-13 printed without decimals they do not have'

exit $wrong
