#!/usr/bin/env python3
"""tests/book/xa.py TIEOUT [--every=N]   every Nth case only

A book whose ledger writes XA transactions. One that is prepared before the place that a night had read to, and committed behind it, is new to the
night after, as if it had been written then: the same classes, and the same is told of days that are done. In one log that grows, and with a file
a day, beside copies of those before, or alone: then the PREPARE is not there, which is refused by name until the day before's file lies beside it.
One that is rolled back, or never decided, is nothing.
"""
import concurrent.futures
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import changes
from changes import JOB, ONE, TWO, fail, row
from row_log import Log

CLASSES = ("mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded", "match")
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
THREE = DAYS[2] + " 10:00:00"
A, B, C = row(1, "A", 10000), row(2, "B", 5000), row(3, "C", 7000)
FILES = GROWS, COPIES, ALONE = "one log", "a file a day beside copies", "a file a day"
CASES = (
    ("a row of the night's own day", [("insert", row(11, "N", 100, at=TWO))]),
    ("a late one", [("insert", row(11, "L", 100))]),
    ("one of the next day", [("insert", row(11, "M", 100, at=THREE))]),
    ("a matched row's amount", [("update", A, row(1, "A", 9900))]),
    ("a matched row deleted", [("delete", A)]),
    ("a matched row moved", [("update", A, row(1, "A", 10000, at=TWO))]),
    ("a carried row's amount", [("update", B, row(2, "B", 5100))]),
    ("a carried row's number", [("update", B, row(2, "BB", 5000))]),
    ("a carried row deleted", [("delete", C)]),
    ("several", [("update", A, row(1, "A", 9900)), ("insert", row(11, "N", 100, at=TWO)), ("delete", B)]),
)


class Book(changes.Book):
    def __init__(self, root, by_date):
        super().__init__(root)
        self.by_date = by_date
        job = JOB.replace("suspense:", "  window: none\nsuspense:") + "output: {match: true}\n"
        with open(root + "/j.yaml", "w") as file:
            file.write(job.replace("binlog/mysql-bin.*", "binlog/{date}/mysql-bin.*") if by_date else job)

    def begin(self, day):
        self.files += 1
        folder = f"{self.root}/binlog/" + (day if self.by_date else "")
        os.makedirs(folder, exist_ok=True)
        return Log(f"{folder}/mysql-bin.{self.files:06d}")

    def told(self, day):
        """Of the day: its classes without places, and what the book says of itself."""
        out = []
        for one in CLASSES:
            path = f"{self.root}/out/j/{day}/{one}.csv"
            out.append((one, self.numbers(day, one) if os.path.exists(path) else None))
        out.append(sorted(line for line in self.call("status")[1].splitlines() if "book.changed" in line or "records" in line))
        return out


def nights(root, files, done, how):
    """How: "plain": on the second day; "xa": prepared on the first and committed on the second. What each night said."""
    book, said, logs = Book(root, files != GROWS), [], []
    for number, day in enumerate(DAYS):
        log = book.begin(day)
        if number == 0:
            log.transaction(("insert", A, B, C))
        if how != "plain" and number == 0:
            log.prepare(5, *done)
            log.prepare(6, ("delete", A))
            log.prepare(7, ("insert", row(99, "never", 100)))
        if number == 1:
            log.transaction(("insert", row(20, "Q", 2000, at=TWO)))
            if how == "plain":
                log.transaction(*done)
            else:
                log.decide(5, "COMMIT")
                log.decide(6, "ROLLBACK")
        if number == 2:
            log.transaction(("insert", row(21, "R", 2100, at=THREE)))
        log.close()
        logs.append(log.file.name)
        if files == COPIES:
            for path in logs[:-1]:
                shutil.copy(path, os.path.dirname(log.file.name))
        bill = {0: [("c1", "A", "TA", "100.00", "CNY", "SUCCESS", ONE)], 1: [("c2", "N", "TN", "1.00", "CNY", "SUCCESS", TWO)], 2: []}[number]
        code, words = book.day(day, *bill)
        if files == ALONE and how == "xa" and number == 1:
            if code != 3 or "binlog.xa" not in words or os.path.exists(f"{book.root}/out/j/{day}"):
                said.append((code, words))
                break
            shutil.copy(logs[0], os.path.dirname(log.file.name))
            code, words = book.call("task", "run", "--threads=2")
        said.append((code, book.told(day)))
        if code not in (0, 1):
            said.append(words)
            break
    return said


def one(root, name, done, files):
    want, got = nights(root + "/plain", files, done, "plain"), nights(root + "/xa", files, done, "xa")
    if want != got or any(len(night) != 2 for night in want):
        fail(f"{name}, {files}", "\n".join(f"  {a}\n  {b}" for a, b in zip(want, got) if a != b) + f"\n{got[-1]}")


if __name__ == "__main__":
    changes.TIEOUT = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp()
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            every = next((int(word.partition("=")[2]) for word in sys.argv if word.startswith("--every=")), 1)
            runs = [pool.submit(one, f"{work}/{number}", *case, files) for number, (case, files) in enumerate((case, files) for case in CASES for files in FILES)
                    if number % every == 0]
            for run in runs:
                run.result()
    finally:
        shutil.rmtree(work)
    sys.exit(1 if changes.failures else 0)
