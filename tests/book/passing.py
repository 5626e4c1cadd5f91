#!/usr/bin/env python3
"""tests/book/passing.py TIEOUT [--first=S] [--seeds=N] [--days=D] [--keep]

Open records that nobody of the day can meet pass by the run (core/README.md D16). Random books, of one to three keys, over files and logs, with
rows that come late, twice and again, are renamed, moved and deleted in the log, and days that are done again: a book in which all that is
open is fed to every run, and copies of it in which what can pass by does, with one worker and with several, must be the same to the byte,
outputs and state. Few numbers, so that records share any key with any other; and few rows a day, so that many of the open ones meet nobody.
"""
import concurrent.futures
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from row_log import COLUMNS, Log

JOB = """version: 1
job: p
channel_code: P
timezone: Asia/Shanghai
currency: CNY
{sides}
match:
  {keys}
{more}suspense: {{threshold: {{local: {local}, channel: {channel}}}}}
output: {{dir: out, match: true}}
"""
FIELDS = "{biz_order_no: order_no, channel_order_no: trade_no, merchant_no: ref, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at}"
FILES = """SIDE:
  files: "SIDE/{date}.csv"
  format: csv
  occurrence_id: id
  fields: """ + FIELDS
LOG = """SIDE:
  binlog: {files: "SIDE/mysql-bin.*", table: shop.order}
  fields: """ + FIELDS
KEYS = ("[channel_code, biz_order_no]", "[channel_code, channel_order_no]", "[merchant_no]")
LOG_COLUMNS = COLUMNS + (("ref", str),)
SIDES = ("local", "channel")
passed = [0, 0]


def date(day):
    return "2026-11-%02d" % (day + 1)


class Side:
    """What one side tells, as it grows."""

    def __init__(self, path, side, is_log, rng, keys):
        self.path, self.side, self.is_log, self.rng, self.keys = path, side, is_log, rng, keys
        self.rows, self.number, self.log = {}, 0, 0
        os.makedirs(os.path.join(path, side))

    def row(self, day):
        rng = self.rng
        self.number += 1
        number = self.number if self.is_log or rng.random() < 0.9 else max(1, self.number - rng.randint(1, 40))
        # Later keys are often absent, or a record's own; sometimes anybody's.
        def text(letter, none):
            chance = rng.random()
            return None if chance < none else letter + str(rng.randint(1, 60)) if chance < 0.6 else "%s%s%d" % (letter, self.side[0], self.number)
        return (number, text("O", 0.05), text("T", 0.3), rng.choice((100, 100, 101, 200, -100, -200) if self.refunds else (100, 100, 101, 200)), rng.choice(("SUCCESS",) * 9 + ("FAILED",)),
                "%s 1%d:00:00" % (date(max(0, day - (rng.random() < 0.1))), rng.randint(0, 9)), text("R", 0.3) if self.keys == 3 else None)

    def write(self, day):
        """A day that was written before is written anew."""
        rng = self.rng
        if not self.is_log:
            self.rows[day] = [self.row(day) for _ in range(rng.randint(6, 30))]
            if day and rng.random() < 0.5:
                self.rows[day] += rng.sample(self.rows[day - 1], 2)  # the same once more
                self.rows[day] += [(row[0], "O%dn%d" % (day, row[0])) + row[2:] for row in rng.sample(self.rows[day - 1], 3)]  # under another order
            self.put(day)
            return
        changes = [("insert", *[self.row(day) for _ in range(rng.randint(6, 30))])]
        self.rows.update((row[0], row) for row in changes[0][1:])
        for number in rng.sample(sorted(self.rows), len(self.rows) // 8):
            old = self.rows[number]
            new = list(self.row(day))
            new[0] = number
            keep = rng.choice(((1, 2, 5, 6), (2, 3, 4, 5, 6), (1, 3, 4, 5, 6), (1, 2, 3, 4, 6), (1, 2, 3, 4, 5), ()))
            for i in keep:  # another amount, order, trade, date, ref, or all
                new[i] = old[i]
            if rng.random() < 0.15:
                changes.append(("delete", old))
                del self.rows[number]
            else:
                changes.append(("update", old, tuple(new)))
                self.rows[number] = tuple(new)
        self.log += 1
        log = Log(os.path.join(self.path, self.side, "mysql-bin.%06d" % self.log), columns=LOG_COLUMNS)
        log.transaction(*changes)
        log.close()
        # The server keeps its files for some days.
        if self.log > 2 and self.purges:
            os.unlink(os.path.join(self.path, self.side, "mysql-bin.%06d" % (self.log - 2)))

    def put(self, day):
        with open(os.path.join(self.path, self.side, date(day) + ".csv"), "w") as f:
            f.write("id,order_no,trade_no,pay_amount,state,trade_at,ref\n")
            for row in self.rows[day]:
                f.write(",".join("" if cell is None else str(cell) for cell in row) + "\n")

    def correct(self, day):
        """A file of a day that is done."""
        rows = self.rows[day]
        for _ in range(self.rng.randint(1, 4)):
            if rows and self.rng.random() < 0.5:
                rows.pop(self.rng.randrange(len(rows)))
            else:
                rows.append(self.row(day))
        self.put(day)


def sums(book):
    files = {}
    for top in ("out", "state/suspense", "state/verdicts"):
        for folder, _, names in os.walk(os.path.join(book, top)):
            for name in names:
                if name != "stats.json":
                    path = os.path.join(folder, name)
                    with open(path, "rb") as f:
                        files[os.path.relpath(path, book)] = hashlib.sha256(f.read()).hexdigest()
    return files


def one(tieout, root, seed, days):
    rng = random.Random(seed)
    path = os.path.join(root, "%d" % seed)
    inputs = os.path.join(path, "inputs")
    keys = rng.choice((1, 2, 2, 3, 3))
    logs = rng.choice(((0, 0), (0, 0), (1, 0), (1, 0), (0, 1), (1, 1)))
    sides = [Side(inputs, SIDES[i], logs[i], rng, keys) for i in range(2)]
    purges = rng.random() < 0.6
    for side in sides:
        side.purges = purges
    more = rng.choice(("", "", "  tolerance: {amount: 0.01}\n", "  splits: true\n"))
    ids = ""
    if rng.random() < 0.2:
        ids = "ids: {keep: 0}\n"
    key_words = "keys: [%s]" % ", ".join(KEYS[:keys])
    rest = "\n  compare: [status]\n  window: " + rng.choice(("none", "{before: 1d, after: 1d}"))
    local, channel = rng.choice((2, 3, 5, 9)), rng.choice((2, 3, 5, 9))
    other = random.Random(seed * 3 + 2)
    sort = other.choice(("", "", "reversals", "partials", "both", "group", "group"))
    if sort in ("reversals", "both"):
        more += "  reversals: true\n"
    if sort in ("partials", "both"):
        more += "  partials: {parent: [channel_code, biz_order_no]}\n"
    if sort == "group":  # settlements of a few orders
        keys, key_words, rest, more = 1, other.choice(("group: {by: [biz_order_no], gross: local}", "group: {by: [channel_code, channel_order_no], gross: channel}")), "", ""
    for side in sides:
        side.refunds = sort in ("reversals", "both")
    job = JOB.format(sides="\n".join((LOG if logs[i] else FILES).replace("SIDE", SIDES[i]) for i in range(2)), keys=key_words + rest, more=more + ids, local=local, channel=channel)
    with open(os.path.join(inputs, "p.yaml"), "w") as f:
        f.write(job)

    def call(book, *words, want=(0, 1)):
        done = subprocess.run([tieout, *words, "--jobs=" + book], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode not in want:
            raise SystemExit("seed %d: %s: %s: exit code %d: %s" % (seed, book, " ".join(words), done.returncode, done.stdout))
        return done.returncode

    # Where rows are judged a few at a time, keys with many are judged in parts.
    some = ["--group-rows=2"] if rng.random() < 0.2 and not any(logs) else []
    ways = {"fed": ["--carry-apart=1000000000", "--threads=2"], "one": ["--carry-apart=1", "--threads=1"], "more": ["--carry-apart=1", "--threads=3"]}
    books = {way: os.path.join(path, way) for way in ways}
    for day in range(days):
        for side in sides:
            side.write(day)
        again = None
        if day > 1 and not any(logs) and rng.random() < 0.3:
            again = rng.randrange(max(0, day - 3), day)
            rng.choice(sides).correct(again)
        codes = []
        for way, options in ways.items():
            book = books[way]
            if day == 0 and way == "fed":
                os.makedirs(book)
            for name in SIDES:
                shutil.rmtree(os.path.join(book, name), ignore_errors=True)
                shutil.copytree(os.path.join(inputs, name), os.path.join(book, name))
            shutil.copy2(os.path.join(inputs, "p.yaml"), book)
            if day == 0 and way == "fed":
                call(book, "task", "init", "--date=" + date(0), want=(0,))
                for other in ("one", "more"):
                    shutil.copytree(book, books[other])  # with the same seed of hashes
            if day:
                if again is not None:
                    call(book, "task", "rerun", "--date=" + date(again), "--cascade", *options, *some)
                call(book, "task", "init", "--date=" + date(day), want=(0,))
            codes.append(call(book, "task", "run", *options, *some))
        want = sums(books["fed"])
        for way in ("one", "more"):
            got = sums(books[way])
            if got != want or len(set(codes)) != 1:
                return "seed %d, %s, day %d (keys %d, logs %s, purges %d, exit codes %s): not as where all is fed: %s" % (
                    seed, way, day, keys, logs, purges, codes, sorted(k for k in set(got) | set(want) if got.get(k) != want.get(k)))
    for book in books.values():
        call(book, "verify", want=(0,))
    # How much there was to pass by: rows of days before that the last day has in suspense.
    with open(os.path.join(books["fed"], "out", "p", date(days - 1), "suspense.csv")) as f:
        passed[0] += sum("carried" in line for line in f)
    passed[1] += 1
    shutil.rmtree(path)
    return None


def main():
    options = {"first": "1", "seeds": "20", "days": "6"}
    options.update(a[2:].split("=", 1) for a in sys.argv[2:] if "=" in a)
    root = tempfile.mkdtemp()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        first, days = int(options["first"]), int(options["days"])
        for said in pool.map(lambda seed: one(os.path.realpath(sys.argv[1]), root, seed, days), range(first, first + int(options["seeds"]))):
            if said:
                failed += 1
                print(said)
    if "--keep" in sys.argv:
        print(root)
    else:
        shutil.rmtree(root)
    if failed or passed[0] < 20 * passed[1]:
        raise SystemExit("%d of %s books failed; %d records were carried" % (failed, options["seeds"], passed[0]))
    print("%d books, %d records carried over their last day: what passes by is as what is fed" % (passed[1], passed[0]))


main()
