"""tests/support/row_log.py: writes row logs as MySQL 8 does, with names, keys and signs in their TABLE_MAPs.

    log = Log(path)                                 # begins the file; server and begun: whose it is, and when; before: what came before
                                                    # it, as a server's 16 bytes and the number of the last, or () for nothing
    log.transaction(("insert", ROW, ...), ...)      # of the table the log was made with, or of TABLE: ("insert", ROW, ..., "refund")
    log.prepare(7, ("insert", ROW, ...), ...)       # the same as XA transaction number 7, and what becomes of it
    log.decide(7, "COMMIT")
    log.images = "MINIMAL"                          # binlog_row_image from here on: FULL, MINIMAL or NOBLOB
    log.packed(("insert", ROW, ...), ...)           # a transaction in a TRANSACTION_PAYLOAD, which is not compressed
    log.close()                                     # names the file that follows

A row is a tuple as COLUMNS has it: BIGINTs as numbers, VARCHAR(200)s as text, TEXTs (a column of Text), None for NULL. The first column is
the primary key. Several rows of one statement: ("update", OLD, NEW, OLD, NEW).
"""
import os
import struct
import zlib

COLUMNS = (("id", int), ("order_no", str), ("trade_no", str), ("pay_amount", int), ("state", str), ("trade_at", str))


class Text(str):
    """A column's kind: TEXT, which NOBLOB leaves out where it did not change."""


def short(size):
    return bytes([size])


class Log:
    def __init__(self, path, table="order", columns=COLUMNS, server=1, begun=1793500000, before=None):
        self.file, self.at = open(path, "wb"), 4
        self.server, self.time, self.inside = server, begun, None
        self.name, self.table, self.columns, self.images = os.path.basename(path), table, columns, "FULL"
        self.file.write(b"\xfebin")
        lengths = [56, 13, 0, 8, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 98, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42,
                   0, 18, 52, 0, 10, 40, 0]
        self.event(15, struct.pack("<H50sIB", 4, b"8.0.35", begun, 19) + bytes(lengths) + b"\x01")
        if before is not None:
            self.event(35, struct.pack("<q", 1) + before[0] + struct.pack("<qqq", 1, 1, before[1] + 1) if before else bytes(8))

    def event(self, kind, body):
        if self.inside is not None:
            self.inside += struct.pack("<IBIIIH", self.time, kind, self.server, 19 + len(body), 0, 0) + body
            return
        size = 19 + len(body) + 4
        self.at += size
        whole = struct.pack("<IBIIIH", self.time, kind, self.server, size, self.at, 0) + body
        self.file.write(whole + struct.pack("<I", zlib.crc32(whole)))

    def image(self, row, held):
        """held: which columns it holds."""
        nulls, out = 0, b""
        for bit, i in enumerate(held):
            value = row[i]
            if value is None:
                nulls |= 1 << bit
            elif isinstance(value, int):
                out += struct.pack("<q", value)
            else:
                out += (struct.pack("<H", len(value)) if self.columns[i][1] is Text else short(len(value))) + value.encode()
        return nulls.to_bytes((len(held) + 7) // 8, "little") + out

    def held(self, kind, rows):
        """Which columns the images before and after hold."""
        every = tuple(range(len(self.columns)))
        if self.images == "FULL" or kind == "insert":
            return every, every
        changed = tuple(i for i in every if kind == "update" and any(old[i] != new[i] for old, new in zip(rows[::2], rows[1::2])))
        if self.images == "MINIMAL":
            return (0,), changed
        small = tuple(i for i in every if self.columns[i][1] is not Text)
        return small, tuple(sorted({*small, *changed}))

    def table_map(self, number, table):
        count = len(self.columns)
        types = bytes(8 if kind is int else 252 if kind is Text else 15 for _, kind in self.columns)
        meta = b"".join(b"\2" if kind is Text else struct.pack("<H", 200) for _, kind in self.columns if kind is not int)
        names = b"".join(short(len(name)) + name.encode() for name, _ in self.columns)
        may_be_null = ((1 << count) - 2).to_bytes((count + 7) // 8, "little")
        self.event(19, number + b"\1\0\4shop\0" + short(len(table)) + table.encode() + b"\0" + short(count) + types + short(len(meta))
                   + meta + may_be_null + b"\1\1\0\4" + short(len(names)) + names + b"\x08\1\0")

    def query(self, text):
        self.event(2, struct.pack("<IIBHH", 5, 0, 4, 0, 0) + b"shop\0" + text.encode())

    def transaction(self, *changes, gtid=None):
        """gtid: a server's 16 bytes and a number."""
        if gtid:
            self.event(33, b"\1" + gtid[0] + struct.pack("<qBqq", gtid[1], 2, 0, 1))
        self.query("BEGIN")
        self.rows(*changes)
        self.event(16, struct.pack("<q", 7))

    def packed(self, *changes):
        self.inside = b""
        self.transaction(*changes)
        inner, self.inside = self.inside, None
        fields = ((1, len(inner)), (2, 255), (3, len(inner)))
        self.event(33, b"\1" + bytes(16) + struct.pack("<qBqq", 1, 2, 0, 1))
        self.event(40, b"".join(bytes([kind, 9, 254]) + struct.pack("<q", value) for kind, value in fields) + b"\0" + inner)

    def prepare(self, number, *changes):
        name = f"x{number}".encode()
        self.query(f"XA START X'{name.hex()}',X'',1")
        self.rows(*changes)
        self.query(f"XA END X'{name.hex()}',X'',1")
        self.event(38, struct.pack("<BIII", 0, 1, len(name), 0) + name)

    def decide(self, number, how):
        self.query(f"XA {how} X'{f'x{number}'.encode().hex()}',X'',1")

    def rows(self, *changes):
        count = len(self.columns)
        for kind, *rows in changes:
            table = rows.pop() if isinstance(rows[-1], str) else self.table
            number = (100 + zlib.crc32(table.encode()) % 1000).to_bytes(6, "little")
            self.table_map(number, table)
            head = number + struct.pack("<HH", 1, 2) + short(count)
            before, after = self.held(kind, rows)
            held = {"insert": (after,), "update": (before, after), "delete": (before,)}[kind]
            masks = b"".join(sum(1 << i for i in columns).to_bytes((count + 7) // 8, "little") for columns in held)
            images = b"".join(self.image(row, held[i % len(held)]) for i, row in enumerate(rows))
            self.event({"insert": 30, "update": 31, "delete": 32}[kind], head + masks + images)

    def close(self, name=None):
        """name: what the server calls this file, if it has another name here; "" for one that ends where the server was stopped."""
        if name == "":
            self.event(3, b"")
        else:
            stem, number = (name or self.name).split(".")
            self.event(4, struct.pack("<q", 4) + f"{stem}.{int(number) + 1:06d}".encode())
        self.file.close()
