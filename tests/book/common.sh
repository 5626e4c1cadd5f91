# tests/book/common.sh: what the scripts of this folder begin with; read with `.` by a script whose first argument is the program. Leaves them in a
# folder of their own that goes when they end; $tieout and $root are set, and fixtures/book.sh is read.

tieout=$(realpath "$1")
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
. "$root/fixtures/book.sh"

failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
# expect CODE TEXT COMMAND...: the exit code, and a piece of what it says.
expect() {
    want=$1 text=$2
    shift 2
    code=0
    "$@" >said 2>&1 || code=$?
    if [ "$code" -ne "$want" ] || ! grep -qF -- "$text" said; then
        fail "$*: exit code $code, expected $want and \"$text\":"
        cat said
    fi
}
t() { "$tieout" "$@"; }
# flip FILE OFFSET: another byte stands there. One that is told could be there already: prints are random.
flip() {
    was=$(od -An -tu1 -j"$2" -N1 "$1")
    # shellcheck disable=SC2059 # an octal number on purpose
    printf "\\$(printf %03o $((was ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

finish() {
    if [ "$failures" -ne 0 ]; then
        echo "$failures failed"
        exit 1
    fi
    echo "$1"
}
