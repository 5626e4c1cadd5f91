#!/bin/sh
# tests/book/migrate.sh TIEOUT STEP: states that older programs made are brought up to date: with a copy beside them, under kill -9 at every
# STEPth call (builds with TIEOUT_FAULTS), and days go on as if this program had done all of them: same digests, errors under the ids that
# sinks know. CR-08.
set -eu
. "$(dirname -- "$0")/common.sh"
step=${2:-1}
ask() { # FILE SQL
    python3 -c 'import sqlite3, sys
for row in sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True).execute(sys.argv[2]):
    print("|".join(str(c) for c in row))' "$@"
}
newest=$(sed -n 's/.*STATE_VERSION = \([0-9]*\).*/\1/p' "$root/io/store/state.h")
schema() { ask "$1" "SELECT m.type, m.name, t.name, t.type, t.[notnull], t.dflt_value, t.pk FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) t ORDER BY 2, 3"; }
digests() { grep -h '"digest"' "$1"/out/O/*/summary.json; }
fourth() { # what comes behind the days that are done
    expect 0 'made' t task init --date=2026-11-04 --jobs="$1"
    expect 0 '1 task done' t task run --jobs="$1"
    expect 0 'made' t task init --date=2026-11-05 --jobs="$1"
    expect 0 '1 task done' t task run --jobs="$1"
    expect 0 'all agree' t verify --jobs="$1"
    expect 0 'pushed' t push --jobs="$1"
}

# the same days, all of them by this program
sh "$root/fixtures/states/make.sh" "$tieout" "$work/fresh.tar.gz" >made 2>&1 || { cat made; exit 1; }
mkdir fresh
tar -C fresh -xzf fresh.tar.gz
fourth fresh
schema fresh/state/state.db >want.schema

for version in 2 3; do
    rm -rf book
    mkdir book
    tar -C book -xzf "$root/fixtures/states/version-$version.tar.gz"
    cp book/told.jsonl told.before
    expect 6 'brings it up to date' t status --jobs=book
    [ "$(ask book/state/state.db 'PRAGMA user_version')" = $version ] || fail 'a look changed the state'
    expect 0 "was of version $version and is brought to version $newest" t task init --date=2026-11-04 --jobs=book
    [ "$(ask book/state/state.db 'PRAGMA user_version')" = "$newest" ] || fail 'its version'
    copy=book/state/state.db.version-$version
    [ "$(ask "$copy" 'PRAGMA user_version'):$(ask "$copy" 'PRAGMA quick_check'):$(stat -c %a "$copy")" = "$version:ok:600" ] || fail 'the copy'
    schema book/state/state.db >got.schema
    diff want.schema got.schema || fail "tables of a state that was of version $version are not those of a new one"
    expect 0 'all agree' t verify --jobs=book
    fourth book
    digests fresh >want
    digests book | diff want - || fail "version $version: digests differ from those of a book that is this program's own"
    grep -q 't1,.*repeated' book/out/O/2026-11-04/duplicate.csv || fail 'what came on a day that the older program did is not known again'
    # what it told of is ended under the id by which it was told, and nothing is told under two
    python3 - book/told.jsonl told.before <<'PY' || failures=$((failures + 1))
import json, sys
told = [json.loads(line) for line in open(sys.argv[1])]
before = [json.loads(line) for line in open(sys.argv[2])]
known = {m["order_id"] for m in before}
new = told[len(before):]
old = [m for m in before if m["biz_order_no"] == "old" and m["kind"] == "verdict"]
ends = [m for m in new if m["kind"] == "reversal" and m["biz_order_no"] == "old"]
if len(old) != 1 or [m["order_id"] for m in ends] != [old[0]["id"]]:
    sys.exit("FAILED: the error of `old` was told as %s, and its end as %s" % (old, ends))
seen = {}
for m in told:
    if m["kind"] == "verdict":
        who = (m["task"], m["class"], m["biz_order_no"], m["revision"])
        if seen.setdefault(who, m["id"]) != m["id"]:
            sys.exit("FAILED: %s was told under two ids" % (who,))
PY
    expect 1 '5 tasks done' t task rerun --date=2026-11-01 --cascade --jobs=book
    expect 0 'pushed 0;' t push --jobs=book
    expect 0 'all agree' t verify --jobs=book
    digests book | diff want - || fail "version $version: digests differ after a rerun"
done

# what is no version that can be brought up to date, and what a newer program made, is refused as it is
rm -rf book
mkdir book
tar -C book -xzf "$root/fixtures/states/version-2.tar.gz"
for no in 1 $((newest + 1)); do
    python3 -c 'import sqlite3, sys
db = sqlite3.connect("book/state/state.db"); db.execute("PRAGMA user_version = " + sys.argv[1]); db.commit()' $no
    sum=$(ask book/state/state.db 'SELECT count(*) FROM sqlite_master')
    expect 6 "version $no" t task init --date=2026-11-04 --jobs=book
    [ "$(ask book/state/state.db 'PRAGMA user_version'):$(ask book/state/state.db 'SELECT count(*) FROM sqlite_master')" = "$no:$sum" ] || fail "a state of version $no was changed"
done
# while somebody works at it, it is left alone
rm -rf book
mkdir book
tar -C book -xzf "$root/fixtures/states/version-2.tar.gz"
(
    flock -x 9
    expect 6 'another tieout does' t task init --date=2026-11-04 --jobs=book
    exit "$failures"
) 9>>book/state/lock || failures=$((failures + 1))
[ "$(ask book/state/state.db 'PRAGMA user_version')" = 2 ] || fail 'it was changed behind the back of another tieout'

# killed, or failing, at any call: a state of one version or the next, and the next try goes on
mv book base
init() { "$tieout" task init --date=2026-11-04 --jobs=book >said 2>&1; }
cp -a base book
TIEOUT_COUNT_CALLS=1 init || fail 'init'
calls=$(sed -n 's/.* io \([0-9]*\)$/\1/p' said)
rounds=0
n=1
while [ "$n" -le "${calls:-0}" ]; do
    for mode in kill fail; do
        rm -rf book
        cp -a base book
        code=0
        if [ $mode = kill ]; then
            TIEOUT_FAIL_KILL=1 TIEOUT_FAIL_IO=$n init || code=$?
            TIEOUT_FAIL_KILL=1 TIEOUT_FAIL_IO=$((1 + n * 7 % calls)) init || code=$?
        else
            TIEOUT_FAIL_IO=$n TIEOUT_FAIL_ERRNO=28 init || code=$?
            case $code in 0 | 4 | 6) ;; *) cat said; fail "call $n failed: exit code $code" ;; esac
        fi
        init || { cat said; fail "call $n of $calls ($mode): it does not go on"; }
        schema book/state/state.db | diff -q want.schema - >/dev/null || fail "call $n of $calls ($mode): tables"
        [ "$(ask book/state/state.db.version-2 'PRAGMA user_version')" = 2 ] || fail "call $n of $calls ($mode): the copy"
        rounds=$((rounds + 1))
    done
    n=$((n + step))
done
[ "${calls:-0}" -gt 0 ] && expect 0 'all agree' t verify --jobs=book
finish "older states go on: as they should ($rounds rounds over ${calls:-0} calls)"
