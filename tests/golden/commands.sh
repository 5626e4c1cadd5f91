#!/bin/sh
# tests/golden/commands.sh TIEOUT [--update]: the lines of commands/commands.txt, run in that folder, say exactly what stands in
# commands/transcript.txt: stdout, stderr and exit code. --update rewrites it; the diff is read in review.
set -eu
tieout=$(readlink -f -- "$1")
here=$(CDPATH='' cd -- "$(dirname -- "$0")/commands" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
ln -s "$tieout" "$work/tieout"
cd "$here"
while IFS= read -r line; do
    case $line in '' | '#'*) continue ;; esac
    code=0
    PATH=$work:$PATH LC_ALL=C sh -c "$line" >"$work/stdout" 2>"$work/stderr" </dev/null || code=$?
    echo "\$ $line"
    sed 's/^/1 /' "$work/stdout"
    sed 's/^/2 /' "$work/stderr"
    echo "exit $code"
    echo
done <commands.txt >"$work/transcript"
if [ "${2:-}" = --update ]; then
    cp "$work/transcript" transcript.txt
    exit 0
fi
diff -u transcript.txt "$work/transcript"
