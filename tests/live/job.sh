# tests/live/job.sh: what the live tests' jobs have in common, sourced; $work and $tieout are the test's.
#
#     job_file PATH NAME SOURCE [more fields]    a job whose local side is SOURCE, against a bill.csv beside it
#     rows_left < .csv of missing records, as JSON lines    order number, amount and primary key, sorted

job_file()
{
    [ -e "$(dirname "$1")/bill.csv" ] || printf 'biz_order_no,amount\nA1,1.01\n' >"$(dirname "$1")/bill.csv"
    cat >"$1" <<YAML
version: 1
job: $2
channel_code: X
timezone: Asia/Shanghai
currency: CNY
local:
  $3
  fields: {biz_order_no: order_no, amount: amount, trade_time: created_at${4:+, $4}}
channel: {files: bill.csv, format: csv, fields: {biz_order_no: biz_order_no, amount: amount}}
match: {keys: [[biz_order_no]]}
YAML
}

rows_left()
{
    sed -n '/"reasons":"[^"]*voided/!s/.*"biz_order_no":"\([^"]*\)".*"amount":"\([^"]*\)".*"occurrence_id":"\([^"]*\)".*/\1	\2	\3/p' | sort
}
