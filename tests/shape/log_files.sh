#!/bin/sh
# tests/shape/log_files.sh: tests/logs.md names every log of fixtures/binlogs, and each test that it names reads that file.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tests=$here/..
logs=$here/../../fixtures/binlogs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0
(cd "$logs" && find recorded real damaged wire -type f ! -name 'scenario.sql*' ! -name '*.txt') | LC_ALL=C sort >"$work/there"
sed -n 's/^| `\([^`]*\)` | \([a-z0-9_]*\) | .*/\1 \2/p' "$tests/logs.md" >"$work/rows"
cut -d' ' -f1 "$work/rows" | LC_ALL=C sort -u >"$work/named"
if ! diff "$work/there" "$work/named"; then
    echo "tests/logs.md and fixtures/binlogs differ: < is there and not in the table, > the other way round"
    wrong=1
fi
# The text of each test, one to a file.
for source in "$tests/unit/io/format/binlog_files_test.c" "$tests/unit/io/source/capture_test.c"; do
    awk -v work="$work" '/^TEST\(/ { split($0, part, "[()]"); name = part[2] } name { print >(work "/" name ".test") }' "$source"
done
while read -r file name; do
    grep -qF "$file\"" "$work/$name.test" 2>/dev/null || { echo "no test $name reads $file"; wrong=1; }
done <"$work/rows"
[ "$(wc -l <"$work/rows")" -ge 70 ] || { echo "the table has hardly any rows"; wrong=1; }
exit $wrong
