#!/bin/sh
# tests/golden/refusals.sh TIEOUT [--update]: what tieout says to inputs it will not take. refusals/setup.sh makes them in an empty
# folder; the lines of refusals/commands.txt are run there and say exactly what stands in refusals/transcript.txt. After each the
# output folder must be as it was: a line `! ...` in the transcript says that it was not. --update rewrites the transcript; the
# diff is read in review.
set -eu
tieout=$(readlink -f -- "$1")
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+rwX "$work/in"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/bin" "$work/in"
chmod 755 "$work" "$work/bin" "$work/in"
cp "$tieout" "$work/bin/tieout"
# Root may read everything: what is about rights is run as somebody else.
cat >"$work/bin/as_nobody" <<'END'
#!/bin/sh
[ "$(id -u)" -ne 0 ] || exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
exec "$@"
END
chmod 755 "$work/bin/as_nobody"
ln -s "$here/../../fixtures" "$work/in/fixtures"
cp "$here"/refusals/*.yaml "$work/in"
cd "$work/in"
sh "$here/refusals/setup.sh"
while IFS= read -r line; do
    case $line in '' | '#'*) continue ;; esac
    code=0
    PATH=$work/bin:$PATH LC_ALL=C sh -c "$line" >"$work/stdout" 2>"$work/stderr" </dev/null || code=$?
    echo "\$ $line"
    sed 's/^/1 /' "$work/stdout"
    sed 's/^/2 /' "$work/stderr"
    echo "exit $code"
    if [ -e out ]; then
        echo "! the output folder was made: $(find out -type f | sort | tr '\n' ' ')"
        rm -rf out
    fi
    find . -name '*tieout-*' | sed 's/^/! left behind: /'
    echo
done <"$here/refusals/commands.txt" >"$work/transcript"
if [ "${2:-}" = --update ]; then
    cp "$work/transcript" "$here/refusals/transcript.txt"
    exit 0
fi
diff -u "$here/refusals/transcript.txt" "$work/transcript"
