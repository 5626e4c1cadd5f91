#!/bin/sh
# tests/shape/book_sentences.sh [TABLE ROWS]: each test that tests/book.md (or another table) names is there, is one that ctest knows, and has the words that
# the table says. It has at least so many rows.
set -eu
table=${1:-book.md}
least=${2:-60}
tests=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
list=$(mktemp)
trap 'rm -f "$list"' EXIT
sed -n 's/^| .*| `\([a-z0-9_/.]*\)` | \(.*\) |$/\1 \2/p; s/^| | `\([a-z0-9_/.]*\)` | \(.*\) |$/\1 \2/p' "$tests/$table" >"$list"
wrong=0
rows=$(grep -c '^|' "$tests/$table")
[ "$(wc -l <"$list")" -eq $((rows - 2)) ] || { echo "tests/$table: of $((rows - 2)) rows $(wc -l <"$list") can be read"; wrong=1; }
while read -r test words; do
    if ! grep -qF -- "$words" "$tests/$test" 2>/dev/null; then
        echo "tests/$table: tests/$test does not have the words \"$words\""
        wrong=1
    elif ! grep -q "$(basename "$test")\|[(]$(basename "$test" .c) " "$(dirname "$tests/$test")/CMakeLists.txt"; then
        echo "tests/$table: ctest does not run tests/$test"
        wrong=1
    fi
done <"$list"
[ "$(wc -l <"$list")" -ge "$least" ] || { echo "the table has hardly any rows"; wrong=1; }
exit $wrong
