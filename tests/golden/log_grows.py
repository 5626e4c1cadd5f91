#!/usr/bin/env python3
"""tests/golden/log_grows.py TIEOUT

A log that its server has open grows while it is read: a run reads what was there when it began, up to the last whole transaction, wherever
the server was in the middle of an event. A file that was closed, that has a later one behind it, that is damaged, or that is taken away or
becomes shorter, is refused as it ever was.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from row_log import Log

DAY = "2026-11-01"
FLAGS = 4 + 17
JOB = """version: 1
job: j
channel_code: CH
timezone: Asia/Shanghai
currency: CNY
local:
  binlog: {files: "bin.*", table: shop.order}
  fields: {biz_order_no: order_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at}
channel:
  files: bill.csv
  format: csv
  fields: {biz_order_no: order, amount: amount, status: status}
match: {keys: [[biz_order_no]], compare: [amount]}
"""
SERVER = bytes(range(16))
ROWS = 60000
XID = 31  # bytes of the event that ends a transaction
failures = 0


def fail(what, said):
    global failures
    failures += 1
    print(f"FAILED: {what}\n{said}")


def group(first, count):
    return [("insert", (i, f"N{i}", "", 100, "SUCCESS", DAY + " 10:00:00")) for i in range(first, first + count)]


def prepare(root):
    """bin.000001, and bin.000002 as it is when the server has closed it; the latter's bytes, and where its two transactions end."""
    with open(root + "/j.yaml", "w") as file:
        file.write(JOB)
    with open(root + "/bill.csv", "w") as file:
        file.write("order,amount,status\n" + "".join(f"N{i},1.00,SUCCESS\n" for i in range(ROWS)))
    log = Log(root + "/bin.000001", begun=1793500000, before=())
    for i in range(0, ROWS, 1000):
        log.transaction(*group(i, 1000), gtid=(SERVER, 1 + i // 1000))
    log.close()
    log = Log(root + "/bin.000002", begun=1793500060, before=(SERVER, ROWS // 1000))
    log.transaction(*group(ROWS, 10), gtid=(SERVER, ROWS // 1000 + 1))
    begun = log.file.tell()
    log.transaction(*group(ROWS + 10, 20), gtid=(SERVER, ROWS // 1000 + 2))
    done = log.file.tell()
    log.close()
    for name, kept in (("bin.index", b"./bin.000001\n./bin.000002\n"), ("bin.state", b"0-1-80\n"), ("bin.000001.idx", b"\xfe\xfeinx\1")):
        with open(f"{root}/{name}", "wb") as file:
            file.write(kept)
    with open(root + "/bin.000002", "rb") as file:
        return file.read(), begun, done


def put(root, content, in_use):
    """As a server leaves it, in place: a run that has it open goes on with the same file."""
    with open(root + "/bin.000002", "r+b") as file:
        file.write(content)
        file.truncate()
        file.seek(FLAGS)
        file.write(bytes([content[FLAGS] & 0xfe | in_use]))


def append(root, content, size):
    with open(root + "/bin.000002", "r+b") as file:
        file.seek(size)
        file.write(content[size:])


def stop_amid(program, root):
    """Stops the program when it has all files open, the bill being the last one, so that the logs' sizes are known to it. False: it was
    done with them before that came about."""
    files = {os.path.realpath(f"{root}/{name}") for name in ("bin.000001", "bin.000002", "bill.csv")}
    folder = f"/proc/{program.pid}"

    def has_all():
        try:
            return files <= {os.path.realpath(f"{folder}/fd/{fd}") for fd in os.listdir(folder + "/fd")}
        except OSError:
            return False
    while not has_all():
        if program.poll() is not None:
            return False
        time.sleep(0.0002)
    program.send_signal(signal.SIGSTOP)
    while program.poll() is None:
        with open(folder + "/stat") as file:
            if file.read().rsplit(") ", 1)[1][0] == "T":
                return has_all()
    return False


def begin(root, road):
    shutil.rmtree(root + "/out", ignore_errors=True)
    return subprocess.Popen([TIEOUT, "run", root + "/j.yaml", "--date=" + DAY, f"--out={root}/out", "--format=json", *road],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(program, root):
    """Exit code, rows only the log has, what was said."""
    out, said = program.communicate()
    code = program.returncode
    rows = json.loads(out)["classes"]["missing"]["local"]["count"] if code in (0, 1) else None
    if code not in (0, 1) and os.path.exists(root + "/out"):
        fail("results of a run that was refused", said)
    return code, rows, said


def run(root, content, in_use, act, road, is_wanted):
    """Stops the program amid its reading, does `act`, lets it go on. Exit code, rows only the log has, what was said. On a busy machine it
    may be read before it is stopped: then that says nothing, and it is done again."""
    for _ in range(20):
        put(root, content, in_use)
        program = begin(root, road)
        is_amid = stop_amid(program, root)
        if is_amid:
            act()
        if program.poll() is None:
            program.send_signal(signal.SIGCONT)
        code, rows, said = end(program, root)
        if is_amid and is_wanted(code, rows, said):
            return True, code, rows, said
    return False, code, rows, said


def stopped(root, what, content, in_use, want, road="--threads=1"):
    """A run over a second log of these bytes, which nobody writes to: its rows, or where it is refused."""
    put(root, content, in_use)
    code, rows, said = end(begin(root, [road, "--chunk=100000"]), root)
    if isinstance(want, str) and (code != 3 or f"error binlog.cut: {root}/bin.000002@{want}: " not in said):
        fail(f"{what}, {road}: exit code {code}, not binlog.cut at {want}", said)
    if not isinstance(want, str) and (code not in (0, 1) or rows != want or "ends inside a transaction" not in said):
        fail(f"{what}, {road}: exit code {code}, {rows} rows, not {want}", said)


def longer(content, at, more):
    """The event at `at` claims more bytes than it has."""
    size = int.from_bytes(content[at + 9:at + 13], "little")
    return content[:at + 9] + (size + more).to_bytes(4, "little") + content[at + 13:]


def moved(content, at, more):
    """... and says so where it ends, too."""
    end = int.from_bytes(content[at + 13:at + 17], "little")
    return longer(content[:at + 13] + (end + more).to_bytes(4, "little") + content[at + 17:], at, more)


def events(content, at):
    while at < len(content):
        yield at
        at += int.from_bytes(content[at + 9:at + 13], "little")


def cut_anywhere(root, content, begun, done):
    """Of the transaction behind `begun`: its GTID, BEGIN, TABLE_MAP, first row and XID."""
    gtid, begin, table_map, rows, *_, xid = [at for at in events(content, begun) if at < done]
    for i, at in enumerate((gtid + 1, gtid + 25, begin + 18, begin + 19, table_map + 40, rows, rows + 19, rows + 200, xid + 5, done - 1)):
        stopped(root, f"cut at {at}, open", content[:at], 1, 10, f"--threads={1 + i % 3}")
        if at in (gtid + 25, begin + 18, done - 1):
            stopped(root, f"cut at {at}, closed", content[:at], 0, str(max(e for e in events(content, 4) if e < at)))
    for wrong in (longer, moved):
        stopped(root, f"a length that is damaged, {wrong.__name__}", wrong(content[:done], gtid, 1 << 24), 1, str(gtid))
    with open(root + "/bin.000003", "wb") as file:
        later = Log(file.name, begun=1793500120, before=(SERVER, ROWS // 1000 + 2))
        later.transaction(*group(ROWS + 40, 5), gtid=(SERVER, ROWS // 1000 + 3))
        later.close()
    stopped(root, "a server that crashed", content[:rows + 50], 1, str(rows))
    os.remove(root + "/bin.000003")


def images_in_part(root):
    """The log is gone over several times: each time as far as the first time."""
    log = Log(root + "/bin.000002", begun=1793500060, before=(SERVER, ROWS // 1000))
    log.images = "MINIMAL"
    new, = [row for _, row in group(ROWS, 1)]
    log.transaction(("insert", new), gtid=(SERVER, ROWS // 1000 + 1))
    log.transaction(("update", new, (new[0], new[1], new[2], 300, *new[4:])), gtid=(SERVER, ROWS // 1000 + 2))
    begun = log.file.tell()
    log.transaction(("update", (new[0], new[1], new[2], 300, *new[4:]), (new[0], "N0", new[2], 300, *new[4:])), gtid=(SERVER, ROWS // 1000 + 3))
    done = log.file.tell()
    log.close()
    with open(root + "/bin.000002", "rb") as file:
        content = file.read()
    for at in (begun, begun + 30, done - 1):
        is_right, code, rows, said = run(root, content[:at], 1, lambda: append(root, content[:done], at), ["--threads=2"],
                                         lambda code, rows, _: True)
        if not is_right or code != 1 or rows != 1:
            fail(f"images in part, a log that grows from {at}: exit code {code}, {rows} rows", said)
    # The first log once more, under another name: that it is a copy is said once.
    shutil.copy(root + "/bin.000001", root + "/bin.copy")
    code, rows, said = end(begin(root, ["--threads=2"]), root)
    if code != 1 or said.count("once more, byte for byte") != 1:
        fail(f"a copy, and images in part: exit code {code}", said)
    os.remove(root + "/bin.copy")


def close(root, content, size):
    append(root, content, size)
    with open(root + "/bin.000002", "r+b") as file:
        file.seek(FLAGS)
        file.write(bytes([content[FLAGS] & 0xfe]))


def main(root):
    content, begun, done = prepare(root)
    kept = root + "/kept"
    for road in (["--threads=1"], ["--threads=3", "--chunk=100000"]):
        for what, size, act, want in (("a transaction more", begun, lambda: append(root, content[:done], begun), 10),
                                      ("nothing more", done, lambda: None, 30),
                                      ("the end of a transaction", done - XID, lambda: append(root, content[:done], done - XID), 10),
                                      ("more, and it is closed", begun, lambda: close(root, content, begun), 10)):
            is_right, code, rows, said = run(root, content[:size], 1, act, road, lambda code, rows, _: True)
            if not is_right or code not in (0, 1) or rows != want:
                fail(f"{what}, {road}: exit code {code}, {rows} rows, not {want}", said)
        for what, in_use, act in (("a file that was closed", 0, lambda: append(root, content, begun)),
                                  ("shorter", 1, lambda: put(root, content[:begun - 50], 1)),
                                  ("another file", 1, lambda: shutil.copy(root + "/bin.000001", kept) and
                                   os.rename(kept, root + "/bin.000002"))):
            # Looked at for the last time before it was stopped, a file is what it was: then it is no refusal, and says nothing.
            is_right, code, _, said = run(root, content[:begun], in_use, act, road,
                                          lambda code, _, said: code not in (0, 1))
            if not is_right or code != 3 or "error file.changed: " not in said:
                fail(f"{what}, {road}: exit code {code}", said)
    cut_anywhere(root, content, begun, done)
    images_in_part(root)


if __name__ == "__main__":
    TIEOUT = os.path.abspath(sys.argv[1])
    ROOT = tempfile.mkdtemp()
    try:
        main(ROOT)
    finally:
        shutil.rmtree(ROOT)
    sys.exit(failures != 0)
