#!/bin/sh
# bench/peers/sqlite.sh: the reconciliation in SQLite: both files imported, one union, grouped by key.
#
#     sh sqlite.sh DAY OUT MODE THREADS      (as duckdb.js; SQLite sorts with helper threads at best)
set -eu
day=$1 out=$2 mode=$3 threads=$4
where="WHERE class <> 'match'"
[ "$mode" = all ] && where=
sqlite3 :memory: <<SQL
.output /dev/null
PRAGMA threads = $threads;
.mode csv
.import '$day/local.csv' l
.import '$day/channel.csv' r
.headers on
.output '$out/result.csv'
SELECT channel_code, biz_order_no, la, ra, ls, rs, class FROM (
  SELECT *, CASE WHEN ln = 1 AND rn = 1 THEN CASE WHEN la = ra AND ls = rs THEN 'match' ELSE 'mismatch' END
      WHEN rn = 0 THEN 'missing' WHEN ln = 0 THEN 'extra' ELSE 'doubled' END AS class
  FROM (SELECT channel_code, biz_order_no, sum(side = 0) AS ln, sum(side) AS rn,
        max(CASE WHEN side = 0 THEN amount END) AS la, max(CASE WHEN side = 1 THEN amount END) AS ra,
        max(CASE WHEN side = 0 THEN status END) AS ls, max(CASE WHEN side = 1 THEN status END) AS rs
    FROM (SELECT 0 AS side, channel_code, biz_order_no, amount, status FROM l
          UNION ALL SELECT 1, channel_code, biz_order_no, amount, status FROM r)
    GROUP BY channel_code, biz_order_no)) $where;
SQL
