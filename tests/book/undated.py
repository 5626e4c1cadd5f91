#!/usr/bin/env python3
"""tests/book/undated.py TIEOUT [--nights=N]

A book whose ledger has orders without a time: they are not paid yet, or never will be. Such a row's bill date is that of the event that
wrote it, whichever night reads it: it is in one class a night, final once, told where the log does something to it and else never, and a
day that is done again says the same. Thresholds 0 and 3; one growing log and a file a day; one table and two.
"""
import calendar
import concurrent.futures
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from row_log import Log

FIELDS = """
  fields: {biz_order_no: order_no, amount: {column: pay_amount, unit: minor}, trade_time: trade_at, status: {column: state, map: {0: PROCESSING, 2: SUCCESS, 3: CLOSED}}}"""
JOB = """version: 1
job: j
channel_code: CH
biz_type: pay
timezone: Asia/Shanghai
currency: CNY
local:%s
channel:
  files: "bill/{date}.csv"
  occurrence_id: id
  fields: {biz_order_no: order_no, amount: amount, trade_time: time}
match: {keys: [[channel_code, biz_order_no]], compare: [amount], window: none}
suspense: {threshold: {local: %d, channel: 1}}
output: {dir: out, match: true}
"""
UNPAID, PAID, CLOSED = "0", "2", "3"
CLASSES = ("match", "mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded")
failures = 0


def check(is_so, what, said=""):
    global failures
    if not is_so:
        failures += 1
        print(f"FAILED: {what}\n{said}")


def date(day):
    return f"2026-11-{day:02d}"


def row(number, state, day=None, cents=None):
    """Its time is on `day`; the order's number tells the row."""
    return (number, f"O{number}", "", cents or 100 * number, state, day and date(day) + " 10:00:00")


def at_rest(day):
    """An order that is paid, one that is not, one that was closed: nothing becomes of them."""
    return [("insert", row(day * 100 + 1, PAID, day), row(day * 100 + 2, UNPAID), row(day * 100 + 3, CLOSED))], [day * 100 + 1]


def alive(day):
    """Orders that are paid after two days; written anew, still unpaid, after one and paid after three; with a time, and the same; deleted after a day; come
    and gone within one; paid within one; closed after three."""
    changes, paid = at_rest(day)
    base = day * 100
    changes.append(("insert", *(row(base + i, UNPAID) for i in (4, 5, 6, 7, 8, 10)), row(base + 9, UNPAID, day)))
    changes += [("delete", row(base + 7, UNPAID)), ("update", row(base + 8, UNPAID), row(base + 8, PAID, day))]
    paid.append(base + 8)
    if day > 1:
        changes += [("update", row(base - 95, UNPAID), row(base - 95, UNPAID, None, 777)), ("update", row(base - 91, UNPAID, day - 1), row(base - 91, UNPAID, day)), ("delete", row(base - 94, UNPAID))]
    if day > 2:
        changes.append(("update", row(base - 196, UNPAID), row(base - 196, PAID, day)))
        paid.append(base - 196)
    if day > 3:
        changes += [("update", row(base - 295, UNPAID, None, 777), row(base - 295, PAID, day)), ("update", row(base - 291, UNPAID, day - 2), row(base - 291, PAID, day)),
                    ("update", row(base - 290, UNPAID), row(base - 290, CLOSED))]
        paid += [base - 295, base - 291]
    return changes, paid


class Book:
    def __init__(self, root, threshold, a_file_a_day, tables):
        self.root, self.a_file_a_day, self.tables = root, a_file_a_day, tables
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root + "/bill")
        files = "log/{date}/mysql-bin.*" if a_file_a_day else "log/all/mysql-bin.*"
        parts = [f'binlog: {{files: "{files}", table: shop.{table}}}{FIELDS}' for table in tables]
        local = "\n  " + parts[0] if len(parts) == 1 else "".join("\n  - " + part.replace("\n", "\n  ") for part in parts)
        with open(root + "/j.yaml", "w") as file:
            file.write(JOB % (local, threshold))

    def call(self, *words):
        done = subprocess.run([TIEOUT, *words], cwd=self.root, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def told(self, said):
        """Days of which the log tells something else."""
        return sorted({int(line.split("/")[-2][-2:]) for line in said.splitlines() if line.startswith("warning: task ") and "otherwise" in line
                       for line in [line[:line.index(": the ")]]})

    def night(self, day, world):
        folder = f"{self.root}/log/{date(day) if self.a_file_a_day else 'all'}"
        os.makedirs(folder, exist_ok=True)
        log = Log(f"{folder}/mysql-bin.{day:06d}", columns=(("id", int), ("order_no", str), ("trade_no", str), ("pay_amount", int), ("state", str), ("trade_at", str)),
                  begun=calendar.timegm(time.strptime(date(day), "%Y-%m-%d")) + 4 * 3600)
        bill = []
        for number, table in enumerate(self.tables):
            changes, paid = world(day)
            other = lambda r: (r[0], r[1] + table[0], *r[2:]) if number else r
            for kind, *rows in changes:
                log.transaction((kind, *(other(r) for r in rows), table))
            bill += [(f"C{n}{number}", other(row(n, PAID))[1], f"{n}.00", date(day) + " 11:00:00") for n in paid]
        log.close()
        with open(f"{self.root}/bill/{date(day)}.csv", "w") as file:
            file.write("id,order_no,amount,time\n" + "".join(",".join(r) + "\n" for r in bill))
        self.call("task", "init", "--date=" + date(day))
        return self.call("task", "run", "--threads=2")

    def results(self, day):
        folder = f"{self.root}/out/j/{date(day)}"
        return {one: open(f"{folder}/{one}.csv", "rb").read() for one in CLASSES}

    def rows(self, day):
        """(order number, class, bill date) of the local side."""
        out = []
        for one in CLASSES:
            with open(f"{self.root}/out/j/{date(day)}/{one}.csv", newline="") as file:
                for r in csv.DictReader(file):
                    if r.get("local_place") or r.get("side") == "local":
                        out.append((r.get("local_biz_order_no") or r["biz_order_no"], one, r.get("local_bill_date") or r["bill_date"]))
        return out

    def alarms(self):
        return self.call("status")[1].count("book.changed")


def is_sound(book, what, day):
    rows = book.rows(day)
    twice = {r[0] for r in rows if [o[0] for o in rows].count(r[0]) > 1}
    check(not twice, f"{what}: in two classes of one night: {sorted(r for r in rows if r[0] in twice)}")
    early = [r for r in rows if r[2] > date(day)]
    check(not early, f"{what}: of days to come: {early}")
    wrong = [r for r in rows if r[1] not in ("match", "suspense", "excluded")]
    check(not wrong, f"{what}: {wrong}")
    return rows


def book_of(root, world, threshold, a_file_a_day, tables):
    book = Book(root, threshold, a_file_a_day, tables)
    name = f"{world.__name__}, threshold {threshold}, {'a file a day' if a_file_a_day else 'one log'}, {len(tables)} tables"
    final, first = {}, {}
    for day in range(1, NIGHTS + 1):
        what = f"{name}, night {day}"
        code, said = book.night(day, world)
        # What is carried is followed in silence. What is final is told once: it is paid or closed, written anew or deleted.
        # A file of its own says of a row without a time not when it was written before: of those it tells nothing.
        want = []
        if world is alive and threshold == 0:
            want = [d for d in ((day - 2) * (day > 3), day - 1) if d > 0] if a_file_a_day else [d for d in (day - 3, day - 2, day - 1) if d > 0]
        check(book.told(said) == want and code == (want != []), f"{what}: told of {book.told(said)}, not {want}, exit code {code}", said)
        rows = is_sound(book, what, day)
        for order, one, bill_date in rows:
            if world is at_rest and one != "suspense":
                check(order not in final, f"{what}: {order} is {one}, and was {final.get(order)}")
                check(one == ("match" if order.rstrip("r")[-1] == "1" else "excluded"), f"{what}: {order} is {one}")
                final[order] = (day, one)
            if order.startswith("O") and world is at_rest:
                check(bill_date == date(int(order.rstrip("r")[1:]) // 100), f"{what}: {order} has the bill date {bill_date}")
        bill = {r[0] for r in rows if r[1] == "match"}
        with open(f"{book.root}/bill/{date(day)}.csv") as file:
            lacks = {r["order_no"] for r in csv.DictReader(file)} - bill
        check(not lacks, f"{what}: not matched: {sorted(lacks)}", said)
        first[day] = book.results(day)
        code, said = book.call("task", "run")
        check(code == 0 and not book.told(said), f"{what}: once more, exit code {code}", said)
    again = {}
    for turn in range(2):
        code, said = book.call("task", "rerun", "--cascade", f"CH/pay/{date(1)}/1")
        if want and a_file_a_day:  # these files still say the same
            check(code == 1 and book.alarms() == NIGHTS - 1, f"{name}, done again: exit code {code}, {book.alarms()} alarms", said)
        else:
            check(code == 0 and not book.told(said) and not book.alarms(), f"{name}, done again: exit code {code}, {book.alarms()} alarms", said)
        for day in range(1, NIGHTS + 1):
            is_sound(book, f"{name}, night {day} done again", day)
            now = book.results(day)
            # A log that went on tells other rows of a day; of a file a day, and where nothing became of them, it does not.
            was = first[day] if world is at_rest or a_file_a_day else again.get(day, now)
            check(now == was, f"{name}, night {day} is another one when it is done again ({turn}): {[one for one in CLASSES if now[one] != was[one]]}")
            again[day] = now
    code, said = book.call("verify")
    check(code == 0, f"{name}: verify", said)


if __name__ == "__main__":
    TIEOUT = os.path.abspath(sys.argv[1])
    NIGHTS = int(sys.argv[2].split("=")[1]) if sys.argv[2:] else 7
    one, two = ("order",), ("order", "refund")
    books = ((alive, 0, False, one), (alive, 3, False, two), (alive, 0, True, one), (alive, 3, True, one), (at_rest, 0, False, two), (at_rest, 3, False, one),
             (at_rest, 0, True, one), (at_rest, 3, True, two))
    work = tempfile.mkdtemp()
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for run in [pool.submit(book_of, f"{work}/{i}", *book) for i, book in enumerate(books)]:
                run.result()
    finally:
        shutil.rmtree(work)
    sys.exit(failures != 0)
