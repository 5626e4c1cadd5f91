#!/usr/bin/env python3
"""tests/golden/log_images.py TIEOUT [FIRST COUNT]

A log whose images are told in part (binlog_row_image MINIMAL and NOBLOB, also one behind the other in one log) says what the same log says
with whole images, by every road: random changes, many of them of the primary key, which moves to one that is free, is taken over by
another row, is moved along by one statement, is exchanged between two rows, changes twice and is deleted then. Some of it are XA transactions,
which are decided at once, or when others have been told. So it is over three days of a book, too.
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
from row_log import COLUMNS, Log, Text

DAYS = [f"2026-11-{number:02d}" for number in (1, 2, 3)]
CLASSES = ("match", "mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded")
IMAGES = ("FULL", "MINIMAL", "NOBLOB", "MIXED")
ROADS = (["--threads=1"], ["--threads=3", "--chunk=200"], ["--threads=2", "--chunk=500", "--index-memory=256KiB"])
JOB = """version: 1
job: j
channel_code: CH
biz_type: pay
timezone: Asia/Shanghai
currency: CNY
local:
  binlog: {files: "local.*", table: shop.order}
  fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at, attr: {note: note}}
channel:
  files: "bill_{date}.csv"
  occurrence_id: id
  fields: {biz_order_no: order, channel_order_no: trade, amount: amount, status: status, trade_time: time}
match: {keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]], compare: [amount, status], window: {before: 1d, after: 1d}}
suspense: {threshold: {local: 2, channel: 2}}
output: {match: true}
"""
NAMES = ("number", "order", "trade", "cents", "state", "at", "note")


class Table:
    """Rows by primary key, and the changes that made them so."""

    def __init__(self, draw):
        self.draw, self.rows, self.changes, self.next, self.free = draw, {}, [], 1, []

    def insert(self, order, cents, state, at):
        self.next += 1
        number = self.next
        row = (number, order, f"t{number}", cents, state, at, self.draw.choice((None, "", f"note {number}")))
        self.rows[number] = row
        self.changes.append(("insert", row))
        return number

    def update(self, *many):
        """many: (number, what is new). One statement."""
        told = []
        for number, new in many:
            old = self.rows.pop(number)
            row = tuple(new.get(name, value) for name, value in zip(NAMES, old))
            if row[0] in self.rows:
                raise AssertionError(f"key {row[0]} is taken")
            if row[0] != number:
                self.free.append(number)
            self.rows[row[0]] = row
            if row != old:
                told += [old, row]
        if told:
            self.changes.append(("update", *told))

    def delete(self, number):
        self.changes.append(("delete", self.rows.pop(number)))
        self.free.append(number)

    def free_key(self):
        free = [number for number in self.free if number not in self.rows]
        if free and self.draw.random() < 0.6:
            return self.draw.choice(free)
        self.next += 1
        return self.next

    def any_change(self, number):
        row, draw = self.rows[number], self.draw
        what = draw.randrange(14)
        if what == 0:
            self.update((number, {"trade": row[2] + "x"}))
        elif what == 1:
            self.update((number, {"note": draw.choice((None, "n", "long " * 30))}))
        elif what == 2:
            self.update((number, {"state": draw.choice(("SUCCESS", "CLOSED"))}))
        elif what == 3:
            self.update((number, {"cents": row[3] + draw.choice((-100, 100))}))
        elif what == 4:
            self.update((number, {"order": f"o{draw.randrange(1, 60)}"}))
        elif what == 5:
            self.delete(number)
        elif what < 8:
            self.update((number, {"number": self.free_key()}))
        elif what == 8:
            self.update((number, {"number": -number if -number not in self.rows else self.free_key()}))
        elif what == 9:
            self.update((number, {"number": self.free_key(), "order": row[1] + "m", "cents": row[3] + 100}))
        elif what == 10:  # twice, and mostly gone then
            first, second = self.free_key(), self.free_key()
            self.update((number, {"number": first}))
            if second != first:
                self.update((first, {"number": second}))
                first = second
            if draw.random() < 0.6:
                self.delete(first)
        elif what == 11:  # exchanged with another row's, by a third
            other = draw.choice(list(self.rows))
            if other != number:
                third = self.free_key()
                one = [(number, {"number": third}), (other, {"number": number}), (third, {"number": other})]
                if draw.random() < 0.5:
                    self.update(*one)
                else:
                    for change in one:
                        self.update(change)
        elif what == 12:  # SET id = id + 1 ... ORDER BY id DESC
            some = sorted(draw.sample(list(self.rows), min(4, len(self.rows))), reverse=True)
            above = [key for key in some if key + 1 not in self.rows or key + 1 in some]
            moved = []
            for key in above:
                if key + 1 not in self.rows or key + 1 in moved:
                    moved.append(key)
            self.update(*[(key, {"number": key + 1}) for key in moved])
            self.next = max(self.next, *self.rows)
        else:  # told with all of its columns again, but by its key
            self.update((number, {"number": self.free_key(), "state": "SUCCESS", "trade": row[2] + "y", "note": "all"}))


def keys(changes):
    return {row[0] for _, *rows in changes for row in rows}


def write(path, images, changes, draw):
    log, at, open_keys, numbers = Log(path, columns=(*COLUMNS, ("note", Text))), 0, {}, 0
    while at < len(changes):
        log.images = draw.choice(IMAGES[:3]) if images == "MIXED" else images
        some = changes[at:at + draw.randrange(1, 7)]
        at += len(some)
        for number in [number for number, held in open_keys.items() if held & keys(some) or draw.random() < 0.3]:
            log.decide(number, "COMMIT")
            del open_keys[number]
        if draw.random() < 0.2:
            numbers += 1
            log.prepare(numbers, *some)
            open_keys[numbers] = keys(some)
        else:
            log.transaction(*some)
        if draw.random() < 0.05:
            numbers += 1
            log.prepare(numbers, ("insert", (10**9 + numbers, "o1", "t", 100, "SUCCESS", DAYS[0] + " 10:00:00", None)))
            log.decide(numbers, "ROLLBACK")
    for number in open_keys:
        log.decide(number, "COMMIT")
    log.close()


def rows_of(path):
    with open(path, newline="") as file:
        return sorted(tuple((name, value) for name, value in row.items() if not name.endswith("place")) for row in csv.DictReader(file))


def call(tieout, folder, *words):
    done = subprocess.run([tieout, *words], cwd=folder, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def trial(tieout, seed, root):
    draw = random.Random(seed)
    local, orders, failed, changed = Table(draw), 0, 0, []
    roads = [(images, road) for images in IMAGES for road in (ROADS if images == "MINIMAL" else ROADS[seed % 3:][:1])]
    for number, _ in enumerate(roads):
        os.makedirs(f"{root}/{number}")
        with open(f"{root}/{number}/j.yaml", "w") as file:
            file.write(JOB)
    for index, date in enumerate(DAYS):
        local.changes, bill = [], []
        first, orders = orders + 1, orders + draw.choice((10, 60, 150))
        for i in range(first, orders + 1):
            cents = draw.randrange(1, 4) * 100
            number = local.insert(f"o{i}", cents, draw.choice(("PROCESSING", "SUCCESS")), draw.choice((DAYS[index:] + [date] * 6)) + " 10:00:00")
            told = draw.randrange(10)
            if told:
                bill.append((i, f"o{draw.randrange(1, i + 1) if told == 1 else i}", cents + (100 if told == 2 else 0)))
            for _ in range(draw.randrange(3)):
                if local.rows:
                    local.any_change(draw.choice(list(local.rows)[-15:] if draw.random() < 0.8 else list(local.rows)))
        bills = "id,order,trade,amount,status,time\n" + "".join(
            f"{date}-{i},{order},u{i},{cents // 100}.00,SUCCESS,{date} 10:00:00\n" for i, order, cents in bill)
        said = {}
        for number, (images, road) in enumerate(roads):
            folder = f"{root}/{number}"
            write(f"{folder}/local.{index + 1:06d}", images, local.changes, random.Random(seed * 100 + index))
            with open(f"{folder}/bill_{date}.csv", "w") as file:
                file.write(bills)
            for words, at in ((("run", "j.yaml", "--date=" + date, "--out=run", *road), "run"), (("task", "run", *road), "out")):
                if at == "out":
                    call(tieout, folder, "task", "init", "--date=" + date)
                code, text = call(tieout, folder, *words)
                if code not in (0, 1):
                    print(f"FAILED: seed {seed}, {date}, {images} images, {words}: exit code {code}\n{text}")
                    return failed + 1
                got = {one: rows_of(f"{folder}/{at}/j/{date}/{one}.csv") for one in CLASSES}
                with open(f"{folder}/{at}/j/{date}/summary.json") as file:
                    summary = json.load(file)
                got["sums"] = [summary["classes"], summary.get("suspense")]
                if at == "out":
                    got["status"] = sorted(line for line in call(tieout, folder, "status")[1].splitlines() if "book.changed" in line)
                want = said.setdefault(at, got)
                for one in got:
                    if got[one] != want[one]:
                        print(f"FAILED: seed {seed}, {date}, {images} images, {words}: {one} is not what whole images say\n"
                              f"  only here   {[row for row in got[one] if row not in want[one]][:3]}\n"
                              f"  only there  {[row for row in want[one] if row not in got[one]][:3]}")
                        failed += 1
        changed.append(sum(len(rows) for rows in said["out"].values()))
    if not any(changed):
        print(f"FAILED: seed {seed}: nothing was told")
        failed += 1
    return failed


if __name__ == "__main__":
    TIEOUT = os.path.abspath(sys.argv[1])
    first_seed, count_of = map(int, sys.argv[2:4]) if len(sys.argv) > 3 else (1, 4)
    failures = 0
    for one_seed in range(first_seed, first_seed + count_of):
        work = tempfile.mkdtemp()
        try:
            failures += trial(TIEOUT, one_seed, work)
        finally:
            shutil.rmtree(work)
    sys.exit(failures != 0)
