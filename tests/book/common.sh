# tests/book/common.sh: what the scripts of this folder share; read with `.`, in a folder of the script's own.

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

# A job of two CSV files a day, for channel $1; outputs in out/$1/.
job() {
    cat <<YAML
version: 1
job: $1
channel_code: $1
timezone: Asia/Shanghai
currency: CNY
local:
  files: "local/$1-{date}.csv"
  format: csv
  fields: {biz_order_no: order_no, amount: {column: amount, unit: major}, status: status}
channel:
  files: "bill/$1-{date}.csv"
  format: csv
  fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: amount, unit: major}, status: status}
match:
  keys: [[channel_code, biz_order_no]]
  compare: [status]
  window: none
suspense: {threshold: {local: ${2-1}, channel: ${2-1}}}
output: {dir: out}
YAML
}
finish() {
    if [ "$failures" -ne 0 ]; then
        echo "$failures failed"
        exit 1
    fi
    echo "$1"
}
