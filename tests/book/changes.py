#!/usr/bin/env python3
"""tests/book/changes.py TIEOUT

A book whose local side is a log: what the log does to records of a day that is done is told (decision D11), and nothing
else is: rows in suspense are followed, also where their numbers change. A book for each kind of change: A is matched on the first day, others are carried; then the log goes on, and the second day is done.
"""
import concurrent.futures
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
job: j
channel_code: CH
biz_type: pay
timezone: Asia/Shanghai
currency: CNY
local:
  binlog: {files: "binlog/mysql-bin.*", table: shop.order}
  fields:
    biz_order_no: order_no
    channel_order_no: trade_no
    amount: {column: pay_amount, unit: minor}
    status: state
    trade_time: trade_at
channel:
  files: "data/channel_{date}.csv"
  occurrence_id: id
  fields: {biz_order_no: order, channel_order_no: trade, amount: amount, currency: cur, status: status, trade_time: time}
match:
  keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]]
  compare: [amount, status]
suspense: {threshold: {local: 9, channel: 9}}
"""

failures = 0


def fail(what, said):
    global failures
    failures += 1
    print(f"FAILED: {what}\n{said}")


class Book:
    def __init__(self, root):
        self.root = root
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root + "/data")
        os.makedirs(root + "/binlog")
        open(root + "/j.yaml", "w").write(JOB)
        self.files = 0

    def log(self, *changes):
        self.files += 1
        log = Log(f"{self.root}/binlog/mysql-bin.{self.files:06d}")
        log.transaction(*changes)
        log.close()

    def call(self, *words):
        done = subprocess.run([TIEOUT, *words], cwd=self.root, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def day(self, day, *rows, options=("--threads=2",)):
        with open(f"{self.root}/data/channel_{day}.csv", "w") as file:
            file.write("id,order,trade,amount,cur,status,time\n" + "".join(",".join(row) + "\n" for row in rows))
        self.call("task", "init", "--date=" + day)
        return self.call("task", "run", *options)

    def numbers(self, day, one):
        """Order numbers of a class, of the local side where it has a record."""
        with open(f"{self.root}/out/j/{day}/{one}.csv", newline="") as file:
            return sorted((got.get("local_biz_order_no") or got.get("channel_biz_order_no") or got.get("biz_order_no")) + (
                "" if got.get("side", "local") == "local" else " of the bill") for got in csv.DictReader(file))

    def alarm(self):
        return "book.changed" in self.call("status")[1]


ONE, TWO = "2026-11-01 10:00:00", "2026-11-02 10:00:00"


def row(number, order, cents, status="SUCCESS", at=ONE):
    return (number, order, "T" + order, cents, status, at)


# A is matched on its day; the others are carried.
A, B, C, E, F, G = row(1, "A", 10000), row(2, "B", 5000, "PROCESSING"), row(3, "C", 7000), row(4, "E", 600), row(5, "F", 700), row(6, "G", 800)
QUIET = [
    ("update", A, A),  # of a matched record, what nobody reads
    ("insert", row(11, "L", 1000)), ("delete", row(11, "L", 1000)),  # came later, and went
    ("insert", row(12, "M", 1000, at="2026-10-30 10:00:00")),  # from before the book
    ("update", B, row(2, "B", 5000)), ("update", C, row(3, "C", 7100)), ("delete", E),
    ("update", F, row(5, "F", 700, at=TWO)),  # what is carried is the task's own
    ("update", G, row(6, "GG", 800)),
]
CHANGED = "records changed (amount, status, number or what else is compared)"
MOVED = "1 moved to another bill date, or no payment any more (primary key 1)"
LATE = "1 came later and are in no result (primary key "
CASES = (
    # what, what the log tells then, what is said
    ("a matched record's amount", [("update", A, row(1, "A", 9900))], CHANGED + " (primary key 1)"),
    ("a matched record's status", [("update", A, row(1, "A", 10000, "CLOSED"))], CHANGED + " (primary key 1)"),
    ("a matched record's order number", [("update", A, row(1, "AA", 10000))], CHANGED + " (primary key 1)"),
    ("a matched record deleted", [("delete", A)], "1 deleted (primary key 1)"),
    ("a matched record moved", [("update", A, row(1, "A", 10000, at=TWO))], MOVED),
    ("deleted and put in again", [("delete", A), ("insert", row(1, "A", 10000, at=TWO))], MOVED),
    ("a late record", [("insert", row(11, "L", 1000))], LATE + "11)"),
    ("two late records", [("insert", row(11, "L", 1000)), ("insert", row(12, "M", 1000))], "2 came later and are in no result, and others may have changed as well;"),
    ("changed, and one came late", [("update", A, row(1, "A", 9900)), ("insert", row(11, "L", 1000))], "1 came later and are in no result, and others may have changed as well;"),
    ("deleted, and two came late", [("delete", A), ("insert", row(11, "L", 1000), row(12, "M", 1000))], "2 came later and are in no result, 1 deleted, and others may have changed as well;"),
    ("deleted, and one came late", [("delete", A), ("insert", row(11, "L", 1000))], "as many records came as were deleted or moved to another bill date (1 deleted), and others may have changed as well;"),
    # it is another row by then
    ("a carried record's primary key", [("update", C, row(33, "C", 7000))], LATE + "33)"),
    ("all at once", QUIET + [("update", A, row(1, "A", 9900))], CHANGED + " (primary key 1)"),
)


def first_day(root):
    book = Book(root)
    book.log(("insert", A, B, C, E, F, G))
    code, said = book.day("2026-11-01", ("c1", "A", "TA", "100.00", "CNY", "SUCCESS", ONE))
    if code != 0:
        fail("the first day", said)
    return book


def quiet(root):
    book = first_day(root)
    book.log(*QUIET)
    for day in ("2026-11-02", "2026-11-03"):
        code, said = book.day(day)
        if code != 0 or "otherwise" in said or "log begins with" in said or book.alarm():
            fail(f"what is no change, {day}: exit code {code}", said)


def one(root, what, changes, expected):
    book = first_day(root)
    book.log(*changes)
    code, said = book.day("2026-11-02")
    if code != 1 or expected not in said or "log begins with" in said:
        fail(f"{what}: exit code {code}, expected {expected}", said)
    if "task rerun CH/pay/2026-11-01/1 --cascade" not in said:
        fail(f"{what}: no command", said)
    if "a log has changed what is done already, in CH/pay/2026-11-01/1: exit code 1" not in said or "(0 of them" not in said:
        fail(f"{what}: the summary", said)
    if not book.alarm():
        fail(f"{what}: no alarm", book.call("status")[1])
    return book


def done_again(root):
    """It is told once; the alarm stands until the day is done again."""
    book = one(root, *CASES[0])
    code, said = book.day("2026-11-03")
    if code != 0 or "otherwise" in said or not book.alarm():
        fail(f"the day after, exit code {code}", said)
    said = book.call("task", "rerun", "--cascade", "CH/pay/2026-11-01/1")[1]
    if "otherwise" in said or "3 tasks done" not in said or book.alarm():
        fail("done again", said)
    code, said = book.call("verify")
    if code != 0:
        fail("verify", said)


def renamed(root, threshold=9, options=("--threads=2",)):
    """A row in suspense whose number changes is tried under the new one, at once."""
    book = Book(root)
    open(root + "/j.yaml", "w").write(JOB.replace("channel: 9", f"channel: {threshold}").replace("suspense:", "  window: none\nsuspense:") + "output: {match: true}\n")
    three, one_is_extra = "2026-11-03 10:00:00", threshold == 0
    first = {order: row(number, order, cents) for number, order, cents in (
        (1, "A", 100), (2, "W", 200), (3, "S", 300), (4, "U", 400), (5, "D", 500), (6, "R", 600), (7, "X", 700), (8, "K", 800), (9, "V", 900))}
    none = (10, None, "TN", 1000, "SUCCESS", ONE)
    book.log(("insert", *first.values(), none))

    def bill(day, *orders):
        return book.day(day, *((f"{day}-{order}", order, "t" + order, "%.2f" % amount, "CNY", "SUCCESS", day + " 10:00:00") for order, amount in orders), options=options)

    def expect(day, code, said, **classes):
        if code != (one_is_extra and day == "2026-11-01") or "otherwise" in said or book.alarm():
            fail(f"renamed, {day}: exit code {code}", said)
        for one, orders in classes.items():
            if book.numbers(day, one) != sorted(orders):
                fail(f"renamed, {day}: {one} is {book.numbers(day, one)}, expected {sorted(orders)}", said)

    code, said = bill("2026-11-01", ("A", 1), ("E", 9))  # it knows V's new number a day before; with a threshold of 0 as extra
    expect("2026-11-01", code, said, match=["A"], suspense=["D", "K", "R", "S", "U", "V", "W", "X", ""] + ["E of the bill"] * (not one_is_extra))
    book.log(("update", first["W"], row(2, "W2", 200)), ("update", row(2, "W2", 200), row(2, "O", 200)),  # twice
             ("update", first["S"], row(3, "SU", 300)), ("update", first["U"], row(4, "S", 400)), ("update", row(3, "SU", 300), row(3, "U", 300)),
             ("update", first["D"], row(5, "D", 500, at=TWO)), ("update", first["R"], row(6, "R2", 610)),
             ("update", first["X"], row(7, "X2", 700, at=three)),
             ("update", first["K"], row(8, "K2", 800)), ("update", row(8, "K2", 800), first["K"]),  # there and back
             ("update", first["V"], row(9, "E", 900)), ("update", none, (10, "N", "TN", 1000, "SUCCESS", ONE)),
             ("insert", row(20, "B", 2000, at=TWO)))
    code, said = bill("2026-11-02", ("O", 2), ("S", 4), ("U", 3), ("D", 5), ("N", 10), ("B", 20))
    second = dict(match=["B", "D", "E", "N", "O", "S", "U"], suspense=["K", "R2"], excluded=["", "R", "S", "U", "V", "W", "X"])
    expect("2026-11-02", code, said, **second)
    # What left its number is resolved there; under the new one it was open only where it still is.
    want = "local CNY: 9 opening + 1 opened - 8 resolved - 0 expired + 0 reopened = 2 closing"
    if want not in said:
        fail(f"renamed: expected {want}", said)
    book.log(("update", row(6, "R2", 610), row(6, "R", 610)), ("insert", row(21, "C", 2100, at=three)))
    code, said = bill("2026-11-03", ("X2", 7), ("R", 6.1), ("K", 8), ("C", 21))
    expect("2026-11-03", code, said, match=["C", "K", "R", "X2"], suspense=[])
    code, said = book.call("verify")
    if code != 0:
        fail("renamed: verify", said)


def renamed_little_memory(root):
    renamed(root, threshold=0, options=("--threads=3", "--chunk=300", "--index-memory=256KiB"))


def beginning_gone(root):
    """Old files of the log are removed: no false alarm, a note; what is there is compared again from the next day on."""
    book = first_day(root)
    book.log(("insert", row(7, "G", 300, at=TWO)))
    code, said = book.day("2026-11-02", ("g", "G", "TG", "3.00", "CNY", "SUCCESS", TWO))
    if code != 0:
        fail("before the log's beginning goes", said)
    os.remove(book.root + "/binlog/mysql-bin.000001")
    book.log(("insert", row(8, "H", 400, at="2026-11-03 10:00:00")))
    code, said = book.day("2026-11-03")
    if code != 0 or "the local log begins with binlog/mysql-bin.000002, and began with binlog/mysql-bin.000001" not in said:
        fail("the log's beginning is gone", said)
    # C is carried, and its first image is gone.
    book.log(("update", C, row(3, "C", 7100)), ("update", row(7, "G", 300, at=TWO), row(7, "G", 200, at=TWO)))
    code, said = book.day("2026-11-04")
    if code != 1 or CHANGED + " (primary key 7)" not in said or "2026-11-01/1: the local" in said or "log begins with" in said:
        fail("after the log's beginning was gone", said)


def condition(root):
    """Rows in suspense that leave by `where` and come back, and rows whose primary key changes: followed, or told with exit code 1, and right when
    the day is done again; never in two classes, never gone."""
    inside = lambda number, order, cents, at=ONE: (number, order, "in", cents, "SUCCESS", at)
    outside = lambda number, order, cents: (number, order, "out", cents, "SUCCESS", ONE)
    C, X = inside(3, "C", 7000), outside(4, "X", 900)
    leaves, back = ("update", C, outside(3, "C", 7000)), ("update", outside(3, "C", 7000), C)
    moved, renumbered = ("update", C, inside(33, "C", 7000)), ("update", C, inside(33, "CC", 7000))
    cases = (
        # changes before day 2, before day 3; the bill's order number; what is said on days 2 and 3; where our row is after day 3 and when done again
        ("left", [leaves], [], "C", "", "", None, None),
        ("left and came back at once", [leaves, back], [], "C", "", "", "match", "match"),
        ("left, and came back a day later", [leaves], [back], "C", "", LATE + "3)", None, "match"),
        ("came in", [("update", X, inside(4, "X", 900))], [], "X", LATE + "4)", "", None, "match"),
        ("primary key", [moved], [], "C", LATE + "33)", "", None, "match"),
        ("primary key and number", [renumbered], [], "CC", LATE + "33)", "", None, "match"),
        ("deleted, and anew under others", [("delete", C), ("insert", inside(33, "CC", 7000))], [], "CC", LATE + "33)", "", None, "match"),
        ("deleted, and anew a day later", [("delete", C)], [("insert", C)], "C", "", LATE + "3)", None, "match"),
    )
    for number, (what, second, third, order, said2, said3, where, again) in enumerate(cases):
        book = Book(f"{root}/{number}")
        open(book.root + "/j.yaml", "w").write(JOB.replace("table: shop.order}", 'table: shop.order}\n  where: {trade_no: ["in"]}')
                                                  .replace("suspense:", "  window: none\nsuspense:") + "output: {match: true}\n")

        def bill(day, *orders):
            return book.day(day, *((day + one, one, "t" + one, "%.2f" % amount, "CNY", "SUCCESS", day + " 10:00:00") for one, amount in orders))

        def ours():
            return {one for day in ("2026-11-01", "2026-11-02", "2026-11-03") for one in ("match", "mismatch", "missing", "ambiguous", "duplicate")
                    if order in book.numbers(day, one)}

        book.log(("insert", inside(1, "A", 100), C, X))
        code, said = bill("2026-11-01", ("A", 1))
        if code != 0 or book.numbers("2026-11-01", "suspense") != ["C"]:
            fail(f"condition, {what}, the first day: exit code {code}", said)
        book.log(*second, ("insert", inside(90, "B", 100, TWO)))
        code, said = bill("2026-11-02")
        if code != (said2 != "") or said2 not in said or (not said2 and "otherwise" in said):
            fail(f"condition, {what}, the second day: exit code {code}, expected {said2}", said)
        book.log(*third, ("insert", inside(91, "D", 100, "2026-11-03 10:00:00")))
        code, said = bill("2026-11-03", (order, 9 if order == "X" else 70))
        if code != (said3 != "") or said3 not in said or (not said3 and "otherwise" in said):
            fail(f"condition, {what}, the third day: exit code {code}, expected {said3}", said)
        if ours() != ({where} if where else set()):
            fail(f"condition, {what}: {order} is {ours()}, expected {where}", said)
        code, said = book.call("task", "rerun", "--cascade", "CH/pay/2026-11-01/1")
        if code != 0 or ours() != ({again} if again else set()) or book.alarm():
            fail(f"condition, {what}, done again: exit code {code}, {order} is {ours()}, expected {again}", said)
        code, said = book.call("verify")
        if code != 0:
            fail(f"condition, {what}: verify", said)


def little_memory(root):
    """What must be known of carried rows of a log does not fit: refused before anything is read, and nothing is lost by it."""
    book, rows = Book(root), 500000
    book.files += 1
    log = Log(f"{root}/binlog/mysql-bin.000001")
    for first in range(0, rows, 1000):
        log.transaction(("insert", *((i + 1, f"O{i}", None, 100, "SUCCESS", ONE) for i in range(first, first + 1000))))
    log.close()
    code, said = book.day("2026-11-01")
    if code != 0 or f"{rows} opened" not in said:
        fail(f"many open rows: exit code {code}", said)
    os.remove(f"{root}/binlog/mysql-bin.000001")
    book.log(("insert", row(rows + 1, "Z", 200, at=TWO), row(rows + 2, "Y", 200, at=TWO)))
    bill = ("z", "Z", "TZ", "2.00", "CNY", "SUCCESS", TWO), ("o", "O7", "", "1.00", "CNY", "SUCCESS", TWO)
    code, said = book.day("2026-11-02", *bill, options=("--memory=18MiB", "--threads=1"))
    if code != 4 or "memory.carried" not in said or "what is known of carried records takes" not in said or "give --memory=SIZE more" not in said:
        fail(f"too little memory for carried rows: exit code {code}", said)
    if os.path.exists(f"{root}/out/j/2026-11-02"):
        fail("too little memory for carried rows: something was published", said)
    for _ in range(3):  # that the machine is too small is no try of the task's
        book.call("task", "run", "--memory=18MiB", "--threads=1")
    code, said = book.call("task", "run", "--threads=1")
    want = f"local CNY: {rows} opening + 1 opened - 1 resolved - 0 expired + 0 reopened = {rows} closing"
    if code != 0 or want not in said:
        fail(f"with enough of it: exit code {code}, expected {want}", said)


if __name__ == "__main__":
    TIEOUT = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp()
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(run, f"{work}/{run.__name__}") for run in (quiet, done_again, beginning_gone, renamed, renamed_little_memory, condition) + ((little_memory,) if "--large" in sys.argv else ())]
            every = next((int(word.partition("=")[2]) for word in sys.argv if word.startswith("--every=")), 1)
            runs += [pool.submit(one, f"{work}/{i}", *CASES[i]) for i in range(1, len(CASES), every)]
            for run in runs:
                run.result()
    finally:
        shutil.rmtree(work)
    sys.exit(failures != 0)
