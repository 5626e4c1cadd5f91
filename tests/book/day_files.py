#!/usr/bin/env python3
"""tests/book/day_files.py TIEOUT [--every=N]

Of the changes of a day that is done every Nth is tried.

A book whose log is another file each day: what a day's file says of days that are done is told with exit code 1 and an alarm, as with all files in
one folder, and nothing else is; with `files:` of all days the day is done again and is right. What it says of days to come is read once more
when they come, and told where its file is gone by then.
"""
import calendar
import concurrent.futures
import os
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import changes
from changes import A, B, C, CHANGED, E, F, G, JOB, LATE, MOVED, ONE, QUIET, TWO, fail, row
from row_log import Log

THREE, LONG_AGO = "2026-11-03 10:00:00", "2026-10-30 10:00:00"
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
BY_DATE, ALL = "binlog/{date}/mysql-bin.*", "binlog/*/mysql-bin.*"
A_BILL = ("c1", "A", "TA", "100.00", "CNY", "SUCCESS", ONE)


def noon(day):
    """In seconds, of Asia/Shanghai."""
    return calendar.timegm(time.strptime(day + " 04:00:00", "%Y-%m-%d %H:%M:%S"))


class Book(changes.Book):
    def __init__(self, root, files=BY_DATE):
        super().__init__(root)
        self.write(files)

    def write(self, files):
        with open(self.root + "/j.yaml", "w") as file:
            file.write(JOB.replace("binlog/mysql-bin.*", files).replace("suspense:", "  window: none\nsuspense:") + "output: {match: true}\n")

    def log(self, day, *transactions):
        """The day's file, written at its noon; of several transactions."""
        self.files += 1
        os.makedirs(f"{self.root}/binlog/{day}", exist_ok=True)
        log = Log(f"{self.root}/binlog/{day}/mysql-bin.{self.files:06d}", begun=noon(day))
        for changes_of in transactions:
            log.transaction(*changes_of)
        log.close()

    def expect(self, what, day, code, words=(), rows=(), quiet=False, options=("--threads=2",)):
        got, said = self.day(day, *rows, options=options)
        missing = [one for one in words if one not in said]
        if got != code or missing or (quiet and ("otherwise" in said or "does not hold" in said or self.alarm())):
            fail(f"{what}, {day}: exit code {got}, expected {code} and {missing}", said)
        return said

    def results(self, day):
        """Its class files, byte for byte."""
        folder = f"{self.root}/out/j/{day}"
        return {name: open(f"{folder}/{name}", "rb").read() for name in sorted(os.listdir(folder)) if name.endswith(".csv")}

    def again(self, what, name="2026-11-01"):
        """By the files of all days."""
        self.write(ALL)
        code, said = self.call("task", "rerun", "--cascade", f"CH/pay/{name}/1")
        if code not in (0, 1) or "otherwise" in said or "does not hold" in said or self.alarm():
            fail(f"{what}: done again, exit code {code}", said)
        code, said = self.call("verify")
        if code != 0:
            fail(f"{what}: verify", said)


def first_day(root, *more):
    book = Book(root)
    book.log(DAYS[0], [("insert", A, B, C, E, F, G, *more)])
    book.expect("the first day", DAYS[0], 0, rows=[A_BILL], quiet=True)
    return book


def quiet(root):
    book = first_day(root)
    book.log(DAYS[1], QUIET[:3], QUIET[3:], [("insert", row(20, "D", 300, at=TWO)), ("update", row(20, "D", 300, at=TWO), row(20, "D", 400, at=TWO))])
    book.expect("what is no change", DAYS[1], 0, quiet=True)
    book.log(DAYS[2], [("insert", row(21, "H", 300, at=THREE)), ("delete", row(6, "GG", 800))])
    book.expect("what is no change", DAYS[2], 0, quiet=True)
    if book.numbers(DAYS[2], "suspense") != ["B", "C", "D", "F", "H"]:
        fail(f"what is no change: suspense {book.numbers(DAYS[2], 'suspense')}", "")


CASES = tuple((what, changed, "1 deleted (primary key 1)" if what == "deleted and put in again" else expected) for what, changed, expected in changes.CASES[:-1]) + (
    ("twice, and by rows of the day among them", [("insert", row(30, "S", 100, at=TWO)), ("update", A, row(1, "A", 9000)), ("update", row(1, "A", 9000), row(1, "A", 9900))],
     CHANGED + " (primary key 1)"),
    ("moved far back", [("update", A, row(1, "A", 10000, at=LONG_AGO))], "1 moved to another bill date, or no payment any more (primary key 1)"),
    ("moved to a day to come", [("update", A, row(1, "A", 10000, at=THREE))], MOVED),
    ("all at once", QUIET + [("update", A, row(1, "A", 9900))], CHANGED + " (primary key 1)"),
)


def one(root, what, changed, expected):
    book = first_day(root)
    book.log(DAYS[1], changed, [("insert", row(40, "Z", 100, at=TWO))])
    said = book.expect(what, DAYS[1], 1, [expected, "let `files:` name", "task rerun CH/pay/2026-11-01/1 --cascade", "2026-11-01/1: exit code 1"])
    if not book.alarm() or said.count("otherwise") != 1:
        fail(f"{what}: alarm {book.alarm()}", said)
    code, said = book.call("task", "run")
    if code != 0 or "otherwise" in said:
        fail(f"{what}: the same night once more, exit code {code}", said)
    book.log(DAYS[2], [("insert", row(41, "Y", 100, at=THREE))])
    said = book.expect(what, DAYS[2], 0)
    if "otherwise" in said or not book.alarm():
        fail(f"{what}: the day after", said)
    # That day's own file still does not hold it.
    code, said = book.call("task", "rerun", "--cascade", "CH/pay/2026-11-01/1")
    if code != 1 or expected not in said or not book.alarm():
        fail(f"{what}: done again by the same files, exit code {code}", said)
    book.again(what)


def ahead(root):
    """Rows of days to come in the files before: carried, and what becomes of them by the files in between and by their own day's."""
    N, M, U, V, W, X = [row(50 + i, name, 100 + i, at=at) for i, (name, at) in
                        enumerate((("N", TWO), ("M", THREE), ("U", TWO), ("V", TWO), ("W", THREE), ("X", TWO)))]
    book = first_day(root, N, M, U, V, W, X)
    changed = lambda r, cents, at=None: r[:3] + (cents,) + r[4:5] + ((at,) if at else r[5:])
    book.log(DAYS[1], [("update", U, changed(U, 700)), ("delete", V), ("update", W, changed(W, 800)), ("update", X, changed(X, 105, THREE)),
                       ("insert", row(40, "Z", 100, at=TWO))])
    bill = lambda name, amount, at: (f"c{name}", name, "T" + name, amount, "CNY", "SUCCESS", at)
    book.expect("rows of tomorrow", DAYS[1], 0, rows=[bill("N", "1.00", TWO), bill("U", "7.00", TWO)], quiet=True)
    if book.numbers(DAYS[1], "suspense") != ["B", "C", "E", "F", "G", "Z"] or book.numbers(DAYS[1], "match") != ["N", "U"]:
        fail(f"rows of tomorrow: suspense {book.numbers(DAYS[1], 'suspense')}, match {book.numbers(DAYS[1], 'match')}", "")
    book.log(DAYS[2], [("insert", row(41, "Y", 100, at=THREE))])
    code, said = book.day(DAYS[2], bill("M", "1.01", THREE), bill("W", "8.00", THREE), bill("X", "1.05", THREE))
    if code != 0 or "otherwise" in said or "does not hold" in said or book.alarm() or book.numbers(DAYS[2], "match") != ["M", "W", "X"]:
        fail(f"rows of the day after tomorrow: exit code {code}, match {book.numbers(DAYS[2], 'match')}", said)
    own = {day: book.results(day) for day in DAYS}
    code, said = book.call("task", "rerun", "--cascade", f"CH/pay/{DAYS[0]}/1")
    if code != 0 or any(book.results(day) != own[day] for day in DAYS):
        fail(f"rows of tomorrow, all days done again: exit code {code}", said)


def ahead_and_lost(root):
    """The file that told of them is gone, or is not what it was."""
    lost = "not hold them: 1 are in no result (primary key 50)"
    for what, away in (("gone", lambda path: os.remove(path)), ("another", lambda path: another(path))):
        shutil.rmtree(root, ignore_errors=True)
        book = first_day(root, row(50, "N", 5000, at=TWO))
        away(f"{root}/binlog/{DAYS[0]}/mysql-bin.000001")
        book.log(DAYS[1], [("insert", row(40, "Z", 100, at=TWO))])
        book.expect(f"a row of tomorrow, its file {what}", DAYS[1], 1, [lost, "rerun CH/pay/2026-11-02/1 --cascade"])
        if not book.alarm():
            fail(f"a row of tomorrow, its file {what}: no alarm", "")
    # Put back as it was, the day is done again.
    log = Log(f"{root}/binlog/{DAYS[0]}/mysql-bin.000001")
    log.transaction(("insert", A, B, C, E, F, G, row(50, "N", 5000, at=TWO)))
    log.close()
    code, said = book.call("task", "rerun", "--cascade", f"CH/pay/{DAYS[0]}/1")
    if code != 0 or book.alarm() or "N" not in book.numbers(DAYS[1], "suspense"):
        fail(f"a row of tomorrow, its file back: exit code {code}", said)


def another(path):
    """One row of it is not there any more."""
    log = Log(path)
    log.transaction(("insert", A, B, C, E, F, G))
    log.close()


def ahead_in_parts(root):
    """The same with MINIMAL images, by pieces and several workers."""
    for options in (("--threads=1",), ("--threads=3", "--chunk=4096")):
        shutil.rmtree(root, ignore_errors=True)
        rows = [row(1000 + i, f"K{i:04d}", 100, at=TWO if i % 2 else ONE) for i in range(2000)]
        book = Book(root)
        os.makedirs(f"{root}/binlog/{DAYS[0]}")
        book.files = 1
        log = Log(f"{root}/binlog/{DAYS[0]}/mysql-bin.000001")
        log.images = "MINIMAL"
        log.transaction(("insert", *rows))
        for r in rows[1::50]:
            log.transaction(("update", r, r[:3] + (300,) + r[4:]))
        log.close()
        book.expect("images in part", DAYS[0], 0, rows=[], quiet=True, options=options)
        book.log(DAYS[1], [("insert", row(40, "Z", 100, at=TWO)), ("delete", rows[3])])
        book.expect("images in part", DAYS[1], 0, quiet=True, options=options)
        if len(book.numbers(DAYS[1], "suspense")) != 2000:
            fail(f"images in part: {len(book.numbers(DAYS[1], 'suspense'))} in suspense", "")


def ahead_and_gone(root):
    """It was deleted before its day came: nothing is lost."""
    T = row(51, "M", 100, at=THREE)
    book = first_day(root, T)
    book.log(DAYS[1], [("insert", row(40, "Z", 100, at=TWO)), ("delete", T)])
    book.expect("a row of tomorrow that went", DAYS[1], 0, quiet=True)
    book.log(DAYS[2], [("insert", row(41, "Y", 100, at=THREE))])
    book.expect("a row of tomorrow that went", DAYS[2], 0, quiet=True)


def copies(root):
    """A day's folder holds the files of days before as well: what was read before is no news, and a row of tomorrow is there."""
    book = first_day(root, row(50, "N", 5000, at=TWO))
    shutil.copytree(f"{root}/binlog/{DAYS[0]}", f"{root}/binlog/{DAYS[1]}")
    book.log(DAYS[1], [("insert", row(40, "Z", 100, at=TWO)), ("update", B, row(2, "B", 5000))])
    book.expect("copies", DAYS[1], 0, quiet=True)
    if book.numbers(DAYS[1], "suspense") != ["B", "C", "E", "F", "G", "N", "Z"]:
        fail(f"copies: {book.numbers(DAYS[1], 'suspense')}", "")
    shutil.copytree(f"{root}/binlog/{DAYS[1]}", f"{root}/binlog/{DAYS[2]}")
    book.log(DAYS[2], [("insert", row(41, "Y", 100, at=THREE)), ("update", A, row(1, "A", 9900))])
    book.expect("copies", DAYS[2], 1, [CHANGED + " (primary key 1)"])


def timeless(root):
    """Rows whose time comes with the payment, which may be a day later: they are the task's own, carried and followed."""
    book = Book(root)
    new = lambda number, at=None, status="PROCESSING": row(number, f"P{number}", 100, status, at)
    book.log(DAYS[0], [("insert", A, *(new(i) for i in range(60, 66)))])
    book.expect("no time yet", DAYS[0], 0, rows=[A_BILL], quiet=True)
    book.log(DAYS[1], [("update", new(60), new(60, TWO, "SUCCESS")), ("update", new(61), new(61, ONE, "SUCCESS")), ("update", new(62), new(62, None, "CLOSED")),
                       ("delete", new(63)), ("update", new(64), new(64, None, "CLOSED")), ("update", new(64, None, "CLOSED"), new(64, TWO, "SUCCESS"))],
             [("insert", new(70)), ("update", new(70), new(70, TWO, "SUCCESS")), ("insert", new(71)), ("insert", new(72)), ("delete", new(72))])
    book.expect("the time comes", DAYS[1], 0, quiet=True)
    book.log(DAYS[2], [("update", new(71), new(71, THREE, "SUCCESS")), ("update", new(65), new(65, THREE, "SUCCESS"))])
    book.expect("the time comes", DAYS[2], 0, quiet=True)
    book.log("2026-11-04", [("update", A, row(1, "A", 9900)), ("update", new(62, None, "CLOSED"), new(62, ONE, "SUCCESS"))])
    book.expect("and a change", "2026-11-04", 1, [CHANGED + " (primary key 1)"])


def empty_day(root):
    """A day without a row of the table: what the next file says of it is told."""
    book = Book(root)
    book.log(DAYS[0], [("delete", row(99, "Q", 1, at=LONG_AGO))])
    book.files = 0
    log = Log(f"{root}/binlog/{DAYS[0]}/mysql-bin.000001")
    log.close()
    book.files = 1
    book.expect("an empty day", DAYS[0], 0)
    book.log(DAYS[1], [("insert", row(11, "L", 1000), row(40, "Z", 100, at=TWO))])
    book.expect("behind an empty day", DAYS[1], 1, [LATE + "11)"])


def many(root):
    """Runs of rows that lie alike, of the day and of others, by several workers and in small pieces."""
    rows = lambda first, count, at, cents=100: [(i, f"O{i:06d}", f"T{i:06d}", cents, "SUCCESS", at) for i in range(first, first + count)]
    for options in (("--threads=1",), ("--threads=3", "--chunk=4096")):
        shutil.rmtree(root, ignore_errors=True)
        book = first_day(root)
        late, own = rows(100000, 700, ONE), rows(200000, 3000, TWO)
        after = [r[:3] + (300,) + r[4:] for r in own[:1000]]
        book.log(DAYS[1], *([("insert", *own[i:i + 500])] for i in range(0, 3000, 500)), *([("insert", *late[i:i + 70])] for i in range(0, 700, 70)),
                 [part for was, now in zip(own, after) for part in (("update", was, now),)], [("delete", *late[:200])])
        book.expect("many", DAYS[1], 1, ["700 came later and are in no result, 200 deleted, and others may have changed as well"], options=options)
        if len(book.numbers(DAYS[1], "suspense")) != 3005:
            fail("many: suspense", "")


if __name__ == "__main__":
    changes.TIEOUT = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp()
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(run, f"{work}/{run.__name__}") for run in (quiet, ahead, ahead_and_lost, ahead_in_parts, ahead_and_gone, copies, timeless, empty_day, many)]
            every = int(sys.argv[2].split("=")[1]) if sys.argv[2:] else 1
            runs += [pool.submit(one, f"{work}/{i}", *CASES[i]) for i in range(len(CASES) - 1, -1, -every)]
            for run in runs:
                run.result()
    finally:
        shutil.rmtree(work)
    sys.exit(changes.failures != 0)
