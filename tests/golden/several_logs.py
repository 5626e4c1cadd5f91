#!/usr/bin/env python3
"""tests/golden/several_logs.py TIEOUT

Jobs with more than one log: both sides are logs, or one side is several tables. Two rows are one only where side, table and primary key
agree, whatever their order number is. Each case by several roads, with one digest.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from row_log import Log

DAY = "2026-11-01"
FIELDS = """
  fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at}"""
BILL = """
  files: "bill.csv"
  occurrence_id: id
  fields: {biz_order_no: order, amount: amount, status: status, trade_time: time}"""
ROADS = (["--threads=1"], ["--threads=3", "--chunk=100"], ["--threads=2", "--chunk=1000", "--index-memory=256KiB"])


def row(number, order, cents, status="SUCCESS", trade="", at=DAY + " 10:00:00"):
    return (number, order, trade, cents, status, at)


def log_side(*parts):
    """A side of logs: (files, table) or (files, table, more settings)."""
    text = [f'binlog: {{files: "{part[0]}", table: shop.{part[1]}}}{FIELDS}{part[2] if len(part) > 2 else ""}' for part in parts]
    return "\n  " + text[0] if len(text) == 1 else "".join("\n  - " + one.replace("\n", "\n  ") for one in text)


def job(local, channel):
    return f"""version: 1
job: j
channel_code: CH
timezone: Asia/Shanghai
currency: CNY
local:{local}
channel:{channel}
match: {{keys: [[channel_code, biz_order_no]], compare: [amount, status]}}
"""


failures = 0


def fail(what, said):
    global failures
    failures += 1
    print(f"FAILED: {what}\n{said}")


def write_logs(root, logs):
    for name, table, changes in logs:
        log = Log(f"{root}/{name}", table)
        for change in changes:
            log.transaction(change)
        log.close()


def case(what, local, channel, logs, bill=None, want=None):
    """`want`: records by class, local and channel; classes that are not named are empty."""
    root = tempfile.mkdtemp()
    try:
        write_logs(root, logs)
        if bill is not None:
            with open(root + "/bill.csv", "w") as file:
                file.write("id,order,amount,status,time\n")
                file.writelines(f"{number},{order},{cents // 100 if cents >= 0 else -(-cents // 100)}.{abs(cents) % 100:02d},SUCCESS,"
                                f"{DAY} 10:00:00\n" for number, order, cents in bill)
        with open(root + "/j.yaml", "w") as file:
            file.write(job(local, channel))
        digests = set()
        for number, road in enumerate(ROADS):
            done = subprocess.run([TIEOUT, "run", root + "/j.yaml", "--date=" + DAY, f"--out={root}/out{number}", "--format=json", *road],
                                  capture_output=True, text=True, timeout=120)
            if done.returncode not in (0, 1):
                fail(f"{what}, {road}: exit code {done.returncode}", done.stderr)
                continue
            summary = json.loads(done.stdout)
            digests.add(summary["digest"])
            got = {name: (sides["local"]["count"], sides["channel"]["count"]) for name, sides in summary["classes"].items()}
            got = {name: counts for name, counts in got.items() if counts != (0, 0)}
            if got != want:
                fail(f"{what}, {road}", f"  is {got}\n  not {want}")
        if len(digests) > 1:
            fail(f"{what}: digests by road", digests)
    finally:
        shutil.rmtree(root)


def inspected(what, channel, parts, logs, want):
    """`want`: occurrence ids that `inspect FILE --job` shows, by file."""
    root = tempfile.mkdtemp()
    try:
        write_logs(root, logs)
        with open(root + "/j.yaml", "w") as file:
            file.write(job(log_side(*parts), channel))
        for name, ids in want.items():
            done = subprocess.run([TIEOUT, "inspect", f"{root}/{name}", f"--job={root}/j.yaml", "--json-lines"], capture_output=True,
                                  text=True, timeout=120)
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            got = [f'{row["occurrence_id"]} {row["amount"]}' for row in rows]
            if done.returncode != 0 or got != ids or any(not row["place"].startswith(name + "@") for row in rows):
                fail(f"{what}, {name}: exit code {done.returncode}", f"  is {got}\n  not {ids}\n{done.stdout}{done.stderr}")
    finally:
        shutil.rmtree(root)


def one_file_is_shown():
    logs = [(name, "order", [("insert", row(number, "A", 100 * number)), ("insert", row(number, "R", -number), "refund")])
            for name, number in (("a.000001", 1), ("a.000002", 5), ("b.000001", 9))]
    parts = (("a.*", "order"), ("a.*", "refund"))
    inspected("a file of a side in parts shows its own rows, of all tables", BILL, parts, logs,
              {"a.000001": ["shop.order|1 1.00", "shop.refund|1 -0.01"], "a.000002": ["shop.order|5 5.00", "shop.refund|5 -0.05"],
               "b.000001": ["shop.order|9 9.00", "shop.refund|9 -0.09"]})
    servers = (("a.*", "order"), ("b.*", "order"))
    inspected("a file is of the part that names it", BILL, servers, logs,
              {"a.000002": ["shop.order|5 5.00"], "b.000001": ["shop.order#2|9 9.00"]})


def both_sides():
    local, channel = log_side(("local.*", "order")), log_side(("theirs.*", "paid"))
    case("equal primary keys on both sides", local, channel,
         [("local.000001", "order", [("insert", row(1, "A", 10000), row(2, "B", 500))]),
          ("theirs.000001", "paid", [("insert", row(1, "A", 10000), row(2, "B", 700))])],
         want={"match": (1, 1), "mismatch": (1, 1)})
    case("the same table's name on both sides", log_side(("local.*", "order")), log_side(("theirs.*", "order")),
         [("local.000001", "order", [("insert", row(1, "A", 10000))]), ("theirs.000001", "order", [("insert", row(1, "A", 10000))])],
         want={"match": (1, 1)})
    case("one file for both sides", log_side(("both.*", "order")), log_side(("both.*", "paid")),
         [("both.000001", "order", [("insert", row(1, "A", 10000)), ("insert", row(1, "A", 10000), "paid"),
                                    ("update", row(1, "A", 10000), row(1, "A", 9000), "paid"), ("insert", row(2, "B", 1)),
                                    ("insert", row(2, "B", 1), "paid"), ("delete", row(2, "B", 1), "paid")])],
         want={"mismatch": (1, 1), "missing": (1, 0), "excluded": (0, 1)})
    case("rows without an order number", local, channel,
         [("local.000001", "order", [("insert", row(1, None, 10000), row(2, None, 200))]),
          ("theirs.000001", "paid", [("insert", row(1, None, 10000))])],
         want={"missing": (2, 0), "extra": (0, 1)})
    many = [row(i, "A", 100 + i) for i in range(1, 201)]
    case("200 rows of one order on both sides", local, channel,
         [("local.000001", "order", [("insert", *many)] + [("update", one, one) for one in many]),
          ("theirs.000001", "paid", [("insert", one) for one in reversed(many)])],
         want={"match": (200, 200)})


def one_side():
    local = log_side(("local.*", "order"), ("local.*", "refund"))
    file = lambda *changes: [("local.000001", "order", list(changes))]
    case("a payment and its refund with one primary key", local, BILL,
         file(("insert", row(7, "A", 10000)), ("insert", row(7, "A", -3000), "refund")), [("c1", "A", 10000), ("c2", "A", -3000)],
         want={"match": (2, 2)})
    case("two equal amounts with one primary key are two", local, BILL,
         file(("insert", row(7, "A", 5000)), ("insert", row(7, "A", 5000), "refund")), [("c1", "A", 5000), ("c2", "A", 5000)],
         want={"match": (2, 2)})
    case("a later image of one table leaves the other alone", local, BILL,
         file(("insert", row(7, "A", 10000)), ("insert", row(7, "A", -3000), "refund"),
              ("update", row(7, "A", -3000), row(7, "A", -2000), "refund"), ("update", row(7, "A", 10000), row(7, "A", 9000)),
              ("insert", row(8, "B", 100)), ("insert", row(8, "B", -100), "refund"), ("delete", row(8, "B", -100), "refund")),
         [("c1", "A", 9000), ("c2", "A", -2000), ("c3", "B", 100)],
         want={"match": (3, 3), "excluded": (1, 0)})
    case("a row that moves to another order", local, BILL,
         file(("insert", row(7, "A", 100)), ("insert", row(7, "B", 200), "refund"), ("update", row(7, "A", 100), row(7, "B", 100))),
         [("c1", "B", 100), ("c2", "B", 200)], want={"match": (2, 2)})
    many = [row(i, "A", 100 + i) for i in range(1, 151)]
    others = [row(i, "A", -100 - i) for i in range(1, 151)]
    case("150 rows of one order in each table", local, BILL,
         file(("insert", *many), *[("insert", one, "refund") for one in others], *[("update", one, one) for one in many]),
         [(f"c{one[0]}{one[3] > 0}", "A", one[3]) for one in many + others], want={"match": (300, 300)})
    case("rows without an order number", local, BILL,
         file(("insert", row(7, None, 5000)), ("insert", row(7, None, 600), "refund")), [], want={"missing": (2, 0)})
    shards = log_side(("a.*", "order"), ("b.*", "order"))
    case("two servers with a table of one name", shards, BILL,
         [("a.000001", "order", [("insert", row(1, "A", 100))]), ("b.000001", "order", [("insert", row(1, "A", 200))])],
         [("c1", "A", 100), ("c2", "A", 200)], want={"match": (2, 2)})
    case("an id that the job names is its table's", log_side(("local.*", "order", "\n  occurrence_id: trade_no"),
                                                             ("local.*", "refund", "\n  occurrence_id: trade_no")), BILL,
         file(("insert", row(1, "A", 100, trade="t")), ("insert", row(2, "A", 100, trade="t"), "refund")),
         [("c1", "A", 100), ("c2", "A", 100)], want={"match": (2, 2)})


def ids_of_a_channel_log():
    """Its rows are known by their primary key too, not by the channel's order number."""
    twice = (row(1, "A", 100, trade="t"), row(2, "A", 100, trade="t"))
    case("a channel's order number that is there twice", log_side(("local.*", "order")), log_side(("theirs.*", "paid")),
         [("local.000001", "order", [("insert", row(1, "A", 100))]), ("theirs.000001", "paid", [("insert", *twice)])],
         want={"match": (1, 1), "extra": (0, 1)})


def any_changes(seed):
    """Random changes of two tables on each side come to what their last rows come to as files."""
    draw = random.Random(seed)
    root = tempfile.mkdtemp()
    try:
        last = {}
        log = Log(root + "/both.000001")
        for _ in range(draw.randrange(1, 40)):
            changes = []
            for _ in range(draw.randrange(1, 4)):
                table, number = draw.choice(("order", "refund", "paid", "back")), draw.randrange(1, 5)
                old = last.get((table, number))
                new = row(number, draw.choice(("A", "B", "C", None)), draw.choice((100, 200, -100)), draw.choice(("SUCCESS", "CLOSED")))
                if old and draw.random() < 0.25:
                    changes.append(("delete", old, table))
                    del last[table, number]
                    continue
                changes.append(("update", old, new, table) if old else ("insert", new, table))
                last[table, number] = new
            log.transaction(*changes)
        log.close()
        sides = (("order", "refund"), ("paid", "back"))
        for name, tables in zip(("local", "theirs"), sides):
            with open(f"{root}/{name}.csv", "w") as file:
                file.write("id,order,amount,status,time\n")
                for (table, number), (_, order, _, cents, status, at) in last.items():
                    if table in tables:
                        sign, cents = "-" * (cents < 0), abs(cents)
                        file.write(f"shop.{table}|{number},{order or ''},{sign}{cents // 100}.{cents % 100:02d},{status},{at}\n")
        logs = [log_side(*(("both.*", table) for table in tables)) for tables in sides]
        files = [BILL.replace("bill", name) for name in ("local", "theirs")]
        results = []
        for name, texts in (("logs", logs), ("files", files)):
            with open(f"{root}/{name}.yaml", "w") as file:
                file.write(job(*texts))
            done = subprocess.run([TIEOUT, "run", f"{root}/{name}.yaml", "--date=" + DAY, f"--out={root}/{name}", "--format=json",
                                   f"--threads={1 + seed % 3}", "--index-memory=256KiB"], capture_output=True, text=True, timeout=120)
            if done.returncode not in (0, 1):
                fail(f"seed {seed}, {name}: exit code {done.returncode}", done.stderr)
                return
            classes = json.loads(done.stdout)["classes"]
            classes.pop("excluded")  # deleted rows are there
            results.append(classes)
        if results[0] != results[1]:
            fail(f"seed {seed}", f"  logs  {results[0]}\n  files {results[1]}")
    finally:
        shutil.rmtree(root)


BOOK = """version: 1
job: j
channel_code: CH
biz_type: pay
timezone: Asia/Shanghai
currency: CNY
local:{local}
channel:
  files: "bill_{{date}}.csv"
  occurrence_id: id
  fields: {{biz_order_no: order, amount: amount, status: status, trade_time: time}}
match: {{keys: [[channel_code, biz_order_no]], compare: [amount, status]}}
suspense: {{threshold: {{local: 3, channel: 3}}}}
"""


def carried():
    """A row of one table that is carried is not the row of another one that has its number."""
    root = tempfile.mkdtemp()
    next_day = "2026-11-02 10:00:00"
    def day(date, rows):
        with open(f"{root}/bill_{date}.csv", "w") as file:
            file.write("id,order,amount,status,time\n" + "".join(",".join(one) + "\n" for one in rows))
        for words in (["init", "--date=" + date], ["run"]):
            done = subprocess.run([TIEOUT, "task", *words], cwd=root, capture_output=True, text=True, timeout=120)
            if done.returncode not in (0, 1):
                fail(f"carried, {date}, {words}: exit code {done.returncode}", done.stderr)
        with open(f"{root}/out/j/{date}/summary.json") as file:
            return {name: (sides["local"]["count"], sides["channel"]["count"]) for name, sides in json.load(file)["classes"].items()
                    if sides["local"]["count"] + sides["channel"]["count"]}
    try:
        with open(root + "/j.yaml", "w") as file:
            file.write(BOOK.format(local=log_side(("local.*", "order"), ("local.*", "refund"))))
        log = Log(root + "/local.000001")
        log.transaction(("insert", row(7, "A", 10000), row(8, None, 500)))
        log.close()
        got = day(DAY, [])
        if got != {"suspense": (2, 0)}:
            fail("carried, the first day", got)
        log = Log(root + "/local.000002")
        log.transaction(("insert", row(7, "A", -3000, at=next_day), row(8, None, -500, at=next_day), "refund"),
                        ("update", row(8, None, 500), row(8, None, 600)))
        log.close()
        got = day("2026-11-02", [("c1", "A", "100.00", "SUCCESS", next_day), ("c2", "A", "-30.00", "SUCCESS", next_day)])
        if got != {"match": (2, 2), "suspense": (2, 0)}:
            fail("carried, the second day", got)
    finally:
        shutil.rmtree(root)


def one_table_twice():
    """Parts of one table with conditions of their own: a row may go from one to the other, and is one row all the while."""
    local = log_side(("local.*", "order", "\n  where: {trade_no: [pay]}"), ("local.*", "order", "\n  where: {trade_no: [back]}"))
    pay, back = row(7, "A", 100, trade="pay"), row(7, "A", 100, trade="back")
    case("from one part to the other and back", local, BILL,
         [("local.000001", "order", [("insert", pay), ("update", pay, back), ("update", back, pay)])], [("c1", "A", 100)],
         want={"match": (1, 1)})
    both = log_side(("local.*", "order"), ("local.*", "order", "\n  where: {trade_no: [back]}"))
    case("a row that both parts have is there once", both, BILL, [("local.000001", "order", [("insert", back)])], [("c1", "A", 100)],
         want={"match": (1, 1), "duplicate": (1, 0)})


def twice(what, sides, logs, refused, bill=()):
    """The logs are written as told (name, [(rows, gtid), ...]); exit 3 and both places said, or a run like any other."""
    root = tempfile.mkdtemp()
    try:
        for name, groups in logs:
            os.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
            log = Log(f"{root}/{name}")
            for rows, gtid in groups:
                log.transaction(("insert", *rows), gtid=gtid)
            log.close()
        with open(root + "/bill.csv", "w") as file:
            file.write("id,order,amount,status,time\n" + "".join(f"{one},{one},1.00,SUCCESS,{DAY} 10:00:00\n" for one in bill))
        with open(root + "/j.yaml", "w") as file:
            file.write(job(log_side(*sides), BILL))
        for road in ROADS:
            done = subprocess.run([TIEOUT, "run", root + "/j.yaml", "--date=" + DAY, f"--out={root}/out", *road], capture_output=True,
                                  text=True, timeout=120)
            said = "error binlog.twice" in done.stderr and all(f"{root}/{name}@" in done.stderr for name in refused or ())
            if refused and not (done.returncode == 3 and said and not os.path.exists(root + "/out")):
                fail(f"{what}, {road}: exit code {done.returncode}", done.stderr)
            if not refused and (done.returncode not in (0, 1) or said):
                fail(f"{what}, {road}: exit code {done.returncode}", done.stderr)
    finally:
        shutil.rmtree(root)


def one_log_twice():
    """A log that is given as two servers' counts each row twice, and is refused; two servers that are alike are not."""
    shards = (("a/*", "order"), ("b/*", "order"))
    first, second = bytes(range(16)), bytes(range(16, 32))

    def rows(begin, count, cents=100):
        return [row(number, f"o{number}", cents) for number in range(begin, begin + count)]

    def many(server, begin=1, end=400, cents=100):
        return [(rows(10 * number, 1 + number % 3, cents), server and (server, number)) for number in range(begin, end)]

    both = ("a/bin.000001", "b/bin.000001")
    for name, server in (("with GTIDs", first), ("without", None)):
        twice(f"one transaction {name}", shards, [(one, [(rows(1, 3), server and (server, 1))]) for one in both], both)
        twice(f"many {name}", shards, [(one, many(server)) for one in both], both)
    twice("the end of it is missing in one", shards, [("a/bin.000001", many(first)), ("b/bin.000001", many(first, end=180))], both)
    twice("a replica's, which begins with changes of its own", shards,
          [("a/bin.000001", many(first)), ("b/bin.000001", [(rows(90000, 2), (second, 1))] + many(first, 120))], both)
    twice("in a list of three", (("a/*", "order"), ("c/*", "order"), ("b/*", "order")),
          [("a/bin.000001", many(None)), ("c/bin.000001", many(second, cents=7)), ("b/bin.000001", many(None))], both)
    twice("two servers with GTIDs of their own and equal rows", shards, [("a/bin.000001", many(first)), ("b/bin.000001", many(second))],
          None)
    twice("two servers whose transactions have equal names", shards,
          [("a/bin.000001", many(first)), ("b/bin.000001", many(first, cents=200))], None)
    twice("parts that read one log", (("a/*", "order", "\n  where: {state: [SUCCESS]}"), ("a/*", "order", "\n  where: {state: [CLOSED]}")),
          [("a/bin.000001", many(first))], None)


def begins_late():
    """Who gives a log that begins in the middle of the server's is told what that may explain; who misses nothing is told nothing."""
    early, late = DAY + " 10:00:00", DAY + " 12:00:00"  # the log's first change is of 10:26:40
    for what, name, bill, want in (("a row from before the log", "bin.000002", [("A", early), ("B", early), ("C", late)], 1),
                                   ("two of them", "bin.000017", [("A", early), ("B", early), ("C", early)], 2),
                                   ("all are there", "bin.000002", [("A", early)], 0),
                                   ("only later ones are not there", "bin.000002", [("A", early), ("C", late)], 0),
                                   ("the server's first file", "bin.000001", [("A", early), ("B", early)], 0)):
        root = tempfile.mkdtemp()
        try:
            log = Log(f"{root}/{name}")
            log.transaction(("update", row(1, "A", 50), row(1, "A", 100)))
            log.close()
            with open(root + "/bill.csv", "w") as file:
                file.write("id,order,amount,status,time\n" + "".join(f"{order},{order},1.00,SUCCESS,{time}\n" for order, time in bill))
            with open(root + "/j.yaml", "w") as file:
                file.write(job(log_side(("bin.*", "order")), BILL))
            for road in ROADS:
                done = subprocess.run([TIEOUT, "run", root + "/j.yaml", "--date=" + DAY, f"--out={root}/out", *road],
                                      capture_output=True, text=True, timeout=120)
                told = [line for line in done.stderr.splitlines() if "older than the other side's log" in line]
                right = told == [] if want == 0 else (len(told) == 1 and told[0].startswith(f"note: {want} record") and
                                                      f"begins with {name} at {DAY}T10:26:40+08:00" in told[0])
                if not right or done.returncode not in (0, 1):
                    fail(f"{what}, {road}: exit code {done.returncode}", done.stderr)
        finally:
            shutil.rmtree(root)


if __name__ == "__main__":
    TIEOUT = os.path.abspath(sys.argv[1])
    both_sides()
    one_side()
    one_file_is_shown()
    one_table_twice()
    one_log_twice()
    begins_late()
    ids_of_a_channel_log()
    for number in range(int(sys.argv[2]) if len(sys.argv) > 2 else 25):
        any_changes(number)
    carried()
    sys.exit(failures != 0)
