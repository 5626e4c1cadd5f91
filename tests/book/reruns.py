#!/usr/bin/env python3
"""tests/book/reruns.py TIEOUT --first=S --seeds=N [--hands=1]

A book whose files were corrected again and again, each time with `task rerun --cascade`, must in the end say what a fresh book over
the same files says: every class file, the verdicts that stand by the log, and the errors that are open. Few orders, few amounts and few
days, so that partners come late, are taken away and come again; rows that are equal in everything; every threshold.

With --hands=1 somebody pairs errors by hand meanwhile, right or wrong: then the log, the orders and the bridges must still add up.
"""
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

DAYS = 5
used = [0]
CLASSES = ("match", "mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded")
JOB = """version: 1
job: r
channel_code: R
timezone: Asia/Shanghai
currency: CNY
local:
  files: "local/{date}.csv"
  format: csv
  occurrence_id: id
  fields: {biz_order_no: order_no, amount: {column: amount, unit: major}, status: status, bill_date: day}
channel:
  files: "bill/{date}.csv"
  format: csv
  occurrence_id: id
  fields: {biz_order_no: order_no, amount: {column: amount, unit: major}, status: status, bill_date: day}
match:
  keys: [[channel_code, biz_order_no]]
  compare: [status]
  window: none
suspense: {threshold: {local: %d, channel: %d}}
output: {dir: out, match: true}
"""


def date(day):
    return "2026-11-%02d" % (day + 1)


class Book:
    def __init__(self, tieout, path, thresholds):
        self.tieout, self.path = tieout, path
        for folder in ("local", "bill"):
            os.makedirs(os.path.join(path, folder))
        with open(os.path.join(path, "r.yaml"), "w") as f:
            f.write(JOB % thresholds)

    def call(self, *arguments, want=(0, 1)):
        run = subprocess.run([self.tieout] + list(arguments) + ["--jobs=" + self.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if run.returncode not in want:
            raise SystemExit("%s: %s: exit code %d: %s" % (self.path, " ".join(arguments), run.returncode, run.stderr.decode(errors="replace")))
        return run.stdout.decode()

    def write(self, side, day, rows):
        with open(os.path.join(self.path, side, date(day) + ".csv"), "w") as f:
            f.write("id,order_no,amount,status,day\n")
            for ident, order, amount, status in rows:
                f.write("%s,%s,%s,%s,%s\n" % (ident, order, amount, status, date(day)))

    def init(self, day):
        self.call("task", "init", "--date=" + date(day), want=(0,))

    def says(self):
        files = {}
        for day in range(DAYS):
            for name in CLASSES:
                lines = open(os.path.join(self.path, "out", "r", date(day), name + ".csv")).read().split("\n")
                # Places are of the files as they were when a row was carried: other lines may stand before it now.
                places = [i for i, cell in enumerate(lines[0].split(",")) if cell.endswith("place")]
                files[date(day), name] = sorted(",".join(c for i, c in enumerate(x.split(",")) if i not in places) for x in lines[1:-1])
        verdicts = json.loads(self.call("verify", "--format=json", want=(0,)))["standing"]
        errors = []
        for line in self.call("errors", "list", "--format=json", "--limit=100000").split("\n"):
            if line:
                e = json.loads(line)
                errors.append((e["node_status"],) + tuple(
                    e["order"].get(k, "") for k in ("task", "class", "error_type", "biz_order_no", "local_amount", "channel_amount",
                                                    "local_occurrence_id", "channel_occurrence_id")))
        return files, verdicts, sorted(errors)


def row(rng, side, number):
    ident = "" if rng.random() < 0.3 else "%s%d" % (side[0], number)
    return (ident, "O%d" % rng.randint(1, 7), rng.choice(("1.00", "1.00", "1.00", "2.00")), "FAILED" if rng.random() < 0.06 else "SUCCESS")


def pair_by_hand(book, rng):
    """Somebody says that a missing and an extra one are one payment, whatever their amounts are."""
    lines = [json.loads(x) for x in book.call("errors", "list", "--format=json", "--limit=100000").split("\n") if x]
    missing = [e for e in lines if e["order"]["class"] == "missing"]
    extra = [e for e in lines if e["order"]["class"] == "extra"]
    if not missing or not extra:
        return
    one, other = rng.choice(missing), rng.choice(extra)
    difference = float(other["order"]["channel_amount"]) - float(one["order"]["local_amount"])
    options = ["--accept-difference=%.2f" % difference] if difference else []
    book.call("errors", "force-match", one["id"], other["id"], "--reason=test", *options)


def hold_orders(book, seed):
    """What the orders say is what the log says, and what hands said."""
    db = sqlite3.connect(os.path.join(book.path, "state", "state.db"))
    wrong = db.execute(
        "SELECT id, node_status, reversals FROM error_order o WHERE kind = 'verdict' AND (\n"
        "  node_status = 'reversed' AND reversals = 0 OR node_status IN ('open', 'checking', 'claimed') AND reversals > 0 OR\n"
        "  reversals < 0 OR (node_status = 'force_matched') <> EXISTS (SELECT 1 FROM force_pair WHERE broken_by = '' AND\n"
        "    (local_id = o.id OR channel_id = o.id)))").fetchall()
    used = db.execute("SELECT count(*) FROM force_pair WHERE used_by <> '' AND broken_by = ''").fetchone()[0]
    db.close()
    if wrong:
        raise SystemExit("seed %d: orders that are not as the log and the pairs say: %s" % (seed, wrong))
    manual = 0
    for day in range(DAYS):
        rows = open(os.path.join(book.path, "out", "r", date(day), "match.csv")).read().count("manual")
        with open(os.path.join(book.path, "out", "r", date(day), "summary.json")) as f:
            bridge = json.load(f)["bridge"]
        if any(float(x) for x in bridge["unexplained"].values()) or ("matched_by_hand" in bridge) != (rows > 0):
            raise SystemExit("seed %d: the bridge of %s: %s" % (seed, date(day), bridge))
        manual += rows
    # A pair whose real partner came stays in the results of its day, as any verdict that a later day takes back does.
    if manual < used:
        raise SystemExit("seed %d: %d pairs were taken up, and match.csv files have %d" % (seed, used, manual))
    return used


def one(tieout, root, seed, hands):
    rng = random.Random(seed)
    thresholds = (rng.choice((0, 0, 1, 2)), rng.choice((0, 0, 1, 2)))
    book = Book(tieout, os.path.join(root, "again"), thresholds)
    number = 0
    rows = {}

    def more(side, day):
        nonlocal number
        number += 1
        rows[side, day].append(row(rng, side, number))

    for day in range(DAYS):
        for side in ("local", "bill"):
            rows[side, day] = []
            for _ in range(rng.randint(1, 4)):
                more(side, day)
    done = 0
    while done < DAYS:
        for side in ("local", "bill"):
            book.write(side, done, rows[side, done])
        book.init(done)
        book.call("task", "run")
        done += 1
        for _ in range(rng.randint(0, 2) if hands else 0):
            pair_by_hand(book, rng)
        if rng.random() < 0.6:
            day = rng.randint(max(0, done - 3), done - 1)
            for side in ("local", "bill"):
                for _ in range(rng.randint(0, 2)):
                    if rows[side, day] and rng.random() < 0.6:
                        rows[side, day].pop(rng.randrange(len(rows[side, day])))
                    else:
                        more(side, day)
                book.write(side, day, rows[side, day])
            book.call("task", "rerun", "--date=" + date(day), "--cascade")
    if hands:
        book.call("verify", want=(0,))
        used[0] += hold_orders(book, seed)
        return 0
    fresh = Book(tieout, os.path.join(root, "fresh"), thresholds)
    for day in range(DAYS):
        for side in ("local", "bill"):
            fresh.write(side, day, rows[side, day])
        fresh.init(day)
        fresh.call("task", "run")
    got, want = book.says(), fresh.says()
    for what, a, b in (("class files", got[0], want[0]), ("verdicts that stand", got[1], want[1]), ("open errors", got[2], want[2])):
        if a != b:
            print("seed %d, thresholds %s: %s differ" % (seed, thresholds, what))
            for key in sorted(a) if isinstance(a, dict) else ():
                if a[key] != b[key]:
                    print(" ", key, "\n    done again", a[key], "\n    fresh", b[key])
            if isinstance(a, list):
                print("  only done again:", [x for x in a if a.count(x) > b.count(x)])
                print("  only fresh:     ", [x for x in b if b.count(x) > a.count(x)])
            return 1
    return 0


def main():
    options = {"first": "1", "seeds": "5", "hands": "0"}
    for a in sys.argv[2:]:
        options[a[2:].split("=")[0]] = a.split("=")[1]
    failed, hands = 0, options["hands"] != "0"
    for seed in range(int(options["first"]), int(options["first"]) + int(options["seeds"])):
        root = tempfile.mkdtemp(prefix="tieout-reruns-")
        try:
            failed += one(sys.argv[1], root, seed, hands)
        except SystemExit:
            print("seed %d" % seed)
            raise
        shutil.rmtree(root)
    if failed:
        raise SystemExit("%d of %s books differ" % (failed, options["seeds"]))
    if hands:
        print("%s books: %d pairs made by hand stand, and everything adds up" % (options["seeds"], used[0]))
        return
    print("%s books: done again, they say what fresh ones say" % options["seeds"])


main()
