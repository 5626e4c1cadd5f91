#!/usr/bin/env python3
"""tests/golden/log_changes.py TIEOUT [FIRST COUNT [TIEOUT THAT IS HELD AGAINST IT]]

A log whose rows change while their bill is read: by every road its records end as the last rows do that a plain file holds of them. Rows are
made in one state and become another, are told again, lose and change their order number, their key and their amount, go and come back;
bill rows come early and late, twice, or not at all. Three days of a book over such a log are the same by every road, too: also where all pairs
are asked for in match.csv, which judges each of them, and in what the book says that the log changed of days that are done.
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


BOOK = f"""version: 1
job: j
channel_code: CH
biz_type: pay
timezone: Asia/Shanghai
currency: CNY
local:
  {SIDES["logs"]}
channel:
  {SIDES["bill"].replace("bill.csv", '"bill_{date}.csv"')}
match: {{keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]], compare: [amount, status], window: {{before: 1d, after: 1d}}}}
suspense: {{threshold: {{local: 2, channel: 2}}}}
"""
BOOK_ROADS = (("", ["--threads=1", "--chunk=200"]), ("", ["--threads=3", "--chunk=300", "--index-memory=256KiB"]),
              ("output: {match: true}\n", ["--threads=1"]))


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


def call(tieout, root, *words):
    done = subprocess.run([tieout, *words], cwd=root, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def book(tieouts, seed, root):
    draw = random.Random(-seed)
    local = Table(draw)
    days = [f"2026-11-{number:02d}" for number in (1, 2, 3)]
    orders, roads = 0, []
    for number, (output, options) in enumerate((road for road in BOOK_ROADS for _ in tieouts)):
        folder = f"{root}/road{number}"
        os.makedirs(folder)
        with open(folder + "/j.yaml", "w") as file:
            file.write(BOOK + output)
        roads.append((folder, tieouts[number % len(tieouts)], options, output))
    failed = 0
    for index, date in enumerate(days):
        bill, local.changes = Table(draw), []
        first = orders + 1
        orders += draw.choice((10, 40, 120))
        for i in range(first, orders + 1):
            cents = draw.randrange(1, 4) * 100
            # Some are told a day early or late; what changes may have been done days ago.
            local.insert(f"o{i}", cents, draw.choice(("PROCESSING", "SUCCESS", "SUCCESS", "WHAT")))
            local.update(local.next - 1, at=draw.choice((days[index:] + [date] * 6)) + " 10:00:00")
            told = draw.randrange(12)
            if told:
                bill.insert(f"o{draw.randrange(1, i + 1) if told == 1 else i}", cents + (100 if told == 2 else 0), "SUCCESS")
            for _ in range(draw.randrange(3)):
                number = draw.choice(list(local.rows)[-15:]) if draw.random() < 0.9 else draw.choice(list(local.rows))
                if local.rows[number][4] not in ("SUCCESS", "CLOSED"):
                    local.update(number, state="SUCCESS")
                else:
                    local.any_change(number)
        for number in list(local.rows):
            if local.rows[number][4] == "WHAT":
                local.update(number, state="SUCCESS")
        said = set()
        classes = {}
        for folder, tieout, options, output in roads:
            log, at = Log(f"{folder}/local.{index + 1:06d}"), 0
            while at < len(local.changes):
                log.transaction(*local.changes[at:at + 5])
                at += 5
            log.close()
            with open(f"{folder}/bill_{date}.csv", "w") as file:
                file.write("id,order,trade,amount,status,time\n")
                for number, order, trade, cents, state, _ in bill.rows.values():
                    file.write(f"{date}-{number},{order},t{number},{cents // 100}.00,{state},{date} 10:00:00\n")
            call(tieout, folder, "task", "init", "--date=" + date)
            code, words = call(tieout, folder, "task", "run", *options)
            if code not in (0, 1):
                print(f"FAILED: seed {seed}, book, {date}, {tieout} {options}: exit code {code}\n{words}")
                return failed + 1
            for one in CLASSES:
                if one == "match" and not output:
                    continue
                with open(f"{folder}/out/j/{date}/{one}.csv", newline="") as file:
                    got = [{name: value for name, value in row.items() if not name.endswith("place")} for row in csv.DictReader(file)]
                if classes.setdefault(one, got) != got:
                    print(f"FAILED: seed {seed}, book, {date}, {tieout} {options} {output}: {one}.csv is not what another road says")
                    failed += 1
            with open(f"{folder}/out/j/{date}/summary.json") as file:
                summary = json.load(file)
            said.add(json.dumps([summary["classes"], summary.get("suspense")], sort_keys=True))
            # What the log says of days that are done is held against what it said then.
            said.add(tuple(sorted(line for line in call(tieout, folder, "status")[1].splitlines() if "book.changed" in line or "records" in line)))
        if len(said) > 2:
            print(f"FAILED: seed {seed}, book, {date}: by road\n  " + "\n  ".join(map(str, said)))
            failed += 1
    return failed


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
    TIEOUTS = [TIEOUT] + [os.path.abspath(name) for name in sys.argv[4:]]
    failures = 0
    for number in range(first, first + count):
        folder = tempfile.mkdtemp()
        try:
            failures += day(TIEOUT, number, folder)
            failures += book(TIEOUTS, number, folder)
        finally:
            shutil.rmtree(folder)
    sys.exit(failures != 0)
