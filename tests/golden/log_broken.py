#!/usr/bin/env python3
"""tests/golden/log_broken.py TIEOUT

Many rows of a log that have no partner, or another amount: they are read ahead in the log's order, and are what they are where each is
fetched by itself (so many workers that each has few): large and small transactions, changes of other rows between them, packed
transactions, a table of its own between them, images in part, several logs, two keys.
"""
import csv
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from row_log import Log

DAY = "2026-11-01"
ROWS = 24000
FIELDS = "fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at}"
JOB = f"""version: 1
job: j
channel_code: CH
timezone: Asia/Shanghai
currency: CNY
local:
%s
channel:
  files: bill.csv
  occurrence_id: id
  fields: {{biz_order_no: order, channel_order_no: trade, amount: amount, status: status, trade_time: time}}
match: {{keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]], compare: [amount, status], window: {{before: 1d, after: 1d}}}}
"""
ONE = f"  binlog: {{files: \"local.*\", table: shop.order}}\n  {FIELDS}"
TWO = "\n".join(f"  - binlog: {{files: \"local.*\", table: shop.{table}}}\n    {FIELDS}" for table in ("order", "refund"))
# Reading ahead pays where some rows of each of the 256 parts of a worker's keys are open.
ROADS = (("--threads=8", False), ("--threads=1", "--memory=24MiB", True), ("--threads=2", "--memory=200MiB", True))


def write(root, images):
    """The log, and how many rows it leaves."""
    draw = random.Random(7)
    log = Log(root + "/local.000001")
    number = 0

    def rows(count):
        nonlocal number
        made = []
        for _ in range(count):
            number += 1
            made.append((number, f"o{number}", None if number % 5 == 0 else f"trade-{number:0{draw.randrange(5, 90)}d}", number * 100, "SUCCESS", DAY + " 10:%02d:00" % (number % 60)))
        return made

    while number < ROWS:
        what = draw.randrange(8)
        if number == 0 or what == 0:
            log.transaction(("insert", *rows(400)))
        elif what == 1:
            log.packed(("insert", *rows(90)), ("insert", *rows(30)))
        elif what == 2:
            one, = rows(1)
            changed = one[:3] + (one[3] + 1,) + one[4:]
            log.transaction(("insert", one))
            log.images = images
            log.transaction(("update", one, changed))
            log.images = "FULL"
        elif what == 3:
            log.transaction(("insert", *rows(3), "refund"), ("insert", *rows(2)), ("insert", *rows(1), "refund"))
        else:
            log.transaction(("insert", *rows(draw.randrange(1, 4))))
    log.close()
    with open(root + "/bill.csv", "w") as file:
        file.write("id,order,trade,amount,status,time\n")
        for i in range(1, number + 1, 7):  # each seventh has a partner, which says another amount
            file.write(f"b{i},o{i},,{i + 5}.00,SUCCESS,{DAY} 10:00:00\n")


def main():
    tieout, failures = sys.argv[1], 0
    root = tempfile.mkdtemp()
    try:
        for images, local in (("FULL", ONE), ("MINIMAL", TWO)):
            write(root, images)
            with open(root + "/j.yaml", "w") as file:
                file.write(JOB % local)
            want = None
            for *words, is_ahead in ROADS:
                done = subprocess.run([tieout, "run", root + "/j.yaml", "--date=" + DAY, f"--out={root}/out", "--format=json", *words],
                                      capture_output=True, text=True, timeout=300)
                if done.returncode != 1 or not done.stdout:
                    print(f"FAILED: {images}, {words}: exit code {done.returncode}\n{done.stderr}")
                    return 1
                said = [json.loads(done.stdout)["digest"]]
                for one in ("missing", "mismatch"):  # with places, which the digest leaves out
                    with open(f"{root}/out/j/{DAY}/{one}.csv", "rb") as file:
                        said.append(hashlib.sha256(file.read()).hexdigest())
                with open(f"{root}/out/j/{DAY}/missing.csv", newline="") as file:
                    missing = sum(1 for _ in csv.DictReader(file))
                with open(f"{root}/out/j/{DAY}/stats.json") as file:
                    ahead = json.load(file)["rows_read_ahead"]
                want = want or said
                if said != want or missing < ROWS // 2 or bool(ahead) != is_ahead:
                    print(f"FAILED: {images}, {words}: {missing} missing, {ahead} read ahead, {'as' if said == want else 'not as'} by the first road")
                    failures += 1
                shutil.rmtree(root + "/out")
    finally:
        shutil.rmtree(root)
    return 1 if failures else 0


sys.exit(main())
