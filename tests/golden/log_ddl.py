#!/usr/bin/env python3
"""tests/golden/log_ddl.py TIEOUT [--rotated]   only with the change in the next file

A table that changes within its log. What moves, drops or cuts values without row images, or changes the key by which images of one row are known,
stops with file@position and names both; what harms nothing goes on, and the rows are the table's. Each case by several roads.
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from row_log import Log, short

ROADS = (["--threads=1"], ["--threads=3", "--chunk=300"])


class Int:
    def __init__(self, size=8, unsigned=False):
        self.type, self.meta, self.size, self.unsigned = {2: 2, 4: 3, 8: 8}[size], b"", size, unsigned

    def bytes(self, value):
        return int(value).to_bytes(self.size, "little", signed=not self.unsigned)


class Text:
    def __init__(self, chars):
        self.type, self.meta, self.wide = 15, struct.pack("<H", chars * 4), chars * 4 > 255

    def bytes(self, value):
        return struct.pack("<H" if self.wide else "<B", len(value)) + value.encode()


class Decimal:
    """Up to 9 digits on each side of the point, positive."""
    unsigned = False

    def __init__(self, digits, decimals):
        self.type, self.meta, self.before, self.after = 246, bytes([digits, decimals]), digits - decimals, decimals

    def bytes(self, value):
        whole, _, part = value.partition(".")
        size = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
        out = int(whole).to_bytes(size[self.before], "big") + int(part.ljust(self.after, "0")[:self.after] or "0").to_bytes(size[self.after], "big")
        return bytes([out[0] ^ 0x80]) + out[1:]


class Double:
    type, meta, unsigned = 5, b"\x08", False

    def bytes(self, value):
        return struct.pack("<d", float(value))


class Stamp:
    """TIMESTAMP(6)."""
    type, meta = 17, b"\6"

    def bytes(self, value):
        return struct.pack(">I", value) + b"\0\0\0"


class Table(Log):
    """A table that is altered while its log is written: columns {name: kind}, its key's names."""

    def __init__(self, path):
        self.kinds = {"id": Int(), "order_no": Text(32), "amount": Decimal(11, 2), "state": Text(20), "note": Text(20), "small": Int(4)}
        self.key, self.rows, self.nullable, self.strict = ["id"], {}, (), False
        super().__init__(path, "pay")

    def begin(self):
        self.event(2, struct.pack("<IIBHH", 5, 0, 4, 0, 0) + b"shop\0BEGIN")

    def query(self, text):
        # The session's flags and sql_mode: STRICT_TRANS_TABLES and some more.
        said = b"\0\0\0\0\0\1" + struct.pack("<Q", 1 << 21 | 1 << 30 | 7) + b"\6\3std" if self.strict else b""
        self.event(2, struct.pack("<IIBHH", 5, 0, 4, 0, len(said)) + said + b"shop\0" + text.encode())

    def row_bytes(self, row):
        return bytes((len(self.kinds) + 7) // 8) + b"".join(kind.bytes(row[name]) for name, kind in self.kinds.items())

    def change(self, kind, *rows):
        count, names = len(self.kinds), list(self.kinds)
        meta = b"".join(k.meta for k in self.kinds.values())
        bits = "".join(str(int(k.unsigned)) for k in self.kinds.values() if hasattr(k, "unsigned"))
        signs = int(bits.ljust((len(bits) + 7) // 8 * 8, "0"), 2).to_bytes((len(bits) + 7) // 8, "big")
        said = b"".join(short(len(name)) + name.encode() for name in names)
        key = bytes(names.index(name) for name in self.key)
        number = b"\x65\0\0\0\0\0"
        nulls = sum(1 << names.index(name) for name in self.nullable).to_bytes((count + 7) // 8, "little")
        self.begin()
        self.event(19, number + b"\1\0\4shop\0\3pay\0" + short(count) + bytes(k.type for k in self.kinds.values()) + short(len(meta)) + meta
                   + nulls + b"\1" + short(len(signs)) + signs + b"\2\1\x2d" + b"\4" + short(len(said)) + said
                   + b"\x08" + short(len(key)) + key)
        mask = ((1 << count) - 1).to_bytes((count + 7) // 8, "little")
        self.event({"insert": 30, "update": 31, "delete": 32}[kind], number + struct.pack("<HH", 1, 2) + short(count)
                   + (mask + mask if kind == "update" else mask) + b"".join(self.row_bytes(row) for row in rows))
        self.event(16, struct.pack("<q", 7))

    def insert(self, number, **more):
        row = {"id": number, "order_no": f"O{number}", "amount": f"{number}.50", "state": "SUCCESS", "note": "n", "small": number, **more}
        self.rows[number] = row
        self.change("insert", row)

    def update(self, number, **more):
        old, self.rows[number] = self.rows[number], {**self.rows[number], **more}
        self.change("update", old, self.rows[number])

    def delete(self, number):
        self.change("delete", self.rows.pop(number))

    def alter(self, text, drop=(), key=None, default=0, nullable=None, **kinds):
        """`text` as the server logs it, and what it does: columns dropped, given a type, or added with `default` in all rows."""
        if text:
            self.query(text)
        for name in drop:
            del self.kinds[name]
        for name, kind in kinds.items():
            if name not in self.kinds:
                for row in self.rows.values():
                    row[name] = default
            self.kinds[name] = kind
        self.key, self.nullable = key or self.key, self.nullable if nullable is None else nullable


def job(settings):
    return f"""version: 1
job: j
channel_code: CH
timezone: UTC
currency: CNY
local:
  binlog: {{files: "local.*", table: shop.pay}}
  fields: {{biz_order_no: order_no, amount: amount, status: state}}
{settings}channel:
  files: bill.csv
  occurrence_id: id
  fields: {{biz_order_no: order, amount: amount, status: status}}
match: {{keys: [[biz_order_no]], compare: [amount, status]}}
"""


IDENTITY = "  occurrence_id: order_no\n"


def rename(table, **names):
    """Columns keep their values under other names."""
    table.kinds = {names.get(name, name): kind for name, kind in table.kinds.items()}
    for row in table.rows.values():
        for old, new in names.items():
            row[new] = row.pop(old)


def touch(table):
    table.update(2, amount="7.25")
    table.delete(3)


def alters(text, after=touch, **what):
    def change(table):
        table.alter(text, **what)
        if after:
            after(table)
    return change


def other_key_name(table):
    table.query("ALTER TABLE pay CHANGE id number BIGINT NOT NULL")
    rename(table, id="number")
    table.key = ["number"]
    touch(table)


def note_renamed(table):
    table.query("ALTER TABLE pay RENAME COLUMN note TO remark, CHANGE COLUMN small little INT")
    rename(table, note="remark", small="little")
    touch(table)


def back_and_forth(table):
    """Two versions in turns: an index says nothing, a column more comes and goes."""
    for _ in range(3):
        table.alter("ALTER TABLE pay ADD COLUMN extra INT", extra=Int(4))
        table.update(2, note="x")
        table.alter("ALTER TABLE pay DROP COLUMN extra", drop=("extra",))
        table.update(2, note="y")
    touch(table)


D, T, I = Decimal, Text, Int
P = "ALTER TABLE pay "
STOPS = [
    # what happens, what the message says
    (alters(P + "DROP PRIMARY KEY, ADD PRIMARY KEY(id, order_no)", key=["id", "order_no"]), "key of shop.pay is (id, order_no) from here on, and rows before were told by (id)"),
    (alters(P + "DROP PRIMARY KEY, ADD COLUMN rid BIGINT AUTO_INCREMENT PRIMARY KEY FIRST", rid=I(), key=["rid"], default=9), "is (rid) from here"),
    (alters(P + "DROP COLUMN id, ADD COLUMN id BIGINT AUTO_INCREMENT PRIMARY KEY", after=None), 'column "id" of shop.pay is dropped'),
    (alters("", amount=D(9, 0), after=lambda t: t.insert(9, amount="9")), "amount\" of shop.pay is DECIMAL(9,0) from here on and was DECIMAL(11,2)"),
    (alters("", order_no=T(16)), "is utf8mb4 text of 16 characters from here on and was utf8mb4 text of 32 characters"),
    (alters("", amount=I(), after=lambda t: t.insert(9, amount="9")), "is BIGINT from here on and was DECIMAL(11,2)"),
    (alters(P + "MODIFY amount DECIMAL(9,0)", after=None), 'becomes DECIMAL(9,0) and was DECIMAL(11,2) here'),
    (alters(P + "ADD COLUMN z INT COMMENT ', MODIFY', MODIFY COLUMN `amount` decimal(10,2) DEFAULT (1+(2)), DROP note", after=None), "becomes DECIMAL(10,2)"),
    (alters(P + "MODIFY amount DECIMAL(11,2) UNSIGNED", after=None), "becomes DECIMAL(11,2) UNSIGNED"),
    (alters(P + "MODIFY amount DOUBLE", after=None), "becomes DOUBLE"),
    (alters(P + "MODIFY amount DECIMAL(11,2) AS (small * 2)", after=None), "becomes another type"),
    (alters("ALTER ONLINE TABLE IF EXISTS `shop`.`pay` MODIFY order_no VARCHAR(2)", after=None), "becomes text of 2 characters"),
    (alters(P + "MODIFY order_no VARCHAR(32) CHARACTER SET latin1", after=None), "order_no"),
    (alters(P + "CONVERT TO CHARACTER SET latin1", after=None), "becomes latin1 and was utf8mb4"),
    (alters(P + "MODIFY id INT", after=None), "becomes INT and was BIGINT"),
    (alters(P + "DROP COLUMN amount", after=None), 'column "amount" of shop.pay is dropped'),
    (alters(P + "DROP IF EXISTS `amount`, ADD amount DECIMAL(11,2)", after=None), "is dropped"),
    (alters(P + "CHANGE order_no trade_no VARCHAR(32), CHANGE trade_no order_no VARCHAR(32)", after=None), "gets another name"),
    (alters(P + "RENAME COLUMN order_no TO note, RENAME COLUMN note TO order_no", after=None), "gets another name"),
    (alters("ALTER IGNORE TABLE pay ADD UNIQUE(order_no)", after=None), "come or go here without row images"),
    (alters(P + "ADD begun TIMESTAMP(6) AS ROW START, ADD ended TIMESTAMP(6) AS ROW END, ADD PERIOD FOR SYSTEM_TIME(begun, ended), ADD SYSTEM VERSIONING",
            begun=Stamp(), ended=Stamp(), key=["id", "ended"]), "WITH SYSTEM VERSIONING"),
]
GOES_ON = [
    alters(P + "ADD COLUMN extra INT NOT NULL FIRST, ADD KEY (amount)", extra=I(4)),
    alters(P + "DROP COLUMN note, DROP INDEX amount, DROP FOREIGN KEY f", drop=("note",)),
    alters(P + "MODIFY amount DECIMAL(13,4), MODIFY order_no VARCHAR(64), MODIFY small INT", amount=D(13, 4), order_no=T(64)),
    alters(P + "MODIFY amount DECIMAL(13,4) NOT NULL COMMENT 'as (x)', CHANGE order_no order_no TEXT", after=None),
    alters(P + "MODIFY small TINYINT, MODIFY note VARCHAR(1)", small=I(2), note=T(1)),
    alters("", amount=D(13, 4), note=T(2), small=I(2)),
    alters(P + "CONVERT TO CHARACTER SET utf8mb4, COMMENT 'DROP COLUMN amount'"),
    alters(P + "ALTER COLUMN amount SET DEFAULT 5, ENGINE=InnoDB, DROP SYSTEM VERSIONING"),
    alters("ALTER TABLE refund DROP COLUMN amount, ADD FOREIGN KEY (id) REFERENCES pay (id)"),
    alters("ALTER TABLE other.pay DROP COLUMN amount"),
    alters("ALTER IGNORE TABLE pay ADD COLUMN extra INT", extra=I(4)),
    alters(P + "DROP PRIMARY KEY, ADD PRIMARY KEY(id, order_no)", after=None),
    alters(P + "MODIFY `small` BIGINT", small=I(8)),
    other_key_name, note_renamed, back_and_forth,
]
# In strict mode such a statement fails where a value does not fit, so that it changed none; what is only cut behind the point is cut all the same.
FITS = [
    alters(P + "MODIFY order_no VARCHAR(16)", order_no=T(16)),
    alters(P + "MODIFY order_no VARCHAR(16)", after=None),
    alters(P + "MODIFY amount DECIMAL(9,2), MODIFY id INT, CHANGE state state VARCHAR(10)", amount=D(9, 2), id=I(4), state=T(10)),
    alters(P + "MODIFY amount DECIMAL(11,2) UNSIGNED", after=None),
    alters(P + "CONVERT TO CHARACTER SET latin1", after=None),
    alters(P + "MODIFY order_no VARCHAR(32) CHARACTER SET latin1", after=None),
    alters(P + "MODIFY amount DECIMAL(11,2) NOT NULL DEFAULT 0, MODIFY order_no VARCHAR(32) NOT NULL", nullable=("state",)),
    alters(P + "MODIFY order_no VARCHAR(32) NOT NULL", after=None),
]
FITS_NOT = [
    (alters(P + "MODIFY amount DECIMAL(10,1)", amount=D(10, 1)), "becomes DECIMAL(10,1) and was DECIMAL(11,2)"),
    (alters(P + "MODIFY amount DOUBLE", after=None), "becomes DOUBLE"),
    (alters("ALTER IGNORE TABLE pay MODIFY order_no VARCHAR(16)", order_no=T(16)), "text of 16 characters"),
    (alters("ALTER /*!50000 IGNORE */ TABLE pay MODIFY order_no VARCHAR(32) NOT NULL", nullable=("state", "amount")), "text of 32 characters NOT NULL"),
    (alters("", order_no=T(16)), "is utf8mb4 text of 16 characters from here on"),
    (alters("", nullable=("order_no", "amount")), "is utf8mb4 text of 20 characters NOT NULL from here on and was utf8mb4 text of 20 characters"),
    (alters(P + "DROP COLUMN amount", after=None), "is dropped"),
]
# With an identity of its own, what the primary key is does not matter.
NAMED = [
    alters(P + "DROP PRIMARY KEY, ADD PRIMARY KEY(id, order_no)", key=["id", "order_no"]),
    alters(P + "DROP PRIMARY KEY, ADD COLUMN rid BIGINT AUTO_INCREMENT PRIMARY KEY FIRST", rid=I(), key=["rid"], default=9),
    alters(P + "DROP COLUMN id, ADD COLUMN id BIGINT AUTO_INCREMENT PRIMARY KEY"),
]


def main():
    tieout = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp()
    passed, failed = 0, []

    def run(settings, change, before=None, rotate=False):
        shutil.rmtree(os.path.join(work, "job"), ignore_errors=True)
        folder = os.path.join(work, "job")
        os.mkdir(folder)
        table = Table(os.path.join(folder, "local.000001"))
        if before:
            before(table)
        for number in range(1, 9):
            table.insert(number)
        if rotate:
            second = Table(os.path.join(folder, "local.000002"))
            second.rows, second.nullable, second.strict = table.rows, table.nullable, table.strict
            table.close()
            table = second
        change(table)
        table.close()
        with open(os.path.join(folder, "job.yaml"), "w") as file:
            file.write(job(settings))
        with open(os.path.join(folder, "bill.csv"), "w") as file:
            file.write("id,order,amount,status\n")
            for row in table.rows.values():
                file.write(f"b{row['order_no']},{row['order_no']},{row['amount']},SUCCESS\n")
        said = []
        for road in ROADS:
            shutil.rmtree(os.path.join(folder, "out"), ignore_errors=True)
            done = subprocess.run([tieout, "run", "job.yaml", "--date=2026-11-01", "--out=out", *road], cwd=folder, capture_output=True, text=True)
            said.append((done.returncode, done.stderr, len(table.rows)))
        return said

    def want(name, said, good):
        nonlocal passed
        for code, text, _ in said:
            if good(code, text):
                passed += 1
            else:
                failed.append(f"{name}: exit {code}: {text[:600]}")

    for rotate in (True,) if "--rotated" in sys.argv else (False, True):
        for i, (change, words) in enumerate(STOPS):
            said = run("", change, rotate=rotate)
            want(f"stop {i}", said, lambda code, text: code == 3 and words in text and
                 f"local.00000{2 if rotate else 1}@" in text and ("binlog.ddl" in text or "binlog.versioned" in text))
        for name, settings, cases in (("goes on", "", GOES_ON), ("named", IDENTITY, NAMED)):
            for i, change in enumerate(cases):
                want(f"{name} {i}", run(settings, change, rotate=rotate), lambda code, text: code == 0)
        def nullable(strict):
            def begin(table):
                table.nullable, table.strict = ("order_no", "amount", "state"), strict
            return begin

        for i, change in enumerate(FITS):
            want(f"fits {i}", run("", change, before=nullable(True), rotate=rotate), lambda code, text: code == 0)
            want(f"need not fit {i}", run("", change, before=nullable(False), rotate=rotate), lambda code, text: code == 3 and "binlog.ddl" in text)
        for i, (change, words) in enumerate(FITS_NOT):
            want(f"fits not {i}", run("", change, before=nullable(True), rotate=rotate),
                 lambda code, text: code == 3 and words in text and "binlog.ddl" in text)
    # Before the first row there is nothing that could be lost, and what was created with a history is known by its statement.
    want("before", run("", touch, before=lambda t: t.query(P + "DROP COLUMN amount, MODIFY order_no VARCHAR(2)")), lambda code, text: code == 0)
    want("created", run("", touch, before=lambda t: t.query("CREATE TABLE pay (id BIGINT) WITH SYSTEM VERSIONING")),
         lambda code, text: code == 3 and "binlog.versioned" in text)
    # What has no exact value is no amount, even where it looks like one; beside it it harms nobody.
    for column, good in (("amount", lambda code, text: code == 3 and "binlog.inexact" in text and '"amount" is a DOUBLE' in text),
                         ("small", lambda code, text: code == 0)):
        want("a DOUBLE as " + column, run("", touch, before=lambda t: t.kinds.update({column: Double()})), good)
    shutil.rmtree(work)
    print("\n".join(failed[:20]))
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
