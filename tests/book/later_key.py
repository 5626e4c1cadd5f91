#!/usr/bin/env python3
"""tests/book/later_key.py TIEOUT

A row of a growing log that was final, was written anew for another day, and is met by a later key than its first (the bill knows another order
number, and the same trade): what counts is its newest image, once, and never what it was.
"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from row_log import Log

JOB = """version: 1
job: k
channel_code: K
timezone: Asia/Shanghai
currency: CNY
local:
  binlog: {files: "log/mysql-bin.*", table: shop.order}
  fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at}
channel:
  files: "bill/{date}.csv"
  format: csv
  occurrence_id: id
  fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: amount, unit: major}, status: status}
match:
  keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]]
  compare: [status]
  window: none
suspense: {threshold: {local: 0, channel: 0}}
output: {dir: out, match: true}
"""
TIEOUT = os.path.abspath(sys.argv[1])
failures = 0


def date(day):
    return "2026-11-%02d" % day


def row(cents, day):
    return (1, "A1", "T1", cents, "SUCCESS", date(day) + " 10:00:00")


def nights(root, *days):
    """Of each night what its log and its bill say. What its rows became: (class, local amount, channel amount)."""
    for folder in ("log", "bill"):
        os.makedirs(os.path.join(root, folder))
    with open(os.path.join(root, "k.yaml"), "w") as file:
        file.write(JOB)
    for day, (changes, bill) in enumerate(days, 1):
        log = Log("%s/log/mysql-bin.%06d" % (root, day))
        if changes:
            log.transaction(*changes)
        log.close()
        with open("%s/bill/%s.csv" % (root, date(day)), "w") as file:
            file.write("id,order_no,trade_no,amount,status\n" + bill)
        for words in (("init", "--date=" + date(day)), ("run",)):
            done = subprocess.run([TIEOUT, "task", *words, "--jobs=" + root], capture_output=True, text=True)
            assert done.returncode in (0, 1), done.stderr
        out = []
        for name in ("match", "mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded"):
            with open("%s/out/k/%s/%s.csv" % (root, date(day), name), newline="") as file:
                for r in csv.DictReader(file):
                    side = r.get("side")
                    out.append((name, r["amount"] if side == "local" else r.get("local_amount", ""), r["amount"] if side == "channel" else r.get("channel_amount", "")))
        yield out


def check(what, root, want, *days):
    global failures
    got = list(nights(root, *days))[-1]
    if got != want:
        failures += 1
        print("FAILED: %s: %s, expected %s" % (what, got, want))


work = tempfile.mkdtemp()
bill = "c1,X9,T1,100.00,SUCCESS\n"
first = ([("insert", row(10000, 1))], "")
try:
    check("another amount, met the same night", work + "/1", [("mismatch", "200.00", "100.00")], first, ([("update", row(10000, 1), row(20000, 2))], bill))
    check("the same amount, met the same night", work + "/2", [("match", "100.00", "100.00")], first, ([("update", row(10000, 1), row(10000, 2))], bill))
    check("final twice, and met then", work + "/3", [("mismatch", "200.00", "100.00")], first, ([("update", row(10000, 1), row(20000, 2))], ""), ([], bill))
    check("never written anew", work + "/4", [("match", "100.00", "100.00")], first, ([], ""), ([], bill))
finally:
    shutil.rmtree(work)
sys.exit(failures != 0)
