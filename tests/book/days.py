#!/usr/bin/env python3
"""tests/book/days.py TIEOUT --days=N --seed=S [--kills=N] [--faults]

Simulated days of one channel against an oracle that shares nothing with the engine: it keeps all records of all days in lists and
walks the passes of SPEC.md section 3 over them. Bills come late, hold rows twice, are corrected afterwards, statuses and amounts
differ, pairs lie on two sides of midnight, rows of earlier days come again, some are known by their second number only, a mismatch is
put right by a later row, tolerance has a budget; a day is killed now and then, and done again. After each day every class file must say
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
TOLERANCE, BUDGET = 1, 2    # cents
KEYS = [1]                  # and the second number as well, with an even seed
CROWD = [False]             # most rows under three keys, each judged in parts and in little memory
ANY_DATE = [True]           # whether a row that comes again may state another bill date; not with a seed that three divides
CLASSES = ("match", "mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded")
ORDER = ["exact", "tolerance", "group", "amount", "currency", "direction", "status", "fee", "timing", "merchant", "date_disagrees",
         "conflict", "suspected", "dup_suspect", "non_monetary", "day_cut", "near_cut", "carried", "second_pass", "late", "budget",
         "repeated"]
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
  fields: {biz_order_no: order_no, channel_order_no: txn, amount: {column: amount, unit: major}, status: status, bill_date: day}
channel:
  files: "bill/{date}.csv"
  format: csv
  occurrence_id: id
  fields: {biz_order_no: order_no, channel_order_no: txn, amount: {column: amount, unit: major}, status: status, bill_date: day}
match:
  keys: [[channel_code, biz_order_no]SECOND]
  compare: [status]
  tolerance: {amount: 0.01, budget: 0.02}
  window: {before: 4d, after: 4d}
suspense: {threshold: {local: 2, channel: 3}}
IDSoutput: {dir: out, match: true}
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

    def __init__(self, side, ident, order, txn, cents, status, day):
        self.side, self.ident, self.order, self.txn = side, ident, order, txn
        self.cents, self.status, self.day = cents, status, day
        self.opened = None   # in suspense: day on which it was opened
        self.tries = 0
        self.late = False
        self.doubt = False
        self.repeated = ""   # equal, other: it came on an earlier day
        self.met = False     # judged under an earlier key of this run

    def copy(self):
        r = Record(self.side, self.ident, self.order, self.txn, self.cents, self.status, self.day)
        r.opened, r.tries, r.doubt = self.opened, self.tries, self.doubt
        return r

    def key(self, number):
        return self.order if number == 1 else self.txn

    def known(self):
        return self.late or self.opened is not None

    def is_new(self):
        return not self.known() and self.repeated != "equal"

    def has_identity(self):
        return self.ident != ""

    def identity(self):
        key = ("order", self.order) if self.order else ("others", self.txn if 2 in KEYS else "")
        # What is known by its id alone must state the same date: banks use one for the interest of each month.
        return (self.side, 0 if ANY_DATE[0] and key[1] else self.day, self.ident, key)

    def sigma(self):
        return (self.cents, self.status)

    def rank(self):
        texts = ["CH", "pay", self.order, self.txn, "", "", day_text(self.day), "", "OUT" if self.cents < 0 else "IN", "CNY",
                 money(self.cents), "", self.status]
        canonical = b"".join(len(t.encode()).to_bytes(4, "big") + t.encode() for t in texts)
        return (self.day, self.ident == "", self.ident.encode(), canonical, not self.known())

    def own(self):
        if self.late:
            return {"late"}
        if self.opened is None:
            return set()
        return {"carried", "second_pass"} if self.tries else {"carried"}

    def age(self):
        return 0 if self.opened is None else self.tries + 1

    def shown(self, reasons):
        return (self.side, self.order, self.txn, day_text(self.day), money(self.cents), self.status, self.ident,
                ";".join(sorted(reasons, key=ORDER.index)))


OTHER = {"local": "channel", "channel": "local"}


class Oracle:
    """What is open and what is final, and what a day makes of it."""

    def __init__(self):
        self.open = []
        self.final = []     # what P9 gave for good
        self.pairs = []     # mismatches: (local, channel, key that joined them)
        self.seen = {}      # identity -> contents, of all days before
        self.spent = {}     # budget cell -> (cents, whether one did not fit)

    def state(self):
        return ([r.copy() for r in self.open], [r.copy() for r in self.final], [(l.copy(), c.copy(), n) for l, c, n in self.pairs],
                {k: set(v) for k, v in self.seen.items()}, dict(self.spent))

    def restore(self, state):
        self.open, self.final, self.pairs, self.seen, self.spent = state

    def run(self, day, fresh):
        out = {c: [] for c in CLASSES}
        self.roll = {s: dict(opening=0, opened=0, resolved=0, expired=0, reopened=0, closing=0) for s in THRESHOLD}
        self.day, self.out, self.held, self.fresh_pairs = day, out, [], []
        for r in fresh:
            if r.has_identity() and r.identity() in self.seen:
                r.repeated = "equal" if r.sigma() in self.seen[r.identity()] else "other"
        for r in fresh:
            if r.has_identity():
                self.seen.setdefault(r.identity(), set()).add(r.sigma())
        pool = list(fresh)
        for r in self.open:
            self.roll[r.side]["opening"] += 1
            r.met = False
            pool.append(r)
        self.open = []
        sleeping = [([r], len(KEYS)) for r in self.final] + [([l, c], n) for l, c, n in self.pairs]
        brought = []
        for number in KEYS:
            # SPEC 5: a new record of the other side that shares a key with a final one reopens it. Under the second key there are
            # only records that the first one left open.
            new = {(r.side, r.key(number)) for r in pool if r.is_new() and r.key(number)}
            for sleeper in list(sleeping):
                group, joined_by = sleeper
                woken = []
                if number > joined_by:  # what a key joined no later key takes apart, as on one day
                    continue
                for r in group:
                    key = r.key(number)
                    other = (OTHER[r.side], key) in new
                    both = len(group) == 2 and group[0].key(number) == group[1].key(number) and (r.side, key) in new
                    if key and (other or both):
                        woken.append(r)
                if woken:
                    sleeping.remove(sleeper)
                    pool += [self.reopen(r) for r in woken]
                    brought += [r for r in group if r not in woken]
            groups, left = {}, []
            for r in pool:
                if r.key(number):
                    groups.setdefault(r.key(number), []).append(r)
                else:
                    left.append(r)
            for rows in groups.values():
                left += self.group(number, rows)
                for r in rows:
                    r.met = True
            pool = left + [self.reopen(r) for r in brought]
            brought = []
        self.final = [g[0] for g, _ in sleeping if len(g) == 1]
        self.pairs = [(g[0], g[1], n) for g, n in sleeping if len(g) == 2]
        for r in pool:
            if r.repeated and not r.met:  # no key at all: only its id tells who it is
                if r.repeated == "equal":
                    out["duplicate"].append(r.shown(r.own() | {"repeated"}))
                else:
                    out["ambiguous"].append(r.shown(r.own() | {"repeated", "conflict"}))
                continue
            self.leave_open(r)
        self.settle_budget()
        self.pairs += self.fresh_pairs
        return out, self.roll

    def reopen(self, r):
        r.late, r.met = True, False
        self.roll[r.side]["reopened"] += 1
        return r

    def close(self, r):
        if r.known():
            self.roll[r.side]["resolved"] += 1

    def group(self, number, rows):
        """Those that the key leaves open."""
        out, left = self.out, {"local": [], "channel": []}
        for side in left:
            mine = [r for r in rows if r.side == side]
            by_ident = {}
            for r in mine:
                if r.ident and not r.met:
                    by_ident.setdefault(r.ident, []).append(r)
            gone = set()
            for same in by_ident.values():
                came_before = any(r.repeated for r in same)
                if len(same) < 2 and not came_before:
                    continue
                same.sort(key=Record.rank)
                note = lambda r: r.own() | ({"repeated"} if r.repeated else set())
                if len({r.sigma() for r in same}) == 1 and not any(r.repeated == "other" for r in same):
                    stays = same[0]
                    if came_before:
                        stays = ([r for r in same if r.known()] + [None])[0]
                    for r in same:
                        if r is not stays:
                            out["duplicate"].append(r.shown(note(r)))
                            self.close(r)
                            gone.add(id(r))
                else:
                    for r in same:
                        out["ambiguous"].append(r.shown(note(r) | {"conflict"}))
                        self.close(r)
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
                    out["match"].append(self.pair(number, l, c, {"day_cut" if gap else "exact"} | l.own() | c.own()))
                    for r in (l, c):
                        self.close(r)
                        left[r.side].remove(r)
                        matched[r.side].add(sigma)
                    i += 1
                    k += 1
        near = []
        for l in left["local"]:
            for c in left["channel"]:
                delta = abs(l.cents - c.cents)
                if delta <= TOLERANCE and l.status == c.status and (l.cents < 0) == (c.cents < 0) and abs(l.day - c.day) <= WINDOW:
                    near.append((delta, min(l.cents, c.cents), max(l.cents, c.cents), min(l.rank(), c.rank()),
                                 max(l.rank(), c.rank()), id(l), id(c), l, c))
        for delta, _, _, _, _, _, _, l, c in sorted(near, key=lambda n: n[:5]):
            if any(l is r for r in left["local"]) and any(c is r for r in left["channel"]):
                self.held.append((number, l, c, delta, l.own() | c.own() | ({"day_cut"} if l.day != c.day else set()), l.rank()))
                for r in (l, c):
                    self.close(r)
                    left[r.side] = [x for x in left[r.side] if x is not r]
                    matched[r.side].add(r.sigma())
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
                    out["mismatch"].append(self.pair(number, l, c, (reasons or {"timing"}) | l.own() | c.own()))
                    self.close(l)
                    self.close(c)
                    self.end_pair(l, c, number)
            else:
                for r in ls + cs:
                    out["ambiguous"].append(r.shown(r.own()))
                    self.close(r)
            return []
        open_ones = []
        for r in ls + cs:
            if r.sigma() in matched[r.side]:
                if not r.ident:
                    out["duplicate"].append(r.shown(r.own() | {"suspected"}))
                    self.close(r)
                    continue
                r.doubt = True
            open_ones.append(r)
        return open_ones

    def end_pair(self, l, c, number):
        for r in (l, c):
            r.tries = r.age()
            r.opened = self.day if r.opened is None else r.opened
            r.late, r.met, r.repeated = False, False, ""
        self.fresh_pairs.append((l, c, number))

    def leave_open(self, r):
        out, roll = self.out, self.roll
        tries = r.age()
        reasons = r.own() | ({"dup_suspect"} if r.doubt else set())
        waits = tries < THRESHOLD[r.side]
        if waits:
            out["suspense"].append(r.shown(reasons))
            roll[r.side]["closing"] += 1
            roll[r.side]["opened"] += not r.known()
            self.open.append(r)
        else:
            roll[r.side]["expired"] += r.known()
            if r.status == "FAILED":
                out["excluded"].append(r.shown((reasons - {"dup_suspect"}) | {"non_monetary"}))
            else:
                out["missing" if r.side == "local" else "extra"].append(r.shown(reasons))
            self.final.append(r)
        r.opened = self.day if r.opened is None else r.opened
        r.tries, r.late, r.met, r.repeated = tries, False, False, ""

    def settle_budget(self):
        """Decision 27: the pairs of a cell in the order of their local records, behind what earlier days spent."""
        for number, l, c, delta, reasons, _ in sorted(self.held, key=lambda h: h[5]):
            spent, over = self.spent.get(l.day, (0, False))
            over = over or spent + delta > BUDGET
            self.spent[l.day] = (spent if over else spent + delta, over)
            if over:
                self.out["mismatch"].append(self.pair(number, l, c, reasons | {"budget"}))
                self.end_pair(l, c, number)
            else:
                self.out["match"].append(self.pair(number, l, c, reasons | {"tolerance"}))

    def pair(self, number, l, c, reasons):
        return (l.order or c.order, c.txn or l.txn, ";".join(sorted(reasons, key=ORDER.index)), money(l.cents), money(c.cents),
                l.status, c.status, day_text(l.day), day_text(c.day), str(number))


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
                         r["local_status"], r["channel_status"], r["local_bill_date"], r["channel_bill_date"], r["key_no"]))
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

    def add(self, side, day, ident, order, txn, cents, status, date=None):
        if 0 <= day < self.days:
            self.rows[side][day].append((ident, order, txn, cents, status, day if date is None else date))

    def payment(self, day, number):
        rng = self.rng
        # In a crowd most payments go by one of three order numbers, as where somebody's key is a merchant.
        order = "O%05d" % number if rng.random() < (0.3 if CROWD[0] else 0.8) else "R%03d" % rng.randint(0, 2 if CROWD[0] else 40)
        cents = rng.choice((100, 250, 999, 12345)) * rng.choice((1, 1, 1, 1, -1))
        status = "FAILED" if rng.random() < 0.06 else "SUCCESS"
        local, channel, txn = "L%d" % number, "C%d" % number, "T%d" % number if rng.random() < 0.9 else "U%02d" % rng.randint(0, 20)
        # The channel may know our order number, its own only, or another of ours; we may know its number.
        known = rng.random()
        local_txn = txn if known < 0.5 else ""
        bill_order = order if known > 0.2 else "" if known > 0.1 else "W%05d" % number
        kind = rng.random()
        self.add("local", day, "" if rng.random() < 0.1 else local, order, local_txn, cents, status)
        bill = lambda at, ident, amount, word: self.add("channel", at, ident, bill_order, txn, amount, word)
        if kind < 0.40:
            bill(day, channel, cents, status)
        elif kind < 0.56:                                   # the other side of midnight, or late
            bill(day + rng.choice((1, 1, 1, 2, 3, 4, 5, 6, 8)), channel, cents, status)
        elif kind < 0.62:
            bill(max(0, day - rng.choice((1, 2, 4, 6))), channel, cents, status)
        elif kind < 0.68:                                   # another amount, perhaps put right later, by either side
            wrong = cents + rng.choice((2, -2, 100))
            bill(day + rng.choice((0, 0, 1, 5)), channel, wrong, status)
            if rng.random() < 0.4:
                bill(day + rng.choice((1, 2, 6)), channel + "r", rng.choice((cents, cents - wrong)), status)
            elif rng.random() < 0.3:
                self.add("local", day + rng.choice((1, 2, 6)), local + "r", order, local_txn, wrong, status)
        elif kind < 0.76:                                   # within tolerance
            bill(day + rng.choice((0, 0, 1, 2)), channel, cents + rng.choice((1, -1)), status)
        elif kind < 0.78:
            bill(day, channel, cents, "SUCCESS" if status == "FAILED" else "FAILED")
        elif kind < 0.83:                                   # doubled
            bill(day, channel, cents, status)
            bill(day + rng.choice((0, 0, 1)), channel, cents, status)
        elif kind < 0.87:                                   # a second one with a number of its own
            bill(day, channel, cents, status)
            bill(day, channel + "b", cents, status)
        elif kind < 0.90:
            self.add("local", day, local + "x", order, local_txn, cents, status)
            bill(day, channel, cents, status)
        # an export that overlaps: the very row again, days later, on one side or both; now and then with another amount
        if rng.random() < 0.12:
            again = day + rng.choice((1, 1, 2, 3, 7))
            for side in rng.choice((("local",), ("channel",), ("local", "channel"))):
                rows = [r for r in self.rows[side][day] if r[0].startswith((local, channel))]
                if rows and 0 <= again < self.days:
                    ident, o, x, amount, word, date = rng.choice(rows)
                    if rng.random() < 0.4:                  # which says the day of its file
                        date = again
                    self.rows[side][again].append((ident, o, x, amount + (50 if rng.random() < 0.1 else 0), word, date))

    def correct(self, day):
        """The channel sends another bill for the day."""
        rows = self.rows["channel"][day]
        self.rng.shuffle(rows)
        for _ in range(min(len(rows), self.rng.randint(1, 3))):
            rows.pop()
        if rows and self.rng.random() < 0.7:
            ident, order, txn, cents, status, date = rows[0]
            rows[0] = (ident, order, txn, cents + 7, status, date)

    def records(self, side, day):
        return [Record(side, *row) for row in self.rows[side][day]]

    def write(self, book, side, day):
        name = os.path.join(book, {"local": "local", "channel": "bill"}[side], day_text(day) + ".csv")
        with open(name, "w") as f:
            f.write("id,order_no,txn,amount,status,day\n")
            for ident, order, txn, cents, status, date in self.rows[side][day]:
                f.write("%s,%s,%s,%s,%s,%s\n" % (ident, order, txn, money(cents), status, day_text(date)))


class Book:
    def __init__(self, tieout, root, name, carries_apart, crowd=False):
        self.tieout = tieout
        self.crowd = crowd
        self.path = os.path.join(root, name)
        self.carries_apart = carries_apart
        for folder in ("local", "bill"):
            os.makedirs(os.path.join(self.path, folder))
        with open(os.path.join(self.path, "days.yaml"), "w") as f:
            f.write(JOB.replace("SECOND", ", [channel_code, channel_order_no]" if 2 in KEYS else "")
                    .replace("IDS", "" if ANY_DATE[0] else "ids: {any_date: false}\n"))

    def call(self, *arguments, env=None, kill_after=None, want=(0, 1)):
        command = [self.tieout] + list(arguments) + ["--jobs=" + self.path]
        if arguments[0] == "task" and arguments[1] in ("run", "rerun"):
            command.append("--threads=2")
            if self.carries_apart:  # what nobody of the day can meet passes by the run, however few it is
                command.append("--carry-apart=1")
            if self.crowd:          # more than two rows of a key are too many to be held at once: they are judged in parts
                command += ["--group-rows=2", "--memory=24MiB"]
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
    options = {"days": "30", "seed": "1", "kills": "0", "crowd": "0"}
    faults = False
    for a in sys.argv[2:]:
        if a == "--faults":
            faults = True
        else:
            options[a[2:].split("=")[0]] = a.split("=")[1]
    days, seed = int(options["days"]), int(options["seed"])
    rng = random.Random(seed)
    if seed % 2 == 0:
        KEYS.append(2)
    ANY_DATE[0] = seed % 3 != 0
    CROWD[0] = options["crowd"] == "1"
    root = tempfile.mkdtemp(prefix="tieout-days-")
    try:
        book, plain = Book(sys.argv[1], root, "killed", True, CROWD[0]), Book(sys.argv[1], root, "plain", False)
        world, oracle = World(rng, days), Oracle()
        before = {}
        killed = corrected = 0
        met = {}
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
            for name in CLASSES:                            # so that it is seen what was tried
                for row in out[name]:
                    reasons = row[2] if name in ("match", "mismatch") else row[7]
                    for word in ("late", "repeated", "budget", "tolerance"):
                        met[word] = met.get(word, 0) + (word in reasons.split(";"))
                    met["second key"] = met.get("second key", 0) + (len(row) == 10 and row[9] == "2")
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
                oracle.restore(before[at])
                for again in range(at, day + 1):
                    before[again] = oracle.state()
                    out, roll = oracle.run(again, world.records("local", again) + world.records("channel", again))
                    hold(book, again, out, seed)
                    hold_roll(book, again, roll, seed)
            book.call("verify")
        if book.digests(days) != plain.digests(days):
            raise SystemExit("seed %s: a book that was killed %d times has other digests than one that never was" % (seed, killed))
        plain.call("verify", want=(0,))
        print("%d days, %d killed, %d corrected; %s: as the oracle says" %
              (days, killed, corrected, ", ".join("%d %s" % (n, w) for w, n in sorted(met.items()))))
    finally:
        if not os.environ.get("KEEP"):
            shutil.rmtree(root, ignore_errors=True)


main()
