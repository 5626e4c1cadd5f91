#!/bin/sh
# tests/book/gone.sh TIEOUT: a job file that is gone while its queue carries records is told (job.gone), until it is back or nothing is left.
set -eu
. "$(dirname -- "$0")/common.sh"

alarms() { t status --json --jobs=book | python3 -c 'import json, sys; print(" ".join(a["kind"] + ":" + a["subject"] + ":" + a["grade"] for a in json.load(sys.stdin)["alarms"]))'; }
told() { # WHAT WANT
    [ "$(alarms)" = "$2" ] || fail "$1: \"$(alarms)\", expected \"$2\""
}
mkdir book
for q in A W; do
    job $q 3 >book/$q.yaml
    for d in 1 2 3 4; do rows book $q $d "$q$d,1.00,SUCCESS\n" "t$q$d,$q$d,1.00,SUCCESS\n"; done
done
rows book W 1 'open,2.00,SUCCESS\n' ''
expect 0 '2 tasks made' t task init --date=2026-11-01 --jobs=book
expect 0 '2 tasks done' t task run --jobs=book
told 'both are there' ''
mv book/W.yaml book/W.yaml.off
expect 0 'queue W/-: done to 2026-11-01, carries 1 open records' t task init --date=2026-11-02 --jobs=book
told 'one is gone' 'job.gone:W/-:critical'
expect 0 '1 task done' t task run --jobs=book
expect 0 'it was W.yaml' t status --jobs=book
told 'told once' 'job.gone:W/-:critical'
mv book/W.yaml.off book/W.yaml
expect 0 '1 task made' t task init --date=2026-11-02 --jobs=book
told 'it is back' ''

# given up on purpose: one more day ends what is open, and nobody misses the file
job W 0 >book/W.yaml
expect 1 '1 task done' t task run --jobs=book
rm book/W.yaml
expect 0 '1 task made' t task init --date=2026-11-03 --jobs=book
told 'nothing is left of it' ''
expect 0 '1 task done' t task run --jobs=book
told 'nothing is left of it' ''

# another file with the same queue is its job; a broken one is told as broken
t task init --date=2026-11-04 --jobs=book 2>/dev/null
mv book/A.yaml book/renamed.yaml
expect 0 '1 task done' t task run --jobs=book
told 'renamed' ''
finish 'a job that is gone is told'
