#!/usr/bin/env python3
"""tests/golden/match_taken.py TIEOUT [DAYS [SEED]]: random days whose rows meet before the index sees them, beside the same days whose rows do not.

What decides is what the rows of one key have in common across all that divides them: bill dates, business types, channels, odd rows (which go to the
index at once), rows that come twice, amounts and statuses that differ, a shelf that is full. All files of each day must be the same by every road:
taken (the default), told (--match-shelf=0), read again (--match-memory=64KiB), and full in the middle (a small --match-shelf).
"""
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile

TIEOUT = os.path.realpath(sys.argv[1])
DAYS = int(sys.argv[2]) if len(sys.argv) > 2 else 16
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 5
JOB = """version: 1
job: taken
channel_code: ALIPAY
biz_type: PAY
currency: CNY
timezone: Asia/Shanghai
local: {files: local.csv, format: csv, fields: {biz_order_no: biz_order_no, channel_order_no: {column: again}, amount: amount, trade_time: trade_time, status: status, channel_code: channel_code, biz_type: biz_type}}
channel: {files: channel.csv, format: csv, fields: {biz_order_no: biz_order_no, channel_order_no: channel_order_no, amount: amount, trade_time: trade_time, status: status, channel_code: channel_code}}
match: {keys: [[%s], [channel_code, channel_order_no]], compare: [amount, status], %s}
suspense: {threshold: {local: 0, channel: 0}}
output: {dir: out, match: true}
"""


class Day:
    """What the rows of a day are like."""

    SIZES = ([24], [15, 6], [20, 24], [8, 24], [7], [12], [28, 16])

    def __init__(self, rng, number):
        self.codes = ["ALIPAY", "WXPAY", "UNIONPAY"][:rng.choice((1, 2, 3))]
        self.types = ["ORDER_PAY", "ORDER_REFUND", "FEE"][:rng.choice((1, 2, 3))]
        self.prefixes = rng.choice(([""], ["", "R"], ["PO"], ["20", "A"]))
        self.sizes = self.SIZES[number % len(self.SIZES)]
        self.digits = rng.choice((4, 9, 9, 13, 13, 15, 15, 28))
        self.fixed = rng.choice("29") + "0261119202611192026"
        self.dates = rng.choice((["2026-11-19"], ["2026-11-18", "2026-11-19"]))
        self.odd = rng.choice((0, 0, 0.001, 0.01, 0.2))  # share of rows that are written otherwise
        self.faults = rng.choice((0, 0.01, 0.2))
        self.blank = 300 if number % 4 == 1 else 0  # lines in a row: an item does not count so many

    def number(self, rng):
        """They vary in so many digits as a shelf can say; in one day of eight in more, so that rows do not meet."""
        prefix, size = rng.choice(self.prefixes), rng.choice(self.sizes)
        digits = min(size - len(prefix), self.digits)
        return prefix + self.fixed[:size - len(prefix) - digits] + "".join(rng.choice("0123456789") for _ in range(digits))

    def row(self, rng):
        return dict(biz_order_no=self.number(rng), channel_order_no="20261119%020d" % rng.randrange(10**20), channel_code=rng.choice(self.codes), biz_type=rng.choice(self.types),
                    amount="%d.%02d" % (rng.randrange(1, 300), rng.randrange(100)), status=rng.choice(("SUCCESS", "REFUNDED")),
                    trade_time="%s %02d:00:%02d" % (rng.choice(self.dates), rng.randrange(24), rng.randrange(60)), direction=rng.choice(("IN", "IN", "IN", "OUT")))


def spoil(rng, day, rows, side):
    """Rows missing, doubled, altered: in what is compared and in what is not."""
    out = []
    for row in rows:
        if rng.random() >= day.faults:
            out.append(row)
            continue
        kind = rng.randrange(9)
        again = dict(row)
        if kind == 0:
            continue
        if kind == 1:
            again["amount"] = "%d.00" % rng.randrange(1, 9)
            out.append(again)
            continue
        if kind == 2:
            again["status"] = "FAILED"
            out.append(again)
            continue
        if kind == 3:
            again["biz_type"] = rng.choice(day.types)
        elif kind == 4:
            again["trade_time"] = rng.choice(day.dates) + again["trade_time"][10:]
        elif kind == 5:
            again["channel_code"] = rng.choice(day.codes)
        elif kind == 6:
            again["channel_order_no"] = "9" + again["channel_order_no"][1:]
        elif kind == 7:
            again["biz_order_no"] = rng.choice(out)["biz_order_no"] if out else again["biz_order_no"]
        out.append(row)
        out.extend([again] * rng.choice((1, 1, 2)))
    return out


def line(rng, day, row, columns):
    cells = [row[c] for c in columns]
    if rng.random() < day.odd:
        at = rng.randrange(len(cells))
        kind = rng.randrange(5)
        if kind == 0:
            cells[at] = '"%s"' % cells[at]
        elif kind == 1:
            cells[columns.index("amount")] += "0"
        elif kind == 2:
            cells[columns.index("biz_order_no")] = " " + cells[columns.index("biz_order_no")]
        elif kind == 3:
            cells[columns.index("trade_time")] = rng.choice(day.dates) + " 10:00"
        else:
            cells[columns.index("amount")] = "1" + "0" * 9 + ".5"
    return ",".join(cells) + "\n"


def write(rng, day, path, rows, columns):
    rows = list(rows)
    if rng.random() < 0.5:
        rng.shuffle(rows)
    with open(path, "w") as file:
        file.write(",".join(columns) + "\n")
        blank = "\n" * day.blank if len(rows) > day.blank else ""
        file.writelines(line(rng, day, row, columns) + (blank if at == len(rows) // 2 else "") for at, row in enumerate(rows))


def run(work, arguments):
    subprocess.run(["rm", "-rf", work + "/out"], check=True)
    done = subprocess.run([TIEOUT, *arguments, "--out=out"], cwd=work, capture_output=True, text=True)
    if done.returncode > 1 or "ERROR" in done.stderr or not os.path.isdir(work + "/out"):
        return "exit %d: %s" % (done.returncode, done.stderr), None
    files = {}
    for folder, _, names in os.walk(work + "/out"):
        for name in names:
            with open(folder + "/" + name, "rb") as file:
                files[name] = file.read()
    stats = json.loads(files["stats.json"])
    counts = [w["records"] for w in stats["workers"]]
    if any(n > stats["rows"] for n in counts) or sum(counts) > stats["rows"]:
        return "workers count %s records of %d rows" % (counts, stats["rows"]), None
    return {n: hashlib.sha256(b).hexdigest() for n, b in files.items() if n != "stats.json"}, stats


def main():
    met = gave_back = 0
    with tempfile.TemporaryDirectory() as work:
        for number in range(DAYS):
            rng = random.Random(SEED * 1000003 + number)
            day = Day(rng, number)
            rows = [day.row(rng) for _ in range(rng.choice((30, 400, 1500)))]
            write(rng, day, work + "/local.csv", spoil(rng, day, [dict(r, again=r["channel_order_no"]) for r in rows], 0),
                  ["channel_code", "biz_type", "biz_order_no", "trade_time", "amount", "status", "direction"] + (["again"] if number % 3 == 2 else []))
            write(rng, day, work + "/channel.csv", spoil(rng, day, rows, 1),
                  ["channel_code", "biz_order_no", "channel_order_no", "trade_time", "amount", "status", "direction"])
            key = rng.choice(("channel_code,biz_order_no", "channel_code,biz_order_no", "biz_order_no"))
            given = ["diff", "local.csv", "channel.csv", "--key=" + key, "--amount=amount", "--compare=status", "--write-match"]
            if number % 3 == 2:
                with open(work + "/job.yaml", "w") as file:
                    file.write(JOB % (key.replace(",", ", "), rng.choice(("tolerance: {amount: 0}", "tolerance: {amount: 0.5}", "window: {before: 1d, after: 1d}", "window: {before: 0d, after: 0d}"))))
                given = ["run", "job.yaml", "--date=2026-11-19"]
            want, _ = run(work, given + ["--match-memory=64KiB", "--threads=1"])
            for options in (["--threads=%d" % rng.choice((1, 2, 5))], ["--threads=3", "--match-memory=4MiB", "--match-shelf=64MiB", "--memory=96MiB"], ["--match-shelf=0", "--threads=2"],
                            ["--match-shelf=%d" % rng.choice((12 << 20, 5 << 20)), "--threads=1"]):
                got, stats = run(work, given + options)
                if got != want or stats is None:
                    sys.exit("FAILED: day %d of seed %d, %s %s:\n got %s\nwant %s" % (number, SEED, given, options, got, want))
                met += stats["matches_without_index"] > 0
                gave_back += options[0].startswith("--match-shelf=5") and stats["matches_without_index"] == 0
    if met < DAYS or gave_back < DAYS // 8:
        sys.exit("FAILED: rows met without the index in %d runs, and went back to it in %d" % (met, gave_back))
    print("match.csv: %d days are the same by five roads" % DAYS)


main()
