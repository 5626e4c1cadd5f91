#!/usr/bin/env python3
"""tests/book/by_hand_log.py TIEOUT

Two errors that somebody paired, of a book whose local side is a log: the log tells the row again each night, or not. It stays their match as
long as the log says of the row what it said then, and no longer.
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
from changes import ONE, TWO, fail, row
from row_log import Log

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04")
A, M = row(1, "A", 10000), row(2, "M", 50000)
A_BILL = ("c1", "A", "TA", "100.00", "CNY", "SUCCESS", ONE)
X_BILL = ("c2", "X", "TX", "500.00", "CNY", "SUCCESS", ONE)
PARTS = """  - binlog: {files: "binlog/mysql-bin.*", table: shop.order}
    fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at}
  - binlog: {files: "binlog/mysql-bin.*", table: shop.refund}
    fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at}
"""


class Book(changes.Book):
    def __init__(self, root, by_date, as_list):
        super().__init__(root)
        self.by_date = by_date
        with open(root + "/j.yaml") as file:
            job = file.read()
        if as_list:
            begin, end = job.index("  binlog: "), job.index("channel:\n")
            job = job[:begin] + PARTS + job[end:]
        job = job.replace("local: 9, channel: 9", "local: 0, channel: 0") + "output: {match: true}\n"
        with open(root + "/j.yaml", "w") as file:
            file.write(job.replace("binlog/mysql-bin.*", "binlog/{date}/mysql-bin.*") if by_date else job)

    def log(self, day, *done):
        self.files += 1
        folder = f"{self.root}/binlog/" + (day if self.by_date else "")
        os.makedirs(folder, exist_ok=True)
        log = Log(f"{folder}/mysql-bin.{self.files:06d}")
        log.transaction(*done)
        log.close()

    def error(self, order):
        """The open error's id."""
        found = [line for line in self.call("errors", "list", "--format=csv")[1].splitlines() if f",{order}," in line]
        return found[0].split(",")[0] if len(found) == 1 else f"{len(found)} of {order}"

    def pairs(self, day):
        with open(f"{self.root}/out/j/{day}/match.csv") as file:
            return sum("manual" in line for line in file)

    def expect(self, what, got, want, said=""):
        if got != want:
            fail(f"{what} (by date {self.by_date}): {got}, not {want}", said)


def play(root, by_date, as_list, later, stays):
    book = Book(root, by_date, as_list)
    book.log(DAYS[0], ("insert", A, M))
    code, said = book.day(DAYS[0], A_BILL, X_BILL)
    book.expect("the first day", code, 1, said)
    local, channel = book.error("M"), book.error("X")
    code, said = book.call("errors", "force-match", local, channel, "--reason=two numbers")
    book.expect("force-match", code, 0, said)
    book.log(DAYS[1], ("insert", row(3, "B", 300, at=TWO)), *later)
    code, said = book.day(DAYS[1], ("c3", "B", "TB", "3.00", "CNY", "SUCCESS", TWO))
    book.expect("pairs", book.pairs(DAYS[1]), int(stays), said)
    book.expect("told that it is no more", "is no more: one of them is not as it was" in said, not stays, said)
    book.expect("open errors", (book.error("M") == local, book.error("X") == channel), (not stays, not stays), said)
    for name in DAYS[1], DAYS[0]:
        code, said = book.call("task", "rerun", f"CH/pay/{name}/1", "--cascade")
        if name == DAYS[0] and not by_date and later and not stays:
            break  # that day's record is another one by then, and so is its error
        book.expect(f"pairs, {name} done again", book.pairs(DAYS[1]), int(stays), said)
    code, said = book.call("verify")
    book.expect("verify", code, 0, said)
    if stays:  # its own partner comes after all
        book.log(DAYS[2], ("insert", row(4, "D", 400, at="2026-11-03 10:00:00")))
        code, said = book.day(DAYS[2], ("c4", "D", "TD", "4.00", "CNY", "SUCCESS", "2026-11-03 10:00:00"), ("c5", "M", "TM", "500.00", "CNY", "SUCCESS", ONE))
        book.expect("the partner came", ("the partner of one of them has come" in said, book.error("X")), (True, channel), said)
        code, said = book.call("verify")
        book.expect("verify, with its partner", code, 0, said)


if __name__ == "__main__":
    changes.TIEOUT = os.path.abspath(sys.argv[1])
    ROOT = tempfile.mkdtemp()
    try:
        cases = [(by_date, as_list, later, stays) for by_date in (False, True) for as_list in (False, True) for later, stays in (
            ((), True), ((("update", M, M),), True), ((("update", M, row(2, "M", 50001)),), False),
            ((("update", M, row(2, "M", 50000, "CLOSED")),), False))]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(play, f"{ROOT}/{i}", *case) for i, case in enumerate(cases)]:
                done.result()
    finally:
        shutil.rmtree(ROOT)
    sys.exit(changes.failures != 0)
