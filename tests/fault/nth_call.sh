#!/bin/sh
# tests/fault/nth_call.sh TIEOUT NTH_CALL [STEP]: makes the small jobs that nth_call.c fails, and runs it.
set -eu
tieout=$1 nth_call=$2 step=${3:-1}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/scratch"
"$tieout" gen --rows=40 --seed=5 --order=shuffled --amount-breaks=2 --status-breaks=1 --missing=2 --extra=2 --doubles=2 \
    --local-doubles=1 --ambiguous=1 --conflicts=1 --day-cut=1 --rejects=2 "--out=$work" 2>/dev/null
"$tieout" gen --rows=40 --seed=6 --order=shuffled --amount-breaks=2 --missing=2 --extra=2 --rejects=0 "--out=$work/clean" 2>/dev/null
gzip -nk "$work/local.csv"
(cd "$work" && zip -q channel.zip channel.csv)
cp "$here/job.yaml" "$here/bill.csv" "$work"
cp "$here/../../fixtures/binlogs/recorded/mariadb-10.11.19/01_lifecycle/bin.000002" "$work"
"$nth_call" "$tieout" "$work" "$work/scratch" "$step"
