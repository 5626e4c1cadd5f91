#!/usr/bin/env python3
"""tests/book/days.py TIEOUT --days=N --seed=S [--kills=N] [--faults]

Simulated days of one channel against an oracle that shares nothing with the engine: it keeps all records of all days in lists and
walks the passes of SPEC.md section 3 over them. Bills come late, hold rows twice, are corrected afterwards, statuses and amounts
differ, pairs lie on two sides of midnight; a day is killed now and then, and done again. After each day every class file must say
what the oracle says, the log must agree with the outputs, and a book that was never killed must have the same digests.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

FINAL = ("missing", "extra", "excluded")
THRESHOLD = {"local": 2, "channel": 3}
WINDOW = 4
CLASSES = ("match", "mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded")
ORDER = ["exact", "tolerance", "group", "amount", "currency", "direction", "status", "fee", "timing", "merchant", "date_disagrees",
         "conflict", "suspected", "dup_suspect", "non_monetary", "day_cut", "near_cut", "carried", "second_pass", "late"]
JOB = """version: 1
job: days
channel_code: CH
biz_type: pay
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
  fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: amount, unit: major}, status: status, bill_date: day}
match:
  keys: [[channel_code, biz_order_no]]
  compare: [status]
  window: {before: 4d, after: 4d}
suspense: {threshold: {local: 2, channel: 3}}
output: {dir: out, match: true}
"""


def day_text(day):
    month, days = 1, [31, 28, 31, 30, 31, 30]
    while day >= days[month - 1]:
        day -= days[month - 1]
        month += 1
    return "2026-%02d-%02d" % (month, day + 1)


def money(cents):
    sign = "-" if cents < 0 else ""
    return "%s%d.%02d" % (sign, abs(cents) // 100, abs(cents) % 100)


class Record:
    """One row. Age and carried are what suspense knows of it."""

    def __init__(self, side, ident, order, cents, status, day):
        self.side, self.ident, self.order, self.cents, self.status, self.day = side, ident, order, cents, status, day
        self.opened = None   # in suspense: day on which it was opened
        self.tries = 0
        self.late = False
        self.doubt = False

    def copy(self):
        r = Record(self.side, self.ident, self.order, self.cents, self.status, self.day)
        r.opened, r.tries, r.doubt = self.opened, self.tries, self.doubt
        return r

    def sigma(self):
        return (self.cents, self.status)

    def rank(self):
        trade = self.ident if self.side == "channel" else ""
        texts = ["CH", "pay", self.order, trade, "", "", day_text(self.day), "", "OUT" if self.cents < 0 else "IN", "CNY",
                 money(self.cents), "", self.status]
        canonical = b"".join(len(t.encode()).to_bytes(4, "big") + t.encode() for t in texts)
        return (self.day, self.ident == "", self.ident.encode(), canonical)

    def own(self):
        if self.late:
            return {"late"}
        if self.opened is None:
            return set()
        return {"carried", "second_pass"} if self.tries else {"carried"}

    def shown(self, reasons):
        return (self.side, self.order, self.ident if self.side == "channel" else "", day_text(self.day), money(self.cents), self.status,
                self.ident, ";".join(sorted(reasons, key=ORDER.index)))


class Oracle:
    """What is open and what is final, and what a day makes of it."""

    def __init__(self):
        self.open = []
        self.final = []

    def state(self):
        return [r.copy() for r in self.open], [r.copy() for r in self.final]

    def run(self, day, fresh):
        out = {c: [] for c in CLASSES}
        roll = {s: dict(opening=0, opened=0, resolved=0, expired=0, reopened=0, closing=0) for s in THRESHOLD}
        pool = list(fresh)
        for r in self.open:
            roll[r.side]["opening"] += 1
            pool.append(r)
        keys = {(r.side, r.order) for r in fresh}
        asleep = []
        for r in self.final:
            if (("channel" if r.side == "local" else "local"), r.order) in keys:
                r.late = True
                roll[r.side]["reopened"] += 1
                pool.append(r)
            else:
                asleep.append(r)
        self.open, self.final = [], asleep
        groups = {}
        for r in pool:
            groups.setdefault(r.order, []).append(r)
        for rows in groups.values():
            self.group(day, rows, out, roll)
        return out, roll

    def close(self, r, roll):
        if r.late or r.opened is not None:
            roll[r.side]["resolved"] += 1

    def group(self, day, rows, out, roll):
        left = {"local": [], "channel": []}
        for side in left:
            mine = [r for r in rows if r.side == side]
            by_ident = {}
            for r in mine:
                if r.ident:
                    by_ident.setdefault(r.ident, []).append(r)
            gone = set()
            for same in by_ident.values():
                if len(same) < 2:
                    continue
                if len({r.sigma() for r in same}) == 1:
                    same.sort(key=Record.rank)
                    for r in same[1:]:
                        out["duplicate"].append(r.shown(r.own()))
                        self.close(r, roll)
                        gone.add(id(r))
                else:
                    for r in same:
                        out["ambiguous"].append(r.shown(r.own() | {"conflict"}))
                        self.close(r, roll)
                        gone.add(id(r))
            left[side] = sorted((r for r in mine if id(r) not in gone), key=Record.rank)
        matched = {"local": set(), "channel": set()}
        for sigma in {r.sigma() for r in left["local"]}:
            ls = [r for r in left["local"] if r.sigma() == sigma]
            cs = [r for r in left["channel"] if r.sigma() == sigma]
            i = k = 0
            while i < len(ls) and k < len(cs):
                gap = cs[k].day - ls[i].day
                if gap < -WINDOW:
                    k += 1
                elif gap > WINDOW:
                    i += 1
                else:
                    l, c = ls[i], cs[k]
                    reasons = {"day_cut" if gap else "exact"} | l.own() | c.own()
                    out["match"].append(self.pair(l, c, reasons))
                    for r in (l, c):
                        self.close(r, roll)
                        left[r.side].remove(r)
                        matched[r.side].add(sigma)
                    i += 1
                    k += 1
        ls, cs = left["local"], left["channel"]
        if ls and cs:
            if len(ls) == len(cs) and len({r.sigma() for r in ls}) == 1 and len({r.sigma() for r in cs}) == 1:
                for l, c in zip(ls, cs):
                    reasons = set()
                    if abs(l.cents) != abs(c.cents):
                        reasons.add("amount")
                    if (l.cents < 0) != (c.cents < 0):
                        reasons.add("direction")
                    if l.status != c.status:
                        reasons.add("status")
                    out["mismatch"].append(self.pair(l, c, (reasons or {"timing"}) | l.own() | c.own()))
                    self.close(l, roll)
                    self.close(c, roll)
            else:
                for r in ls + cs:
                    out["ambiguous"].append(r.shown(r.own()))
                    self.close(r, roll)
            return
        for r in ls + cs:
            if r.sigma() in matched[r.side]:
                if not r.ident:
                    out["duplicate"].append(r.shown(r.own() | {"suspected"}))
                    self.close(r, roll)
                    continue
                r.doubt = True
            self.leave_open(day, r, out, roll)

    def leave_open(self, day, r, out, roll):
        tries = 0 if r.opened is None else r.tries + 1
        reasons = r.own() | ({"dup_suspect"} if r.doubt else set())
        if tries < THRESHOLD[r.side]:
            out["suspense"].append(r.shown(reasons))
            if r.opened is None:
                roll[r.side]["opened"] += 1
                r.opened = day
            r.tries, r.late = tries, False
            roll[r.side]["closing"] += 1
            self.open.append(r)
            return
        if r.late or r.opened is not None:
            roll[r.side]["expired"] += 1
        if r.status == "FAILED":
            out["excluded"].append(r.shown((reasons - {"dup_suspect"}) | {"non_monetary"}))
        else:
            out["missing" if r.side == "local" else "extra"].append(r.shown(reasons))
        r.tries, r.late = tries - 1, False
        if r.opened is None:
            r.opened = day
        # What a final one carries: how often it was tried when it became final.
        r.tries = tries
        self.final.append(r)

    def pair(self, l, c, reasons):
        return (l.order, c.ident, ";".join(sorted(reasons, key=ORDER.index)), money(l.cents), money(c.cents), l.status, c.status,
                day_text(l.day), day_text(c.day))


def cells(line):
    out, cell, quoted, i = [], "", False, 0
    while i < len(line):
        ch = line[i]
        if quoted:
            if ch == '"' and line[i + 1:i + 2] == '"':
                cell += '"'
                i += 1
            elif ch == '"':
                quoted = False
            else:
                cell += ch
        elif ch == '"':
            quoted = True
        elif ch == ",":
            out.append(cell)
            cell = ""
        else:
            cell += ch
        i += 1
    return out + [cell]


def read_class(folder, name):
    lines = open(os.path.join(folder, name + ".csv")).read().split("\n")[:-1]
    head = cells(lines[0])
    rows = []
    for line in lines[1:]:
        r = dict(zip(head, cells(line)))
        if name in ("match", "mismatch"):
            rows.append((r["biz_order_no"], r["channel_order_no"], r["reasons"], r["local_amount"], r["channel_amount"],
                         r["local_status"], r["channel_status"], r["local_bill_date"], r["channel_bill_date"]))
        else:
            rows.append((r["side"], r["biz_order_no"], r["channel_order_no"], r["bill_date"], r["amount"], r["status"],
                         r["occurrence_id"], r["reasons"]))
    return rows


class World:
    """What happens in the world: payments, and what each side's file of a day says of them."""

    def __init__(self, rng, days):
        self.rng = rng
        self.rows = {"local": {d: [] for d in range(days)}, "channel": {d: [] for d in range(days)}}
        self.days = days
        number = 0
        for day in range(days):
            for _ in range(rng.randint(5, 25)):
                number += 1
                self.payment(day, number)

    def add(self, side, day, ident, order, cents, status):
        if 0 <= day < self.days:
            self.rows[side][day].append((ident, order, cents, status))

    def payment(self, day, number):
        rng = self.rng
        order = "O%05d" % number if rng.random() < 0.8 else "R%03d" % rng.randint(0, 40)
        cents = rng.choice((100, 250, 999, 12345)) * rng.choice((1, 1, 1, 1, -1))
        status = "FAILED" if rng.random() < 0.06 else "SUCCESS"
        local, channel = "L%d" % number, "C%d" % number
        kind = rng.random()
        self.add("local", day, "" if rng.random() < 0.1 else local, order, cents, status)
        if kind < 0.45:
            self.add("channel", day, channel, order, cents, status)
        elif kind < 0.60:                                   # the other side of midnight, or late
            self.add("channel", day + rng.choice((1, 1, 1, 2, 3, 4, 5, 6, 8)), channel, order, cents, status)
        elif kind < 0.66:
            self.add("channel", max(0, day - rng.choice((1, 2, 4, 6))), channel, order, cents, status)
        elif kind < 0.72:                                   # another amount or status
            self.add("channel", day + rng.choice((0, 0, 1, 5)), channel, order, cents + rng.choice((1, -1, 100)), status)
        elif kind < 0.76:
            self.add("channel", day, channel, order, cents, "SUCCESS" if status == "FAILED" else "FAILED")
        elif kind < 0.82:                                   # doubled
            self.add("channel", day, channel, order, cents, status)
            self.add("channel", day + rng.choice((0, 0, 1)), channel, order, cents, status)
        elif kind < 0.87:                                   # a second one with a number of its own
            self.add("channel", day, channel, order, cents, status)
            self.add("channel", day, channel + "b", order, cents, status)
        elif kind < 0.90:
            self.add("local", day, local + "x", order, cents, status)
            self.add("channel", day, channel, order, cents, status)

    def correct(self, day):
        """The channel sends another bill for the day."""
        rows = self.rows["channel"][day]
        self.rng.shuffle(rows)
        for _ in range(min(len(rows), self.rng.randint(1, 3))):
            rows.pop()
        if rows and self.rng.random() < 0.7:
            ident, order, cents, status = rows[0]
            rows[0] = (ident, order, cents + 7, status)

    def records(self, side, day):
        return [Record(side, ident, order, cents, status, day) for ident, order, cents, status in self.rows[side][day]]

    def write(self, book, side, day):
        name = os.path.join(book, {"local": "local", "channel": "bill"}[side], day_text(day) + ".csv")
        with open(name, "w") as f:
            f.write({"local": "id", "channel": "trade_no"}[side] + ",order_no,amount,status,day\n")
            for ident, order, cents, status in self.rows[side][day]:
                f.write("%s,%s,%s,%s,%s\n" % (ident, order, money(cents), status, day_text(day)))


class Book:
    def __init__(self, tieout, root, name, carries_apart):
        self.tieout = tieout
        self.path = os.path.join(root, name)
        self.carries_apart = carries_apart
        for folder in ("local", "bill"):
            os.makedirs(os.path.join(self.path, folder))
        with open(os.path.join(self.path, "days.yaml"), "w") as f:
            f.write(JOB)

    def call(self, *arguments, env=None, kill_after=None, want=(0, 1)):
        command = [self.tieout] + list(arguments) + ["--jobs=" + self.path]
        if arguments[0] == "task" and arguments[1] in ("run", "rerun"):
            command.append("--threads=2")
            if self.carries_apart:  # what nobody of the day can meet passes by the run, however few it is
                command.append("--carry-apart=1")
        log = open(os.path.join(self.path, "log"), "wb")
        p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})))
        if kill_after is not None:
            time.sleep(kill_after)
            p.send_signal(signal.SIGKILL)
        code = p.wait()
        log.close()
        if code not in want and code != -signal.SIGKILL:
            sys.stderr.write(open(log.name, errors="replace").read())
            raise SystemExit("%s: exit code %d" % (" ".join(command), code))
        return code

    def out(self, day):
        return os.path.join(self.path, "out", "days", day_text(day))

    def digests(self, days):
        found = []
        for day in range(days):
            for line in open(os.path.join(self.out(day), "summary.json")):
                if '"digest"' in line:
                    found.append(line.strip())
        return found


def hold(book, day, out, seed):
    for name in CLASSES:
        got, want = sorted(read_class(book.out(day), name)), sorted(out[name])
        if got != want:
            print("seed %s, %s, %s differs" % (seed, day_text(day), name))
            for row in got:
                if got.count(row) != want.count(row):
                    print("  tieout", row)
            for row in want:
                if got.count(row) != want.count(row):
                    print("  oracle", row)
            raise SystemExit(1)


def hold_roll(book, day, roll, seed):
    shown = subprocess.run([book.tieout, "task", "show", "CH/pay/%s/1" % day_text(day), "--jobs=" + book.path],
                           stdout=subprocess.PIPE, check=True).stdout.decode()
    for side, r in roll.items():
        line = [x for x in shown.split("\n") if x.startswith("  suspense " + side)]
        if not any(r.values()):
            continue
        want = "%d opening" % r["opening"], "%d opened" % r["opened"], "%d resolved" % r["resolved"], "%d expired" % r["expired"], \
            "%d reopened" % r["reopened"], "%d closing" % r["closing"]
        if r["opening"] + r["opened"] + r["reopened"] != r["resolved"] + r["expired"] + r["closing"]:
            raise SystemExit("seed %s, %s: the oracle itself does not roll forward: %s" % (seed, day_text(day), r))
        if len(line) != 1 or not all(w in line[0] for w in want):
            raise SystemExit("seed %s, %s: suspense of the %s side: tieout says %s, the oracle %s" %
                             (seed, day_text(day), side, line, want))


def main():
    options = {"days": "30", "seed": "1", "kills": "0"}
    faults = False
    for a in sys.argv[2:]:
        if a == "--faults":
            faults = True
        else:
            options[a[2:].split("=")[0]] = a.split("=")[1]
    days, seed = int(options["days"]), int(options["seed"])
    rng = random.Random(seed)
    root = tempfile.mkdtemp(prefix="tieout-days-")
    try:
        book, plain = Book(sys.argv[1], root, "killed", True), Book(sys.argv[1], root, "plain", False)
        world, oracle = World(rng, days), Oracle()
        before = {}
        killed = corrected = 0
        for day in range(days):
            for b in (book, plain):
                for side in ("local", "channel"):
                    world.write(b.path, side, day)
                b.call("task", "init", "--date=" + day_text(day))
            before[day] = oracle.state()
            out, roll = oracle.run(day, world.records("local", day) + world.records("channel", day))
            for n in range(int(options["kills"])):
                if faults:
                    env = {"TIEOUT_FAIL_KILL": "1", "TIEOUT_FAIL_IO": str(rng.randint(1, 220))}
                    killed += book.call("task", "run", env=env) < 0
                else:
                    killed += book.call("task", "run", kill_after=rng.uniform(0, 0.12)) < 0
            book.call("task", "run")
            plain.call("task", "run")
            hold(book, day, out, seed)
            hold_roll(book, day, roll, seed)
            if day > 4 and rng.random() < 0.2:              # a corrected bill for a day that others stand on
                corrected += 1
                at = day - rng.randint(0, 3)
                world.correct(at)
                for b in (book, plain):
                    world.write(b.path, "channel", at)
                for n in range(min(1, int(options["kills"]))):
                    killed += book.call("task", "rerun", "--date=" + day_text(at), "--cascade",
                                        kill_after=rng.uniform(0, 0.3)) < 0
                rerun = ("task", "rerun", "--date=" + day_text(at), "--cascade")
                book.call("task", "run")
                book.call(*rerun)
                plain.call(*rerun)
                oracle.open, oracle.final = before[at]
                for again in range(at, day + 1):
                    before[again] = oracle.state()
                    out, roll = oracle.run(again, world.records("local", again) + world.records("channel", again))
                    hold(book, again, out, seed)
                    hold_roll(book, again, roll, seed)
            book.call("verify")
        if book.digests(days) != plain.digests(days):
            raise SystemExit("seed %s: a book that was killed %d times has other digests than one that never was" % (seed, killed))
        plain.call("verify", want=(0,))
        print("%d days, %d killed, %d corrected: as the oracle says" % (days, killed, corrected))
    finally:
        shutil.rmtree(root, ignore_errors=True)


main()
