#!/bin/sh
# tests/golden/refusals/setup.sh: makes, in the current folder, two good bills and one of every bad kind.
set -eu
printf 'order,amount,status\nB1,10.00,SUCCESS\nB2,20.50,SUCCESS\nB3,3.00,FAILED\n' >good.csv
cp good.csv other.csv
mkdir folder.csv
: >empty.csv
printf 'order,amount,status\n' >header_only.csv
printf '\n\n' >blank.csv
printf 'order' >one_word.csv
printf 'Order No,Total\n1,2\n' >wrong_header.csv
printf 'order,amount,order\nB1,1,B1\n' >doubled_header.csv
printf 'order,"amount,status\nB1,1,x\n' >open_quote_header.csv
printf 'order,am"ount,status\nB1,1,x\n' >stray_quote_header.csv
printf '\000\001\002\003binary\n' >binary.csv
printf 'PK\003\004aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' >zip.csv
printf '\037\213\010\000aaaaaaaaaaaaaaaaaaaaaaaaa' >gzip.csv
printf '<!DOCTYPE html>\n<html><body>Session expired</body></html>\n' >page.csv
printf '{"code": 40004, "msg": "bill not ready"}\n' >answer.csv
printf 'o\000r\000d\000e\000r\000,\000' >utf16.csv
printf '%%PDF-1.7 aaaaaaaaaaaa' >pdf.csv
printf 'order,amount,status\nB1,10.00,SUCCESS\nB2,20.50,"SUCC' >cut_in_quote.csv
printf 'order,amount,status\nB1,10.00,SUCCESS\r' >cut_behind_cr.csv
printf 'order,amount,status\nB1,10.00,SUCCESS\nB2,ten,SUCCESS\nB3,3.00\n' >two_rejects.csv
{
    printf 'order,amount,status\n'
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf 'B%s,%s.%s.0,SUCCESS\n' $i $i $i; done
} >twelve_rejects.csv
printf 'order,amount,status\nB1,1,"a"b\nB"2,2,x\nB3,3,x\ry\nB4,99999999999999,x\nB5,0.1234567,x\nB6,,x\nB7,1e3,x\nB8,7,x,y\n' >every_reject.csv
{
    printf 'order,amount,status\nB1,1,"'
    head -c 2097152 /dev/zero | tr '\0' x
    printf '"\nB2,2,x\n'
} >long_row.csv
{
    printf 'order,amount'
    i=0
    while [ $i -lt 9999 ]; do
        printf ',c%s' $i
        i=$((i + 1))
    done
    printf '\n'
} >many_columns.csv
ln -s nowhere.csv dangling.csv
mkfifo fifo.csv
cp good.csv locked.csv
chmod 000 locked.csv
mkdir sealed
chmod 555 sealed
# Output folders that are not tieout's.
mkdir alien
printf 'do not lose\n' >alien/thesis.doc
printf 'a file\n' >file
ln -s alien link
# A day's logs with one missing in the middle, and bills for the jobs with a log.
mkdir gap
cp fixtures/binlogs/recorded/mariadb-10.11.19/02_alter_middle_rotate/bin.000004 gap/bin.000004
cp fixtures/binlogs/recorded/mariadb-10.11.19/02_alter_middle_rotate/bin.000005 gap/bin.000006
printf 'order,amount\nPO1,1.00\n' >bill.csv
# Packed bills.
gzip -nc good.csv >good.csv.gz
head -c 30 good.csv.gz >cut.csv.gz
{ cat good.csv.gz; printf 'and more\n'; } >garbage.csv.gz
{ cat good.csv.gz; head -c 60 good.csv.gz; } >cut_second.csv.gz
gzip -nc good.csv.gz >twice.csv.gz
gzip -nc </dev/null >nothing.csv.gz
{ cat good.csv; head -c 80000000 /dev/zero | tr '\0' '\n'; } | gzip -n >bomb.csv.gz
head -c 40 good.csv.gz >flipped.csv.gz
printf '\252' >>flipped.csv.gz
tail -c +42 good.csv.gz >>flipped.csv.gz
zstd -q -c good.csv >good.csv.zst
head -c 40 good.csv.zst >cut.csv.zst
{ cat good.csv.zst; printf 'and more\n'; } >garbage.csv.zst
cp good.csv.gz gzip_named.csv
cp good.csv plain_named.csv.gz
