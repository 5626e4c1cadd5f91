#!/usr/bin/env python3
"""tests/golden/log_changes.py TIEOUT [FIRST COUNT]

A log whose rows change while their bill is read: by every road its records end as the last rows do that a plain file holds of them. Rows are
made in one state and become another, are told again, lose and change their order number, their key and their amount, go and come back;
bill rows come early and late, twice, or not at all.
"""
import csv
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
FIELDS = "fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at}"
SIDES = {
    "logs": f'binlog: {{files: "local.*", table: shop.order}}\n  {FIELDS}',
    "files": "files: rows.csv\n  occurrence_id: id\n  fields: {biz_order_no: order, channel_order_no: trade, amount: amount, status: status, trade_time: time}",
    "bill": "files: bill.csv\n  occurrence_id: id\n  fields: {biz_order_no: order, channel_order_no: trade, amount: amount, status: status, trade_time: time}",
    "bill-log": f'binlog: {{files: "theirs.*", table: shop.paid}}\n  {FIELDS}',
}
ROADS = (["--threads=1"], ["--threads=3", "--chunk=200"], ["--threads=2", "--chunk=3000", "--index-memory=256KiB"],
         ["--threads=2", "--chunk=500", "--group-rows=6"])
CLASSES = ("match", "mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded")


def job(local, channel):
    return f"""version: 1
job: j
channel_code: CH
timezone: Asia/Shanghai
currency: CNY
local:
  {SIDES[local]}
channel:
  {SIDES[channel]}
match: {{keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]], compare: [amount, status], window: {{before: 1d, after: 1d}}}}
output: {{match: true}}
"""


class Table:
    """Rows by primary key, and the changes that made them so."""

    def __init__(self, draw):
        self.draw, self.rows, self.changes, self.next = draw, {}, [], 1

    def insert(self, order, cents, state, number=None):
        if number is None:
            number, self.next = self.next, self.next + 1
        row = (number, order, f"t{number}", cents, state, DAY + " 10:%02d:00" % self.draw.randrange(60))
        self.rows[number] = row
        self.changes.append(("insert", row))
        return number

    def update(self, at_number, **new):
        old = self.rows.pop(at_number)
        row = tuple(new.get(name, value) for name, value in zip(("number", "order", "trade", "cents", "state", "at"), old))
        self.rows[row[0]] = row
        self.changes.append(("update", old, row))

    def delete(self, number):
        self.changes.append(("delete", self.rows.pop(number)))

    def any_change(self, number):
        row, draw = self.rows[number], self.draw
        what = draw.randrange(12)
        if what < 4:
            self.update(number, trade=row[2] + "x")  # nothing that the first key compares
        elif what < 6:
            self.update(number, at=DAY + " 11:%02d:00" % draw.randrange(60))
        elif what == 6:
            self.update(number, state=draw.choice(("WHAT", "SUCCESS", "CLOSED")))
        elif what == 7:
            self.update(number, cents=row[3] + draw.choice((-100, 0, 100)))
        elif what == 8:
            self.update(number, order=draw.choice((f"o{draw.randrange(1, 60)}", None)))
        elif what == 9:
            self.delete(number)
            if draw.random() < 0.5:
                self.insert(row[1], row[3], row[4], number)
        elif what == 10:
            self.update(number, number=self.next)
            self.next += 1
        else:
            self.update(number, at="2026-11-%02d 10:00:00" % draw.choice((1, 2, 5)))


def rows_of(path):
    """A class file's rows without their places; not those of rows that were deleted, which a file does not have, nor of another day, which
    a log leaves to that."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [tuple(value for name, value in row.items() if not name.endswith("place") and name != "line")
            for row in rows if row.get("reasons") != "voided" and row.get("bill_date", DAY) == DAY]


def run(tieout, root, name, local, channel, road):
    out = f"{root}/out-{name}"
    with open(f"{root}/{name}.yaml", "w") as file:
        file.write(job(local, channel))
    done = subprocess.run([tieout, "run", f"{root}/{name}.yaml", "--date=" + DAY, "--out=" + out, "--format=json", *road],
                          capture_output=True, text=True, timeout=300)
    if done.returncode not in (0, 1):
        raise AssertionError(f"{name} {road}: exit code {done.returncode}\n{done.stderr}")
    summary = json.loads(done.stdout)
    files = {one: rows_of(f"{out}/j/{DAY}/{one}.csv") for one in CLASSES}
    shutil.rmtree(out)
    return summary["digest"], files


def day(tieout, seed, root):
    draw = random.Random(seed)
    local, theirs = Table(draw), Table(draw)
    orders = draw.choice((30, 200, 500))
    eager = draw.choice((0.1, 0.5, 0.9))  # of rows that change when they have their partner
    alive = []
    for i in range(1, orders + 1):
        cents = draw.randrange(1, 4) * 100
        number = local.insert(f"o{i}", cents, draw.choice(("PROCESSING", "PROCESSING", "SUCCESS", "SUCCESS", "SUCCESS", "WHAT")))
        alive.append((number, f"o{i}", cents))
        # Their side tells it about now, sometimes wrongly, twice or never.
        told = draw.randrange(20)
        if told:
            theirs.insert(f"o{i}", cents + (100 if told == 1 else 0), "CLOSED" if told == 2 else "SUCCESS")
        if told == 3:
            theirs.insert(f"o{i}", cents, "SUCCESS")
        if told == 4:
            theirs.insert(f"o{draw.randrange(1, i + 1)}", cents, "SUCCESS")
        for _ in range(draw.randrange(3)):
            number, order, cents = draw.choice(alive[-20:]) if draw.random() < 0.8 else draw.choice(alive)
            if number in local.rows and local.rows[number][4] not in ("SUCCESS", "CLOSED"):
                local.update(number, state="SUCCESS")
            elif number in local.rows and draw.random() < eager:
                local.any_change(number)
        if draw.random() < 0.1:
            theirs.any_change(draw.choice(list(theirs.rows)))
    if seed % 3 == 0:  # a batch that touches every row when all have met
        for number in list(local.rows):
            local.update(number, trade=local.rows[number][2] + "z")
    for table in (local, theirs):  # an image that is no record is a reject if it is the last one
        for number in list(table.rows):
            if table.rows[number][4] == "WHAT":
                table.update(number, state="SUCCESS")
    for name, table, rows in (("local", "order", local), ("theirs", "paid", theirs)):
        log = Log(f"{root}/{name}.000001", table)
        at = 0
        while at < len(rows.changes):
            count = draw.randrange(1, 8)
            log.transaction(*rows.changes[at:at + count])
            at += count
        log.close()
    for name, table in (("rows", local), ("bill", theirs)):
        with open(f"{root}/{name}.csv", "w") as file:
            file.write("id,order,trade,amount,status,time\n")
            for number, order, trade, cents, state, at in table.rows.values():
                sign = "-" * (cents < 0)
                file.write(f"{number},{order or ''},{trade},{sign}{abs(cents) // 100}.{abs(cents) % 100:02d},{state},{at}\n")
    failed = 0
    for channel in ("bill", "bill-log"):
        _, want = run(tieout, root, "files", "files", "bill", ["--threads=1"])
        digests = set()
        for number, road in enumerate(ROADS):
            digest, got = run(tieout, root, f"logs{number}", "logs", channel, road)
            digests.add(digest)
            for one in CLASSES:
                if sorted(got[one]) != sorted(want[one]):
                    print(f"FAILED: seed {seed}, {channel}, {road}: {one}.csv\n  only of the log   {sorted(set(got[one]) - set(want[one]))[:5]}\n"
                          f"  only of the file  {sorted(set(want[one]) - set(got[one]))[:5]}")
                    failed += 1
        if len(digests) > 1:
            print(f"FAILED: seed {seed}, {channel}: digests by road {digests}")
            failed += 1
    return failed


if __name__ == "__main__":
    TIEOUT = os.path.abspath(sys.argv[1])
    first, count = map(int, sys.argv[2:4]) if len(sys.argv) > 3 else (1, 12)
    failures = 0
    for number in range(first, first + count):
        folder = tempfile.mkdtemp()
        try:
            failures += day(TIEOUT, number, folder)
        finally:
            shutil.rmtree(folder)
    sys.exit(failures != 0)
