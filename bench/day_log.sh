#!/bin/sh
# shellcheck disable=SC1091,SC2154 # server.sh sets work
# bench/day_log.sh DAY: the rows of DAY/local.csv as a MariaDB server logs them, 1000 rows a transaction: DAY/log.000001, ... Used by whole_day.sh.
#
# The table has the columns of local.csv, of the types that a shop would give them, and an id. It and the server are gone at the end.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
day=$(CDPATH='' cd -- "$1" && pwd)
. "$here/../tests/live/server.sh"
servers_begin
server_start 1 --max-binlog-size=1073741824 --innodb-doublewrite=0
sql 1 -e "CREATE DATABASE shop; CREATE TABLE shop.payment_order (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, channel_code VARCHAR(20) NOT NULL,
    biz_type VARCHAR(20) NOT NULL, biz_order_no VARCHAR(40) NOT NULL, merchant_no VARCHAR(20) NOT NULL, sub_merchant_no VARCHAR(24) NOT NULL,
    trade_time DATETIME(3) NOT NULL, direction CHAR(3) NOT NULL, currency CHAR(3) NOT NULL, amount DECIMAL(18,2) NOT NULL, fee DECIMAL(18,2) NOT NULL,
    status VARCHAR(20) NOT NULL)"
mkdir "$work/parts"
tail -n +2 "$day/local.csv" | split -a 5 -d -l 1000 - "$work/parts/"
# The server logs what it sees: a row that it would have to change to take it ends this.
for part in "$work/parts/"*; do
    echo "LOAD DATA INFILE '$part' INTO TABLE payment_order FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'
        (channel_code, biz_type, biz_order_no, merchant_no, sub_merchant_no, trade_time, direction, currency, amount, fee, status);"
done | {
    echo "SET sql_mode = 'STRICT_ALL_TABLES';"
    cat
} | sql 1 shop
server_stop 1
rm -f "$day"/log.*
for log in "$work"/d1/mysql-bin.0*; do
    mv "$log" "$day/making.${log##*.}"
done
for log in "$day"/making.*; do
    mv "$log" "$day/log.${log##*.}"
done
