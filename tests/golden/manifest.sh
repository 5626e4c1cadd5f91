#!/bin/sh
# tests/golden/manifest.sh TIEOUT: admission. Files are known by their contents from day to day, and a file that changes while it is
# read is refused. Every wrong is told; exit 1 when there is one.
set -eu
tieout=$(readlink -f -- "$1")
# shellcheck source=tests/support/processes.sh
. "$(dirname -- "$0")/../support/processes.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
failed=0
wrong()
{
    echo "WRONG: $*"
    sed 's/^/    /' stderr
    failed=1
}
# run DATE EXIT ['words that stderr must hold']
run()
{
    code=0
    "$tieout" run job.yaml --date="$1" >stdout 2>stderr || code=$?
    [ "$code" -eq "$2" ] || wrong "$1: exit code $code, expected $2"
    [ $# -lt 3 ] || grep -q -- "$3" stderr || wrong "$1: does not say: $3"
}
rows() { sqlite3 manifest.db "SELECT count(*) FROM admitted_file WHERE side = 'channel'"; }

cat >job.yaml <<'END'
version: 1
job: shop
channel_code: SHOP
currency: CNY
local: {files: "local/{date}.csv", fields: {biz_order_no: order, amount: amount}}
channel: {files: "bills/{date}*", fields: {biz_order_no: order, amount: amount}}
match: {keys: [[biz_order_no]]}
output: {dir: out}
manifest: manifest.db
END
mkdir local bills
for day in 19 20 21 22; do printf 'order,amount\nA%s,10.00\nB%s,20.50\n' $day $day >local/2026-11-$day.csv; done
cp local/2026-11-19.csv bills
run 2026-11-19 0
[ "$(rows)" -eq 1 ] || wrong "one file was admitted, the manifest has $(rows)"
sum=$(sha256sum bills/2026-11-19.csv | cut -d' ' -f1)
[ "$(sqlite3 manifest.db "SELECT content, bytes, row_count, revision FROM admitted_file WHERE side = 'channel'")" = "sha256:$sum|33|2|1" ] ||
    wrong "the manifest says $(sqlite3 manifest.db 'SELECT * FROM admitted_file')"
[ "$(sqlite3 manifest.db "SELECT file, content, row_count FROM admitted_file WHERE side = 'local'")" = "local/2026-11-19.csv|sha256:$sum|2" ] ||
    wrong "the local side is not in the manifest: $(sqlite3 manifest.db 'SELECT * FROM admitted_file')"
# The same again changes nothing.
cp -r out before
run 2026-11-19 0
[ "$(rows)" -eq 1 ] || wrong "the same file was admitted twice"
diff -r -x stats.json before out >/dev/null || wrong "the same input gave other results"
# Yesterday's bill under today's name.
cp bills/2026-11-19.csv bills/2026-11-20.csv
run 2026-11-20 3 'holds the very bytes that were admitted for 2026-11-19'
[ ! -e out/shop/2026-11-20 ] || wrong "a refused bill left results"
[ "$(rows)" -eq 1 ] || wrong "a refused file was admitted"
# So is yesterday's book under today's name; the same book sent again with other bytes is told.
mkdir kept
cp local/2026-11-20.csv kept
cp local/2026-11-19.csv local/2026-11-20.csv
cp kept/2026-11-20.csv bills/2026-11-20.csv
run 2026-11-20 3 'local/2026-11-20.csv holds the very bytes that were admitted for 2026-11-19'
cp kept/2026-11-20.csv local/2026-11-20.csv
printf 'order,amount\nA19,10.00\nB19,20.50\n\n' >local/2026-11-19.csv
run 2026-11-19 0 'local/2026-11-19.csv is a restatement.*revision 2'
printf 'order,amount\nA19,10.00\nB19,20.50\n' >local/2026-11-19.csv
# Packed, it has other bytes; the zip of tomorrow is that of today.
rm bills/2026-11-20.csv
(cd bills && cp ../local/2026-11-20.csv bill.csv && zip -q 2026-11-20.zip bill.csv && rm bill.csv && cp 2026-11-20.zip 2026-11-21.zip)
run 2026-11-20 0
run 2026-11-21 3 'manifest.doubled'
# A restatement.
printf 'order,amount\nA19,10.00\n' >bills/2026-11-19.csv
run 2026-11-19 1 'is a restatement.*revision 2'
[ "$(rows)" -eq 3 ] || wrong "the restated file is not in the manifest"
cp local/2026-11-19.csv bills/2026-11-19.csv
run 2026-11-19 0 'is revision 1 of 2 again'
# Two files of one content in one run.
cp local/2026-11-22.csv bills/2026-11-22.csv
cp local/2026-11-22.csv bills/2026-11-22b.csv
run 2026-11-22 0 'have the same content'
# Empty days are alike, and may be.
printf 'order,amount\n' | tee bills/2026-11-23.csv bills/2026-11-24.csv local/2026-11-23.csv >local/2026-11-24.csv
run 2026-11-23 0
run 2026-11-24 0
# A manifest that is gone, another one in its place, an older copy of it, a newer program's.
state() { rm -rf out; run 2026-11-24 6 "$1"; [ ! -e out ] || wrong "$1: results were published"; }
sqlite3 manifest.db 'PRAGMA wal_checkpoint(TRUNCATE)' >stdout
rm -f manifest.db-wal manifest.db-shm
cp manifest.db older.db
run 2026-11-24 0
sqlite3 manifest.db 'PRAGMA wal_checkpoint(TRUNCATE)' >stdout
mv manifest.db newer.db
rm -f manifest.db-wal manifest.db-shm
state 'manifest.db was there, with 10 admissions, and is gone'
grep -q 'hint: bring the manifest back from a backup; to begin a new one' stderr || wrong "no way out is told"
[ ! -e manifest.db ] || wrong "it was made anew"
cp older.db manifest.db
state 'is an older copy: it has 9 admissions, and had 10'
cp newer.db manifest.db
sqlite3 manifest.db "UPDATE manifest SET id = '00112233445566778899aabbccddeeff'"
state 'is another manifest than the one that'
cp newer.db manifest.db
rm -f manifest.db-wal manifest.db-shm
sqlite3 manifest.db 'PRAGMA user_version = 3'
state 'was written by a newer version'
cp newer.db manifest.db
rm -f manifest.db-wal manifest.db-shm
cp manifest.db.mark kept.mark
printf 'nonsense\n' >manifest.db.mark
state 'manifest.db.mark is damaged'
cp kept.mark manifest.db.mark
dd if=/dev/zero of=manifest.db bs=1 seek=4100 count=3000 conv=notrunc 2>/dev/null
state 'damaged'
cp newer.db manifest.db
rm -f manifest.db-wal manifest.db-shm
run 2026-11-24 0
# One that an earlier version wrote goes on; begun anew on purpose, nothing is known.
sqlite3 old_format.db "CREATE TABLE admitted_file (job TEXT NOT NULL, bill_date TEXT NOT NULL, file TEXT NOT NULL, content TEXT NOT NULL,
    bytes INTEGER NOT NULL, row_count INTEGER NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (job, bill_date, file, content)) WITHOUT ROWID;
    INSERT INTO admitted_file VALUES ('shop', '2026-11-19', 'bills/2026-11-19.csv', 'sha256:$sum', 33, 2, 1)"
rm -f manifest.db*
cp old_format.db manifest.db
cp local/2026-11-19.csv bills/2026-11-25.csv
printf 'order,amount\nC,1.00\n' >local/2026-11-25.csv
run 2026-11-25 3 'bytes that were admitted for 2026-11-19'
rm -f manifest.db*
cp newer.db manifest.db
# A manifest that is damaged, or none.
cp manifest.db kept.db
rm -f manifest.db-wal manifest.db-shm
printf 'this is no database, but long enough to be looked at as if it were one' >manifest.db
run 2026-11-19 6
rm -f manifest.db*
mv kept.db manifest.db
run 2026-11-19 0

# ARC-15: it changes, grows or is replaced while it is read.
"$tieout" gen --rows=200000 --seed=3 --out=day 2>gen.log
gzip -1 -nc day/channel.csv >channel.csv.gz
for way in touch grow replace; do
    seen=0
    for try in $(seq 100); do # until it came in time: a busy machine may let the program run to its end first
        cp channel.csv.gz moving.csv.gz
        "$tieout" diff day/local.csv moving.csv.gz --key=channel_code,biz_order_no --amount=amount --out=result --threads=1 >stdout 2>stderr &
        pid=$!
        # Not by the clock: when it has the file open, however busy the machine is.
        until ls -l /proc/$pid/fd 2>/dev/null | grep -q moving.csv.gz || has_ended $pid; do :; done
        kill -STOP $pid 2>/dev/null || true
        case $way in
        touch) touch moving.csv.gz ;;
        grow) printf '\0' >>moving.csv.gz ;;
        replace) cp channel.csv.gz other && mv other moving.csv.gz ;;
        esac
        kill -CONT $pid 2>/dev/null || true
        code=0
        wait $pid || code=$?
        [ "$code" -le 1 ] || [ "$code" -eq 3 ] || wrong "$way: exit code $code"
        if [ "$code" -eq 3 ]; then
            seen=1
            grep -q 'file.changed' stderr || wrong "$way: refused for another reason"
            [ ! -e result ] || wrong "$way: a changed file left results"
        fi
        rm -rf result
        [ $seen -eq 0 ] || break
    done
    [ $seen -eq 1 ] || wrong "$way: no run saw the file change"
done
[ $failed -eq 0 ] && echo "admission is as promised"
exit $failed
