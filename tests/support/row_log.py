"""tests/support/row_log.py: writes row logs as MySQL 8 does, with names, keys and signs in their TABLE_MAPs.

    log = Log(path)                                 # begins the file; server and begun: whose it is, and when; before: what came before
                                                    # it, as a server's 16 bytes and the number of the last, or () for nothing
    log.transaction(("insert", ROW, ...), ...)      # of the table the log was made with, or of TABLE: ("insert", ROW, ..., "refund")
    log.close()                                     # names the file that follows

A row is a tuple as COLUMNS has it: BIGINTs as numbers, VARCHAR(200)s as text, None for NULL. The first column is the primary key.
"""
import os
import struct
import zlib

COLUMNS = (("id", int), ("order_no", str), ("trade_no", str), ("pay_amount", int), ("state", str), ("trade_at", str))


def short(size):
    return bytes([size])


class Log:
    def __init__(self, path, table="order", columns=COLUMNS, server=1, begun=1793500000, before=None):
        self.file, self.at = open(path, "wb"), 4
        self.server, self.time = server, begun
        self.name, self.table, self.columns = os.path.basename(path), table, columns
        self.file.write(b"\xfebin")
        lengths = [56, 13, 0, 8, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 98, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42,
                   0, 18, 52, 0, 10, 40, 0]
        self.event(15, struct.pack("<H50sIB", 4, b"8.0.35", begun, 19) + bytes(lengths) + b"\x01")
        if before is not None:
            self.event(35, struct.pack("<q", 1) + before[0] + struct.pack("<qqq", 1, 1, before[1] + 1) if before else bytes(8))

    def event(self, kind, body):
        size = 19 + len(body) + 4
        self.at += size
        whole = struct.pack("<IBIIIH", self.time, kind, self.server, size, self.at, 0) + body
        self.file.write(whole + struct.pack("<I", zlib.crc32(whole)))

    @staticmethod
    def image(row):
        nulls, out = 0, b""
        for i, value in enumerate(row):
            if value is None:
                nulls |= 1 << i
            else:
                out += struct.pack("<q", value) if isinstance(value, int) else short(len(value)) + value.encode()
        return nulls.to_bytes((len(row) + 7) // 8, "little") + out

    def table_map(self, number, table):
        count = len(self.columns)
        types = bytes(8 if kind is int else 15 for _, kind in self.columns)
        meta = b"".join(struct.pack("<H", 200) for _, kind in self.columns if kind is str)
        names = b"".join(short(len(name)) + name.encode() for name, _ in self.columns)
        may_be_null = ((1 << count) - 2).to_bytes((count + 7) // 8, "little")
        self.event(19, number + b"\1\0\4shop\0" + short(len(table)) + table.encode() + b"\0" + short(count) + types + short(len(meta))
                   + meta + may_be_null + b"\1\1\0\4" + short(len(names)) + names + b"\x08\1\0")

    def transaction(self, *changes, gtid=None):
        """gtid: a server's 16 bytes and a number."""
        if gtid:
            self.event(33, b"\1" + gtid[0] + struct.pack("<qBqq", gtid[1], 2, 0, 1))
        self.event(2, struct.pack("<IIBHH", 5, 0, 4, 0, 0) + b"shop\0BEGIN")
        count = len(self.columns)
        mask = ((1 << count) - 1).to_bytes((count + 7) // 8, "little")
        for kind, *rows in changes:
            table = rows.pop() if isinstance(rows[-1], str) else self.table
            number = (100 + zlib.crc32(table.encode()) % 1000).to_bytes(6, "little")
            self.table_map(number, table)
            head = number + struct.pack("<HH", 1, 2) + short(count)
            self.event({"insert": 30, "update": 31, "delete": 32}[kind],
                       head + (mask + mask if kind == "update" else mask) + b"".join(map(self.image, rows)))
        self.event(16, struct.pack("<q", 7))

    def close(self, name=None):
        """name: what the server calls this file, if it has another name here; "" for one that ends where the server was stopped."""
        if name == "":
            self.event(3, b"")
        else:
            stem, number = (name or self.name).split(".")
            self.event(4, struct.pack("<q", 4) + f"{stem}.{int(number) + 1:06d}".encode())
        self.file.close()
