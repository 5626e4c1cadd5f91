#!/usr/bin/env python3
"""tests/book/tables.py TIEOUT [--every=N]   every Nth change of a table only

A book whose log is another file each day, and a table that changes from one day to the next: what is carried was told by the table as it was. Where
its rows can still be found and every value is kept it goes on; else it stops with file@position, at what the next rows' TABLE_MAP says where nobody
logged a statement. Where nothing is carried, nothing can be lost.
"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "golden")]
from log_ddl import FITS, FITS_NOT, GOES_ON, IDENTITY, NAMED, P, STOPS, Int, Table, alters, rename, touch

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
JOB = """version: 1
job: j
channel_code: CH
biz_type: pay
timezone: UTC
currency: CNY
local:
  binlog: {{files: "{files}", table: {table}{more}}}
  fields: {{biz_order_no: order_no, amount: amount, status: state}}
{settings}channel:
  files: "bill_{{date}}.csv"
  occurrence_id: id
  fields: {{biz_order_no: order, amount: amount, status: status}}
match: {{keys: [[biz_order_no]], compare: [amount, status], window: none}}
suspense: {{threshold: {{local: 5, channel: 5}}}}
"""
failures = passed = 0


def fail(what, said):
    global failures
    failures += 1
    print(f"FAILED: {what}\n{said[:1500]}")


def good(condition, what, said):
    global passed
    if condition:
        passed += 1
    else:
        fail(what, said)


class Book:
    """Eight rows on the first day, four of them in its bill."""

    def __init__(self, root, settings="", files="logs/{date}/local.000001", billed=4, strict=False):
        self.root, self.files = root, files
        os.makedirs(root)
        self.write(settings)
        self.table = self.begin(DAYS[0])
        if strict:
            self.table.nullable, self.table.strict = ("order_no", "amount", "state"), True
        for number in range(1, 9):
            self.table.insert(number)
        self.billed = [self.table.rows[number] for number in range(9 - billed, 9)]

    def write(self, settings="", table="shop.pay", more=""):
        with open(self.root + "/j.yaml", "w") as file:
            file.write(JOB.format(files=self.files, settings=settings, table=table, more=more))

    def begin(self, day):
        os.makedirs(f"{self.root}/logs/{day}")
        return Table(f"{self.root}/logs/{day}/local.000001")

    def next(self, day):
        """The table's log of the next day."""
        self.table.close()
        log = self.begin(day)
        log.kinds, log.key, log.rows = self.table.kinds, self.table.key, self.table.rows
        log.nullable, log.strict = self.table.nullable, self.table.strict
        self.table = log
        return log

    def call(self, *words):
        done = subprocess.run([TIEOUT, *words], cwd=self.root, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def day(self, day, rows, options=("--threads=2",)):
        self.table.file.flush()
        with open(f"{self.root}/bill_{day}.csv", "w") as file:
            file.write("id,order,amount,status\n" + "".join(f"b{r['order_no']},{r['order_no']},{r['amount']},SUCCESS\n" for r in rows))
        self.call("task", "init", "--date=" + day)
        return self.call("task", "run", *options)

    def orders(self, day, one):
        with open(f"{self.root}/out/j/{day}/{one}.csv") as file:
            head = file.readline().rstrip("\r\n").split(",")
            return sorted(line.split(",")[head.index("biz_order_no")] for line in file)

    def first(self):
        code, said = self.day(DAYS[0], self.billed)
        good(code == 0, "the first day", said)

    def rest(self):
        """The bill of the rows that are left, as the table has them."""
        return [row for row in self.table.rows.values() if row not in self.billed]


def silent(table, change):
    """The table changes, and no statement is in the log."""
    table.query = lambda text: None
    try:
        change(table)
    finally:
        del table.query


def changed_book(root, change, settings, quiet, strict):
    """A book whose first day is done, and the next day's log, in which the table changes."""
    book = Book(root, settings, strict=strict)
    book.first()
    log = book.next(DAYS[1])
    if quiet:
        silent(log, change)
    else:
        change(log)
    return book


def stops(root, what, change, words, settings="", quiet=False, strict=False):
    book = changed_book(root, change, settings, quiet, strict)
    for options in (["--threads=1"], ["--threads=3", "--chunk=300"]):
        code, said = book.day(DAYS[1], book.rest(), options)
        good(code != 0 and words in said and f"logs/{DAYS[1]}/local.000001@" in said and ("binlog.ddl" in said or "binlog.versioned" in said),
             f"{what}: exit code {code}, expected {words}", said)
    good(not os.path.exists(f"{root}/out/j/{DAYS[1]}"), f"{what}: results", "of a day that was refused")


def goes_on(root, what, change, settings="", quiet=False, strict=False):
    book = changed_book(root, change, settings, quiet, strict)
    code, said = book.day(DAYS[1], book.rest())
    left = book.orders(DAYS[1], "suspense") if code == 0 else "?"
    good(code == 0 and left == [], f"{what}: exit code {code}, in suspense {left}", said)


def kept_over_a_day_without_rows(root):
    """Two days on, with a day between of which the log has no row of the table."""
    book = Book(root)
    book.first()
    book.next(DAYS[1]).query("ALTER TABLE pay CHANGE id number BIGINT")
    code, said = book.day(DAYS[1], [])
    good(code == 0, "a day without rows", said)
    rename(book.table, id="number")
    book.table.key = ["number"]
    log = book.next(DAYS[2])
    log.alter("", key=["number", "order_no"])
    touch(log)
    code, said = book.day(DAYS[2], book.rest())
    good(code != 0 and "(number, order_no) from here on" in said and "told by (number)" in said, "another key after a day without rows", said)


def renamed_on_a_day_without_rows(root):
    book = Book(root)
    book.first()
    book.next(DAYS[1]).query("ALTER TABLE pay CHANGE id number BIGINT")
    book.day(DAYS[1], [])
    rename(book.table, id="number")
    book.table.key = ["number"]
    touch(book.next(DAYS[2]))
    code, said = book.day(DAYS[2], book.rest())
    good(code == 0 and not book.orders(DAYS[2], "suspense"), "a key that was renamed on a day without rows", said)


def nothing_carried(root):
    book = Book(root, billed=8)
    book.first()
    log = book.next(DAYS[1])
    log.alter("TRUNCATE pay", key=["order_no"], amount=Int())
    log.insert(9, amount="9")
    code, said = book.day(DAYS[1], [log.rows[9]])
    good(code == 0, "nothing is carried", said)


def erased(root):
    """A TRUNCATE before the day's first row takes away what is carried."""
    book = Book(root)
    book.first()
    book.next(DAYS[1]).query("TRUNCATE TABLE pay")
    code, said = book.day(DAYS[1], [])
    good(code != 0 and "binlog.ddl" in said and "come or go here" in said, "a TRUNCATE", said)


def reruns(root):
    """The first day done again, and those behind it: each is held against the day before it, not against the last one done."""
    book = Book(root)
    book.first()
    book.next(DAYS[1]).alter(P + "MODIFY order_no VARCHAR(64)", order_no=type(book.table.kinds["order_no"])(64))
    touch(book.table)
    code, said = book.day(DAYS[1], [])
    good(code == 0, "wider", said)
    book.next(DAYS[2])
    touch_again = book.table.update
    touch_again(2, amount="9.25")
    code, said = book.day(DAYS[2], book.rest())
    good(code == 0 and not book.orders(DAYS[2], "suspense"), "wider, a day later", said)
    code, said = book.call("task", "rerun", f"CH/pay/{DAYS[0]}/1", "--cascade")
    good(code == 0 and "binlog.ddl" not in said, "all done again", said)
    good(not book.orders(DAYS[2], "suspense"), "all done again: nothing is left", said)


def one_log_for_all_days(root):
    """Logs that are kept: what the table was on the way is no change, however often it is read; a log with the same name is another."""
    book = Book(root, files="logs/*/local.*")
    book.first()
    log = book.next(DAYS[1])
    for chars in (64, 70):
        log.alter(P + f"MODIFY order_no VARCHAR({chars})", order_no=type(log.kinds["order_no"])(chars))
        touch_row = log.rows[2]
        log.update(2, note="n" + str(chars), amount=touch_row["amount"])
    log.delete(3)
    book.files = "logs/*/local.00000*"
    os.rename(f"{root}/logs/{DAYS[1]}/local.000001", f"{root}/logs/{DAYS[1]}/local.000002")
    book.write()
    code, said = book.day(DAYS[1], [])
    good(code == 0, "all logs, the second day", said)
    code, said = book.day(DAYS[2], [])
    good(code == 0, "all logs, the third day", said)


def another_identity(root):
    """The job tells rows by other columns, reads another table, or one more, than it did when what is carried was told."""
    for what, words, change in (
            ("occurrence_id", "told by (order_no) from here on", dict(settings=IDENTITY)),
            ("table", "are rows of shop.pay, and the job reads shop.pay2", dict(table="shop.pay2"))):
        book = Book(f"{root}/{what}")
        book.first()
        log = book.next(DAYS[1])
        if what == "table":
            log.table = "pay2"
        log.update(2, amount="7.25")
        book.write(**change)
        code, said = book.day(DAYS[1], book.rest())
        good(code != 0 and words in said and "binlog.ddl" in said, f"another {what}: exit code {code}", said)


def accepted(root):
    """What a person has looked at goes on: at that place, and no other."""
    book = Book(root)
    book.first()
    log = book.next(DAYS[1])
    log.alter(P + "DROP PRIMARY KEY, ADD PRIMARY KEY(id, order_no)", key=["id", "order_no"])
    log.insert(9)
    code, said = book.day(DAYS[1], book.rest())
    at = said.partition(f"logs/{DAYS[1]}/local.000001@")[2].partition(":")[0]
    good(code != 0 and at.isdigit() and f'accept: ["local.000001@{at}"]' in said, "how it is accepted", said)
    for place, want in ((int(at) + 1, False), (int(at), True)):
        book.write(more=f', accept: ["local.000001@{place}"]')
        code, said = book.day(DAYS[1], book.rest())
        good((code == 0) == want and ("accepted" in said) == want, f"accepted at {place}: exit code {code}", said)


def main():
    every = int(sys.argv[2].partition("=")[2]) if len(sys.argv) > 2 else 1
    root = tempfile.mkdtemp()
    number = 0

    def folder():
        nonlocal number
        number += 1
        return f"{root}/{number}"

    for i, (change, words) in list(enumerate(STOPS))[::every]:
        stops(folder(), f"stop {i}", change, words.partition(" and rows before")[0].partition(" is dropped")[0])
    # Only the next rows' TABLE_MAP says it.
    for i in (0, 1, 3, 4, 5):
        stops(folder(), f"silent stop {i}", STOPS[i][0], STOPS[i][1].partition(" and rows before")[0], quiet=True)
    for i, change in list(enumerate(GOES_ON))[::every]:
        goes_on(folder(), f"goes on {i}", change)
    for i in (0, 1, 2, 4, 5):
        goes_on(folder(), f"goes on silently {i}", GOES_ON[i], quiet=True)
    for i, change in list(enumerate(FITS))[::every]:
        goes_on(folder(), f"fits {i}", change, strict=True)
    for i, (change, words) in list(enumerate(FITS_NOT))[::every]:
        stops(folder(), f"fits not {i}", change, words, strict=True)
    for i, change in list(enumerate(NAMED))[::every]:
        goes_on(folder(), f"named {i}", change, settings=IDENTITY)
    for case in (kept_over_a_day_without_rows, renamed_on_a_day_without_rows, nothing_carried, erased, reruns, one_log_for_all_days, another_identity,
                 accepted):
        case(folder())
    shutil.rmtree(root)
    print(f"{passed} passed, {failures} failed")
    return 1 if failures or not passed else 0


if __name__ == "__main__":
    TIEOUT = os.path.abspath(sys.argv[1])
    sys.exit(main())
