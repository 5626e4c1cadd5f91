# tests/book/common.sh: what the scripts of this folder share; read with `.`, in a folder of the script's own; $tieout and $root are set.

failures=0
# expect CODE TEXT COMMAND...: the exit code, and a piece of what it says.
expect() {
    want=$1 text=$2
    shift 2
    code=0
    "$@" >said 2>&1 || code=$?
    if [ "$code" -ne "$want" ] || ! grep -qF -- "$text" said; then
        echo "FAILED: $*: exit code $code, expected $want and \"$text\":"
        cat said
        failures=$((failures + 1))
    fi
}
t() { "$tieout" "$@"; }

. "$root/fixtures/book.sh"

finish() {
    if [ "$failures" -ne 0 ]; then
        echo "$failures failed"
        exit 1
    fi
    echo "$1"
}
