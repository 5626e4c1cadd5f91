#!/bin/sh
# tests/book/sheets.sh TIEOUT: a sheet of errors that comes back otherwise than it went: rows torn apart are refused, all of them, and what a
# spreadsheet only writes otherwise is right.
set -eu
. "$(dirname -- "$0")/common.sh"

mkdir book
for name in AL WX; do
    job $name 0 >book/$name.yaml
    rows book $name 1 "${name}s,1.00,SUCCESS\n" "t0,${name}s,1.00,SUCCESS\nt1,${name}a,2.00,SUCCESS\nt2,${name}b,2.00,SUCCESS\nt3,0012,3.00,SUCCESS\nt4,123456789012345678,4.00,SUCCESS\n"
done
printf 'version: 1\n' >book/book.yaml
expect 0 'made' t task init --date=2026-11-01 --jobs=book
expect 1 '2 tasks done' t task run --jobs=book
t errors list --format=csv --jobs=book >clean.csv
[ "$(wc -l <clean.csv)" -eq 9 ] || fail "$(wc -l <clean.csv) lines of a sheet of 8 errors"

# sheet HOW: clean.csv with resolve in each row of channel AL, and then changed by HOW, a line of Python on `rows`.
sheet() {
    python3 - "$1" <<'PY'
import csv, sys
rows = list(csv.DictReader(open("clean.csv", newline="")))
for r in rows:
    if r["channel_code"] == "AL":
        r["action"], r["reason"] = "resolve", "mended"
exec(sys.argv[1])
with open("sheet.csv", "w", newline="") as out:
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
PY
}
state() { t errors list --all --format=csv --jobs=book | cut -d, -f1-4; }
state >before

# ---- torn apart: each column that says which order it is, sorted by itself, or one cell of it changed
for column in id biz_order_no channel_order_no channel_code task; do
    sheet "
for r, value in zip(rows, sorted((r['$column'] for r in rows), reverse=rows[0]['$column'] < rows[-1]['$column'])): r['$column'] = value"
    expect 3 'nothing of the sheet was done' t errors import sheet.csv --jobs=book
    grep -q '^line [2-9]: [a-z_]* is ".*" here, and ".*" in the error [0-9a-f]*$' said || { fail "$column: the rows are not told:"; cat said; }
    state | cmp -s before - || fail "$column: something was done"
done
# one row alone, also one with nothing to do, and where the rest is right
sheet "rows[-1]['biz_order_no'] = 'ALz'; assert not rows[-1]['action']"
expect 3 'line 9: biz_order_no is "ALz" here' t errors import sheet.csv --jobs=book
sheet "rows[0]['class'] = 'missing'"
expect 3 'line 2: class is "missing" here, and "extra" in the error' t errors import sheet.csv --jobs=book
# a block that was pasted a row off, and what it says cannot steer a terminal
sheet "
for a, b in list(zip(rows, rows[1:]))[::-1]: b['biz_order_no'] = a['biz_order_no'] + '\033[2J'"
expect 3 '?[2J" here' t errors import sheet.csv --jobs=book
# a file of many lines says the first of them
python3 - <<'PY'
rows = open("sheet.csv", newline="").read().split("\r\n")
open("long.csv", "w", newline="").write("\r\n".join(rows[:1] + rows[2:-1] * 10 + [""]))
PY
expect 3 '... and 50 more' t errors import long.csv --jobs=book
state | cmp -s before - || fail 'something was done'

# ---- written otherwise: numbers, dates and amounts as spreadsheets make them, other columns, cells that are empty
sheet "
for r in rows:
    r['biz_order_no'] = {'0012': '12', '123456789012345678': '1.23457E+17'}.get(r['biz_order_no'], r['biz_order_no'])
    r['bill_date'], r['opened_at'], r['amount'], r['delta'] = '2026/11/1', '11/22/2026 8:33', '2', '\$2.00 '
    del r['severity'], r['channel_order_no']
rows[0]['task'] = ''"
cp -a book kept
expect 0 '4 done' t errors import sheet.csv --jobs=book
[ "$(state | grep -c ',resolved,')" -eq 4 ] || fail 'a sheet that is only written otherwise'
# without a column that says which order it is: by the id alone
rm -rf book
mv kept book
sheet "
for r in rows: del r['class'], r['channel_code'], r['biz_order_no'], r['channel_order_no'], r['task'], r['currency']"
expect 0 '4 done' t errors import sheet.csv --jobs=book
# and where rows are left, the others are done, and told by their lines
sheet "
rows[0]['action'] = rows[1]['action'] = rows[7]['action'] = ''
rows[5].update(action='claim'); rows[6].update(action='burn')"
expect 1 'line 8: ' t errors import sheet.csv --jobs=book
grep -q '^1 done, 0 were so already, 3 not$' said || { fail 'rows that are left:'; cat said; }
finish 'sheets that were torn apart are refused, others are done'
