#!/bin/sh
# tests/shape/book_sentences.sh: each test that tests/book.md names is there, is one that ctest knows, and has the words that the table says.
set -eu
tests=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
list=$(mktemp)
trap 'rm -f "$list"' EXIT
sed -n 's/^| .*| `\([a-z_/.]*\)` | \(.*\) |$/\1 \2/p; s/^| | `\([a-z_/.]*\)` | \(.*\) |$/\1 \2/p' "$tests/book.md" >"$list"
wrong=0
while read -r test words; do
    if ! grep -qF -- "$words" "$tests/$test" 2>/dev/null; then
        echo "tests/book.md: tests/$test does not have the words \"$words\""
        wrong=1
    elif ! grep -qF "$(basename "$test")" "$(dirname "$tests/$test")/CMakeLists.txt"; then
        echo "tests/book.md: ctest does not run tests/$test"
        wrong=1
    fi
done <"$list"
[ "$(wc -l <"$list")" -ge 60 ] || { echo "the table has hardly any rows"; wrong=1; }
exit $wrong
