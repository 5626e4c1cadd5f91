#!/bin/sh
# tests/golden/logs.sh TIEOUT: what a log leaves is what the server's final SELECT shows.
#
# Each recorded log is read as the local side of a job without a partner; the rows that are left, not voided, must be those of the
# SELECT that was taken on the server at the end (order number and amount), by every chunk size and thread count.
set -eu
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
logs=$(CDPATH='' cd -- "$here/../../fixtures/binlogs" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo biz_order_no,amount,channel_order_no >"$work/bill.csv"
passed=0 failed=0
roads='262144x1 100x2 1000x3'
! grep -q __tsan_init "$tieout" || roads='100x2 1000x3' # what it watches wants more than one thread
final_state()
{
    if [ -f "$1.gz" ]; then gzip -dc "$1.gz"; else cat "$1"; fi
}
for log in mariadb-10.11.19/01_lifecycle/bin.000002 mariadb-10.11.19/09_compressed_rows/bin.000023 \
    mariadb-10.11.19/11_gtid_domains_xa/bin.000029 mariadb-11.8.9/01_lifecycle/bin.000002 mysql-9.7.4/01_lifecycle/binlog.000003 \
    mysql-9.7.4/03_multirow/binlog.000008 mysql-9.7.4/09_transaction_payload_zstd/binlog.000025 \
    mysql-9.7.4/10_checksum_none/binlog.000028 mysql-9.7.4/17_big_transaction/binlog.000021; do
    cat >"$work/job.yaml" <<EOF
version: 1
job: log
channel_code: X
timezone: UTC
currency: CNY
local:
  binlog: {files: "$logs/recorded/$log", table: pay.payment_order}
  fields:
    biz_order_no: order_no
    channel_order_no: channel_txn_no
    amount: amount
    status: {column: status, map: {other: SUCCESS}}
    trade_time: created_at
channel:
  files: bill.csv
  format: csv
  fields: {biz_order_no: biz_order_no, channel_order_no: channel_order_no, amount: amount}
match: {keys: [[biz_order_no]]}
EOF
    # 'B1'<TAB>...'12.30': the second and the fifth column, without their quotes, of table payment_order alone
    final_state "$logs/expected/recorded/${log%/*}/final_state.tsv" | awk -F '\t' '
        /^## table/ { in_table = $0 == "## table payment_order"; skip = 1; next }
        skip { skip = 0; next }
        in_table { gsub("'\''", "", $2); gsub("'\''", "", $5); print $2 "," $5 }' | sort >"$work/want"
    digest=
    for road in $roads; do
        rm -rf "$work/out"
        # The rows are of other days than the unit's, or missing on the bill: both hold what the log left.
        "$tieout" run "$work/job.yaml" --date=2030-01-01 --out="$work/out" --chunk="${road%x*}" --threads="${road#*x}" --format=json \
            >"$work/summary" 2>"$work/said" || [ $? -eq 1 ] || cat "$work/said"
        for class in missing excluded; do
            "$tieout" inspect "$work/out/log/2030-01-01/$class.csv" --json-lines 2>/dev/null
        done | sed -n '/"reasons":"[^"]*voided/!s/.*"biz_order_no":"\([^"]*\)".*"amount":"\([^"]*\)".*/\1,\2/p' | sed "s/,'/,/; s/^'//" | sort >"$work/got"
        now=$(sed -n 's/.*"digest": "\(.*\)"/\1/p' "$work/summary")
        if cmp -s "$work/want" "$work/got" && [ -s "$work/want" ] && [ "${digest:-$now}" = "$now" ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAILED $log, chunk and threads $road"
            diff "$work/want" "$work/got" | head -5
        fi
        digest=$now
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
