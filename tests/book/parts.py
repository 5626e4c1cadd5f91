#!/usr/bin/env python3
"""tests/book/parts.py TIEOUT [--every=N]   every Nth case only

A book whose local side is a list of logs: two tables of one log, two servers, each with a log that grows or with a file a day, one of either, with
images whole or in part. What a book tells of one log it tells of each of them: a table of what becomes of a done day's row, times where its log lies.
"""
import concurrent.futures
import os
import shutil
import struct
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import changes
from changes import CHANGED, ONE, TWO, fail
from row_log import COLUMNS, Log

THREE = "2026-11-03 10:00:00"
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
JOB = """version: 1
job: j
channel_code: CH
biz_type: pay
timezone: Asia/Shanghai
currency: CNY
local:
{parts}channel:
  files: "data/channel_{{date}}.csv"
  occurrence_id: id
  fields: {{biz_order_no: order, channel_order_no: trade, amount: amount, currency: cur, status: status, trade_time: time}}
match:
  keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]]
  compare: [amount, status]
  window: none
suspense: {{threshold: {{local: 9, channel: 9}}}}
output: {{match: true}}
"""
PART = """  - binlog: {{files: "{files}", table: shop.{table}{more}}}
    fields: {{biz_order_no: order_no, channel_order_no: trade_no, amount: {{column: pay_amount, unit: minor}}, status: state, trade_time: trade_at}}
"""
GROWS, BY_DATE = "log/{server}/*/bin.*", "log/{server}/{{date}}/bin.*"
# server and table of each part, and how its files are named
SHAPES = (
    ("one log", [("a", "order", GROWS)]),
    ("one log of a file a day", [("a", "order", BY_DATE)]),
    ("two tables", [("a", "order", GROWS), ("a", "refund", GROWS)]),
    ("two tables of a file a day", [("a", "order", BY_DATE), ("a", "refund", BY_DATE)]),
    ("two servers", [("a", "order", GROWS), ("b", "order", GROWS)]),
    ("two servers of a file a day", [("a", "order", BY_DATE), ("b", "order", BY_DATE)]),
    ("a server that grows and one of a file a day", [("a", "order", GROWS), ("b", "order", BY_DATE)]),
    ("two tables and another server of a file a day", [("a", "order", GROWS), ("a", "refund", GROWS), ("b", "order", BY_DATE)]),
)


def query(log, text):
    log.event(2, struct.pack("<IIBHH", 5, 0, 4, 0, 0) + b"shop\0" + text.encode())


class Book(changes.Book):
    def __init__(self, root, parts, images="FULL"):
        super().__init__(root)
        self.parts, self.images = parts, images
        self.write()
        self.logs, self.numbers_of = {}, {}

    def write(self, more=()):
        """more: of each part, what stands beside its table."""
        text = "".join(PART.format(files=files.format(server=server), table=table, more=(tuple(more) + ("",) * 9)[i])
                       for i, (server, table, files) in enumerate(self.parts))
        if len(self.parts) == 1:
            text = text.replace("  - binlog", "  binlog").replace("    fields", "  fields")
        with open(self.root + "/j.yaml", "w") as file:
            file.write(JOB.format(parts=text))

    def begin(self, day):
        """Every server's file of a day."""
        for number, server in enumerate(sorted({part[0] for part in self.parts})):
            count = self.numbers_of[server] = self.numbers_of.get(server, 0) + 1
            os.makedirs(f"{self.root}/log/{server}/{day}")
            log = self.logs[server] = Log(f"{self.root}/log/{server}/{day}/bin.{count:06d}", server=number + 1,
                                          begun=1793500000 + 86400 * count + 7 * number)
            # Of a file a day no images in part: the rows they are of stand in another one.
            log.images = self.images if all(files == GROWS for name, _, files in self.parts if name == server) else "FULL"

    def change(self, part, *changes_of):
        server, table, _ = self.parts[part]
        self.logs[server].transaction(*((*one, table) for one in changes_of))

    def end(self):
        for log in self.logs.values():
            log.close()

    def id(self, part, number):
        """As messages name a row."""
        if len(self.parts) == 1:
            return str(number)
        name = f"shop.{self.parts[part][1]}"
        twice = [one[1] for one in self.parts[:part]].count(self.parts[part][1]) > 0
        return f"{name}{'#2' if twice else ''}|{number}"

    def grows(self, part):
        return self.parts[part][2] == GROWS

    def row(self, part, number, cents=10000, at=ONE, order=None, state="SUCCESS"):
        order = order or f"O{part}{number}"
        return (number, order, "T" + order, cents, state, at)


def bill(*rows, day):
    return [(f"{day}{order}", order, trade, "%.2f" % (cents / 100), "CNY", state, at) for _, order, trade, cents, state, at in rows]


def first_day(root, parts, images="FULL", before=(), more=()):
    """Each part has row 1, which matches, and 2 to 4, which are carried; `before`: statements in front of all of them."""
    book = Book(root, parts, images)
    book.begin(DAYS[0])
    for log in book.logs.values():
        for text in before:
            query(log, text)
    for part in range(len(parts)):
        book.change(part, ("insert", *(book.row(part, number) for number in (1, 2, 3, 4))))
    for part, *rows in more:
        book.change(part, ("insert", *rows))
    book.end()
    code, said = book.day(DAYS[0], *bill(*(book.row(part, 1) for part in range(len(parts))), day=DAYS[0]))
    if code != 0 or len(book.numbers(DAYS[0], "match")) != len(parts):
        fail(f"the first day: exit code {code}", said)
    return book


def day(book, number, *changes_of, rows=()):
    """changes_of: (part, change ...). Each part has a row of the day itself, which matches."""
    date = DAYS[number]
    at = date + " 10:00:00"
    book.begin(date)
    own = [book.row(part, 50 + number, at=at) for part in range(len(book.parts))]
    for part, one in enumerate(own):
        book.change(part, ("insert", one))
    for part, *of_part in changes_of:
        book.change(part, *of_part)
    book.end()
    return book.day(date, *bill(*own, *rows, day=date))


def told(book, part):
    """What may become of row 1, and of others: name, changes, what is said (None: nothing is)."""
    row = lambda *words, **named: book.row(part, *words, **named)
    was, name = row(1), lambda number: f" (primary key {book.id(part, number)})"
    return (
        ("changed", [("update", was, row(1, 9900))], CHANGED + name(1)),
        ("renamed", [("update", was, row(1, order="X"))], CHANGED + name(1)),
        ("deleted", [("delete", was)], "1 deleted" + name(1)),
        ("late", [("insert", row(11))], "1 came later and are in no result" + name(11)),
        ("moved", [("update", was, row(1, at=TWO))], "1 moved to another bill date, or no payment any more" + name(1)),
        ("nothing", [("update", was, was), ("insert", row(12)), ("delete", row(12)), ("update", row(2), row(2, 5000)), ("delete", row(3)),
                     ("update", row(4), row(4, order="Y"))], None),
    )


def one(root, shape, parts, part, case, images):
    what, changed, expected = told(Book(root, parts), part)[case]
    where = f"{what}, {shape}, part {part}, {images}"
    book = first_day(root, parts, images)
    code, said = day(book, 1, (part, *changed))
    if expected is None:
        if code != 0 or "otherwise" in said or "note:" in said or book.alarm():
            fail(f"{where}: exit code {code}", said)
        # What is carried follows its own log, and no other one that has such ids as well.
        open_now = sorted(["Y" if (one, number) == (part, 4) else f"O{one}{number}" for one in range(len(parts)) for number in (2, 3, 4) if (one, number) != (part, 3)])
        if book.numbers(DAYS[1], "suspense") != open_now or book.numbers(DAYS[1], "excluded") != [f"O{part}3", f"O{part}4"]:
            fail(f"{where}: suspense {book.numbers(DAYS[1], 'suspense')}, excluded {book.numbers(DAYS[1], 'excluded')}", said)
    elif code != 1 or said.count("otherwise") != 1 or expected not in said or not book.alarm() or "log begins with" in said:
        fail(f"{where}: exit code {code}, expected {expected}", said)
    # Once; and a second change, of the other end of the list, is told as well.
    last = len(parts) - 1 - part
    code, said = day(book, 2, (last, ("delete", book.row(last, 51, at=TWO))))
    if code != 1 or said.count("otherwise") != 1 or f"1 deleted (primary key {book.id(last, 51)})" not in said or "CH/pay/2026-11-02/1" not in said:
        fail(f"{where}: the day after, exit code {code}", said)
    if expected is not None and what not in ("moved", "deleted") and not parts_by_date(parts):
        code, said = book.call("task", "rerun", "--cascade", "CH/pay/2026-11-01/1")
        if "otherwise" in said or book.alarm():
            fail(f"{where}: done again, exit code {code}", said)


def parts_by_date(parts):
    return any(files == BY_DATE for _, _, files in parts)


def ahead(root, shape, parts, part):
    """A row of the next day in a day's log: it is in that day's results, or it is told that it is not; and then only it."""
    book = Book(root + "-", parts)
    late = book.row(part, 20, at=TWO)
    book = first_day(root, parts, more=[(part, late)])
    code, said = day(book, 1, rows=[late])
    there, lost = late[1] in book.numbers(DAYS[1], "match"), "are in no result" in said
    if there == lost or (there and (code != 0 or book.alarm())) or (lost and (code != 1 or not book.alarm() or f"1 are in no result (primary key {book.id(part, 20)})" not in said)):
        fail(f"ahead, {shape}, part {part}: exit code {code}, in the results {there}, told {lost}", said)
    if book.grows(part) and not there:
        fail(f"ahead, {shape}, part {part}: it is in the log", said)
    code, said = day(book, 2)
    if code != 0 or "in no result" in said or "otherwise" in said:
        fail(f"ahead, {shape}, part {part}: the day after, exit code {code}", said)


def another_key(root, shape, parts, part):
    """A table that tells its rows by another column on the second day stops, also where nobody logged why; accepted, in each spelling, it goes on."""
    book = first_day(root, parts)
    book.begin(DAYS[1])
    log = book.logs[parts[part][0]]
    log.columns = (COLUMNS[1], COLUMNS[0], *COLUMNS[2:])
    number, order, *rest = book.row(part, 60, at=TWO)
    book.change(part, ("insert", (order, number, *rest)))
    book.end()
    book.call("task", "init", "--date=" + DAYS[1])
    code, said = book.day(DAYS[1])
    file = f"log/{parts[part][0]}/{DAYS[1]}/bin.000002"
    at = said.partition(f"{file}@")[2].partition(":")[0]
    if book.grows(part):  # its rows of before are in the same log: nobody has to look
        if code != 3 or "binlog.ddl" not in said or "would count twice" not in said:
            fail(f"another key, {shape}, part {part}: exit code {code}", said)
        return
    if code != 3 or "binlog.ddl" not in said or f'accept: ["bin.000002@{at}"]' not in said or not at.isdigit():
        fail(f"another key, {shape}, part {part}: exit code {code}", said)
        return
    for place, beside, want in ((f"bin.000002@{at}", part, True), (f"bin.000002@{int(at) + 1}", part, False)):
        accept(book, part, place, want, f"another key, {shape}")
    for place in spellings(book, f"{file}@{at}")[1:]:
        accept(book, part, place, True, f"another key, {shape}")


def spellings(book, at):
    return at.rpartition("/")[2], at, f"{book.root}/{at}"


def accept(book, part, place, want, what):
    """The same night once more, in a copy of the book whose job accepts a place."""
    root = book.root + "+"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(book.root, root)
    again = Book.__new__(Book)
    again.__dict__.update(book.__dict__, root=root)
    again.write([f', accept: ["{place.replace(book.root, root)}"]' if i == part else "" for i in range(len(book.parts))])
    code, said = again.call("task", "run")
    if (code == 0) != want or ("accepted, as the job says" in said) != want:
        fail(f"{what}, part {part}, accepted at {place}: exit code {code}", said)


DROPS = ("DROP TABLE IF EXISTS `{table}` /* generated by server */", "DROP DATABASE IF EXISTS shop", "DROP TABLE IF EXISTS {table}, other", "TRUNCATE {table}",
         "CREATE OR REPLACE TABLE {table}(id BIGINT PRIMARY KEY)", "RENAME TABLE other TO {table}")


def dropped(root, shape, parts, part, drop):
    """What a dump or a migration begins with: before the first row nothing can go, on no day. Behind what is carried it stops, until it is accepted."""
    text, what = drop.format(table=parts[part][1]), f"{drop}, {shape}"
    book = first_day(root, parts, before=(text, "CREATE TABLE x(id INT)"))
    if len(book.numbers(DAYS[0], "suspense")) != 3 * len(parts):
        fail(f"{what}: nothing is carried", "")
    code, said = day(book, 1)
    if code != 0 or "binlog" in said.partition("note: ")[2] or "otherwise" in said:
        fail(f"{what}, part {part}: exit code {code}", said)
    book.begin(DAYS[2])
    query(book.logs[parts[part][0]], text)
    book.change(part, ("insert", book.row(part, 70, at=THREE)))
    book.end()
    code, said = book.day(DAYS[2])
    file = f"log/{parts[part][0]}/{DAYS[2]}/bin.000003"
    at = said.partition(f"error binlog.ddl: {file}@")[2].partition(":")[0]
    if code != 3 or "come or go here" not in said or f'accept: ["bin.000003@{at}"]' not in said or not at.isdigit():
        fail(f"{what}, part {part}, behind its rows: exit code {code}", said)
        return
    others = [i for i, one in enumerate(parts) if i != part and (one[:2] == parts[part][:2] or (one[0] == parts[part][0] and "DATABASE" in drop))]
    if not others:  # a database has several tables: each part says so for itself
        for place in spellings(book, f"{file}@{at}"):
            accept(book, part, place, True, what)
    accept(book, part, f"bin.000003@{int(at) + 1}", False, what)
    accept(book, part, f"bin.000002@{at}", False, what)


def dropped_again(root):
    """The oldest file of a log is gone, and the next one drops the table before it has a row: what is carried may be gone with it."""
    for quiet in (False, True):
        parts = [("a", "order", GROWS)]
        book = Book(f"{root}{quiet}", parts)
        book.begin(DAYS[0])
        book.change(0, ("insert", book.row(0, 1), *([] if quiet else [book.row(0, 2)])))
        book.end()
        code, said = book.day(DAYS[0], *bill(book.row(0, 1), day=DAYS[0]))
        book.begin(DAYS[1])
        query(book.logs["a"], "DROP TABLE IF EXISTS `order`")
        book.change(0, ("insert", book.row(0, 9, at=TWO)))
        book.end()
        shutil.rmtree(f"{book.root}/log/a/{DAYS[0]}")
        code, said = book.day(DAYS[1])
        if quiet != (code == 0) or ("come or go here" in said) == quiet:
            fail(f"a table dropped in a later file, nothing carried {quiet}: exit code {code}", said)


def odd_ids(root):
    """Primary keys in which the sign stands that parts an id in two; two columns of them."""
    for settings in ("", "occurrence_id: [id, trade_no]\n"):
        book = Book(root + settings[:3], SHAPES[2][1])
        with open(book.root + "/j.yaml") as file:
            text = file.read().replace("    fields", f"    {settings}    fields" if settings else "    fields")
        with open(book.root + "/j.yaml", "w") as file:
            file.write(text)
        rows = [(key, f"O{key}", f"T{key}", 100, "SUCCESS", ONE) for key in ("a|b", "c\\d", "e|", "\\", "plain")]
        for date, changes_of in ((DAYS[0], [("insert", *rows)]), (DAYS[1], [("delete", one) for one in rows])):
            book.begin(date)
            for log in book.logs.values():
                log.columns = (("id", str), *COLUMNS[1:])
            book.change(0, ("insert", ("m" + date, "m" + date, None, 100, "SUCCESS", date + " 10:00:00")))
            book.change(1, *changes_of)
            book.end()
            code, said = book.day(date, (date, "m" + date, "", "1.00", "CNY", "SUCCESS", date + " 10:00:00"))
            left = 5 if date == DAYS[0] else 0
            if code != 0 or len(book.numbers(date, "suspense")) != left or "otherwise" in said:
                fail(f"odd ids, {settings}{date}: exit code {code}", said)


def beginnings(root):
    """The oldest file of one of two servers goes: a note names it, and nothing false is told; from the next day on all is compared again."""
    parts = [("a", "order", GROWS), ("b", "order", GROWS)]
    book = first_day(root, parts)
    code, said = day(book, 1)
    if code != 0 or "note:" in said:
        fail("two servers", said)
    os.remove(f"{root}/log/b/{DAYS[0]}/bin.000001")
    code, said = day(book, 2)
    if code != 0 or f"the local log begins with log/b/{DAYS[1]}/bin.000002, and began with log/b/{DAYS[0]}/bin.000001" not in said or said.count("log begins") != 1:
        fail(f"a server's beginning is gone: exit code {code}", said)
    book.begin("2026-11-04")
    book.change(1, ("delete", book.row(1, 51, at=TWO)))
    book.end()
    code, said = book.day("2026-11-04")
    if code != 1 or "1 deleted (primary key shop.order#2|51)" not in said or said.count("otherwise") != 1 or "log begins" in said:
        fail(f"after a server's beginning was gone: exit code {code}", said)


def begins_late(root, parts):
    """Rows of the bill that are older than a log that begins in the middle of its server's are told once, on the first day, as of one log."""
    book = Book(root, parts)
    book.numbers_of = {server: 4 for server, _, _ in parts}
    book.begin(DAYS[0])
    for part in range(len(parts)):
        book.change(part, ("insert", book.row(part, 1)))
    book.end()
    number = book.row(0, 2, at="2026-11-01 00:00:01")
    code, said = book.day(DAYS[0], *bill(*(book.row(part, 1) for part in range(len(parts))), number, day=DAYS[0]))
    if code != 0 or said.count("older than the other side's log") != 1 or "begins with log/" not in said:
        fail(f"begins late, {len(parts)} parts: exit code {code}", said)
    code, said = day(book, 1, rows=[book.row(0, 7, at="2026-11-01 00:00:02")])
    if code != 0 or "older than the other side's log" in said:
        fail(f"begins late, {len(parts)} parts, the day after: exit code {code}", said)


if __name__ == "__main__":
    changes.TIEOUT = os.path.abspath(sys.argv[1])
    every = int(sys.argv[2].partition("=")[2]) if len(sys.argv) > 2 else 1
    work = tempfile.mkdtemp()
    cases = [(beginnings,), (odd_ids,), (dropped_again,), (begins_late, [("a", "order", GROWS)]), (begins_late, [("a", "order", GROWS), ("b", "order", GROWS)])]
    for shape, parts in SHAPES:
        for part in range(len(parts)):
            cases += [(one, shape, parts, part, case, "FULL" if (case + part) % 3 else "MINIMAL") for case in range(6)]
            cases += [(ahead, shape, parts, part), (another_key, shape, parts, part), (dropped, shape, parts, part, DROPS[len(cases) % len(DROPS)])]
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(case[0], f"{work}/{i}", *case[1:]) for i, case in list(enumerate(cases))[::every]]
            for run in runs:
                run.result()
    finally:
        shutil.rmtree(work)
    print(f"{len(runs)} cases, {changes.failures} failed")
    sys.exit(changes.failures != 0 or not runs)
