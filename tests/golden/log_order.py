#!/usr/bin/env python3
"""tests/golden/log_order.py TIEOUT

The files of one log are read in the log's order, each once, whatever folders they lie in; files that are not what comes next are refused.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from row_log import Log

RECORDED = os.path.join(HERE, "..", "..", "fixtures", "binlogs", "recorded")
DAY = "2026-11-01"
JOB = """version: 1
job: j
channel_code: CH
timezone: Asia/Shanghai
currency: CNY
local:
  binlog: {{files: {files}, table: {table}}}
  fields: {{{fields}}}
channel:
  files: bill.csv
  format: csv
  fields: {{biz_order_no: order, amount: amount, status: status}}
match: {{keys: [[biz_order_no]], compare: [amount]}}
"""
OWN = ("shop.order", "biz_order_no: order_no, amount: {column: pay_amount, unit: minor}, status: state, trade_time: trade_at")
RECORDED_JOB = ("pay.payment_order", "biz_order_no: order_no, amount: amount, "
                                     "status: {column: status, map: {other: SUCCESS}}, trade_time: created_at")
ROADS = (["--threads=1"], ["--threads=3", "--chunk=100"])
SERVER = bytes(range(16))
failures = 0


def fail(what, said):
    global failures
    failures += 1
    print(f"FAILED: {what}\n{said}")


def run(root, files, table=OWN, road=ROADS[0]):
    """Exit code, digest, counter of what was there twice, and what was said."""
    with open(root + "/j.yaml", "w") as file:
        file.write(JOB.format(files=json.dumps(files), table=table[0], fields=table[1]))
    with open(root + "/bill.csv", "w") as file:
        file.write("order,amount,status\nA,3.00,SUCCESS\nB,1.00,SUCCESS\n")
    done = subprocess.run([TIEOUT, "run", root + "/j.yaml", "--date=" + DAY, f"--out={root}/out", "--format=json", *road],
                          capture_output=True, text=True, timeout=120)
    digest = again = None
    if done.returncode in (0, 1):
        digest = json.loads(done.stdout)["digest"]
        with open(f"{root}/out/j/{DAY}/stats.json") as file:
            again = json.load(file)["sources"]["local"]["images_replayed"]
        shutil.rmtree(root + "/out")
    elif os.path.exists(root + "/out"):
        fail("results of a run that was refused", done.stderr)
    return done.returncode, digest, again, done.stderr


def same(what, files, right, root, again=0, table=OWN, note=""):
    """The files give what the files of `right` do."""
    _, want, _, said = run(root, right, table)
    if not want:
        return fail(f"{what}: the right order", said)
    for road in ROADS:
        code, digest, told, said = run(root, files, table, road)
        if digest != want or told != again or note not in said:
            fail(f"{what}, {road}: exit code {code}, digest {digest} not {want}, {told} repeated, not {again}", said)


def refused(what, files, code, names, root, table=OWN):
    for road in ROADS:
        got, _, _, said = run(root, files, table, road)
        if got != 3 or f"error {code}: " not in said or not all(f"{root}/{name}" in said for name in names):
            fail(f"{what}, {road}: exit code {got}, not {code}", said)


def row(number, order, cents, state="SUCCESS"):
    return (number, order, "", cents, state, DAY + " 10:00:00")


def write(root, name, number, called=None, gtids=True, begun=None, server=1, stopped=False, extra=0):
    """The log's file `number`: a row's life, a file a step. `extra`: transactions more at its end."""
    os.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
    before = ((SERVER, 2 * (number - 1)) if number > 1 else ()) if gtids else None
    log = Log(f"{root}/{name}", server=server, begun=begun or 1793500000 + 60 * number, before=before)
    steps = {1: [("insert", row(1, "A", 100)), ("insert", row(2, "B", 500))],
             2: [("update", row(1, "A", 100), row(1, "A", 200)), ("delete", row(2, "B", 500))],
             3: [("update", row(1, "A", 200), row(1, "A", 300)), ("insert", row(2, "B", 100))]}[number]
    for step in steps:
        log.transaction(step, gtid=(SERVER, 2 * number - 1 + steps.index(step)) if gtids else None)
    for i in range(extra):
        log.transaction(("insert", row(100 + i, f"X{i}", 100)), gtid=(SERVER, 2 * number + 1 + i) if gtids else None)
    log.close("" if stopped else called or f"bin.{number:06d}")


def case(act):
    root = tempfile.mkdtemp()
    try:
        act(root)
    finally:
        shutil.rmtree(root)


def right_log(root, **how):
    for number in (1, 2, 3):
        write(root, f"ok/bin.{number:06d}", number, **how)


def by_number_across_folders(root):
    for how in ({}, {"gtids": False}, {"gtids": False, "stopped": True}):
        right_log(root, **how)
        for number, folder in ((1, "c"), (2, "b"), (3, "a")):
            write(root, f"{folder}/bin.{number:06d}", number, **how)
        same(f"a glob over folders, {how}", "[abc]/bin.*", "ok/bin.*", root)
        same(f"a list of files, {how}", ["a/bin.*", "c/bin.*", "b/bin.*"], "ok/bin.*", root)


def packed(root):
    right_log(root)
    for number, folder in ((1, "c"), (2, "b"), (3, "a")):
        write(root, f"{folder}/bin.{number:06d}", number)
        subprocess.run(["gzip", f"{root}/{folder}/bin.{number:06d}"], check=True)
    same("packed files", "[abc]/bin.*", "ok/bin.*", root)


def by_what_they_say(root):
    """Names that say nothing: what came before each file, when it was begun, and which follows."""
    for how in ({}, {"gtids": False}, {"begun": 1793500000}, {"gtids": False, "begun": 1793500000}):
        right_log(root, **how)
        for number, name in ((1, "n/third"), (2, "n/second"), (3, "n/first")):
            write(root, name, number, called=f"bin.{number:06d}", **how)
        same(f"names without numbers, {how}", "n/*", "ok/bin.*", root)


def renamed_backwards(root):
    for how in ({}, {"gtids": False}, {"gtids": False, "begun": 1793500000}, {"stopped": True},
                {"stopped": True, "begun": 1793500000}, {"gtids": False, "stopped": True}):
        for number in (1, 2, 3):
            write(root, f"x/x{4 - number}", number, called=f"bin.{number:06d}", **how)
        refused(f"files that have each other's numbers, {how}", "x/x*", "binlog.order", ["x/x1", "x/x2"], root)
    for number in (1, 2, 3):
        write(root, f"y/bin.{4 - number:06d}", number, called=f"bin.{number:06d}")
    refused("files that have each other's names", "y/bin.*", "binlog.order", ["y/bin.000001", "y/bin.000002"], root)


def a_file_is_missing(root):
    for how in ({}, {"stopped": True}, {"gtids": False}):
        for number in (1, 3):
            write(root, f"m/bin.{number:06d}", number, called=f"bin.{number:06d}", **how)
            write(root, f"n/{'ab'[number > 1]}", number, called=f"bin.{number:06d}", **how)
        if how != {"stopped": True}:
            refused(f"the second of three is missing, {how}", "m/bin.*", "binlog.gap", ["m/bin.000001", "m/bin.000003"], root)
        refused(f"the same with other names, {how}", "n/*", "binlog.gap", ["n/a", "n/b"], root)


def two_lives(root):
    """A server whose logs began anew (RESET MASTER): transactions of one name are not one."""
    write(root, "d1/bin.000001", 1)
    write(root, "d2/bin.000001", 1, begun=1793900000, extra=3)
    refused("a log that began anew", "d?/bin.*", "binlog.order", ["d1/bin.000001", "d2/bin.000001"], root)


def a_clock_set_back(root):
    for how in ({}, {"gtids": False}):
        right_log(root, **how)
        for number, begun in ((1, 1793509000), (2, 1793508000), (3, 1793507000)):
            write(root, f"t/bin.{number:06d}", number, begun=begun, **how)
        same(f"begun at falling times, {how}", "t/bin.*", "ok/bin.*", root)


def copies(root):
    for how in ({}, {"gtids": False}):
        right_log(root, **how)
        for folder in "ab":
            shutil.copytree(root + "/ok", f"{root}/{folder}", dirs_exist_ok=True)
        same(f"all files twice, {how}", "[ab]/bin.*", "ok/bin.*", root, again=6, note="once more, byte for byte")
        os.makedirs(root + "/c", exist_ok=True)
        shutil.copy(root + "/ok/bin.000002", root + "/c/copy-of-it")
        same(f"a copy with a name of its own, {how}", ["ok/bin.*", "c/*"], "ok/bin.*", root, again=2, note="once more, byte for byte")
        # copied while the server still wrote to it: marked as in use, and shorter
        write(root, "e/bin.000003", 3, extra=40, **how)
        for number in (1, 2):
            shutil.copy(f"{root}/ok/bin.{number:06d}", root + "/e/")
        with open(root + "/e/bin.000003", "rb") as file:
            whole = bytearray(file.read())
        at, ends = 4, []
        while at < len(whole):
            at += int.from_bytes(whole[at + 9:at + 13], "little")
            if whole[at + 4:at + 5] in (b"\x21", b"\x02"):
                ends.append(at)
        whole[21] |= 1
        os.makedirs(root + "/f", exist_ok=True)
        with open(root + "/f/bin.000003", "wb") as file:
            file.write(whole[:ends[10]])
        _, _, again, _ = run(root, ["f/bin.*", "e/bin.*"])
        if not again or again > 10:
            fail(f"a shorter copy, {how}", f"{again} transactions are in both")
        same(f"a shorter copy, {how}", ["f/bin.*", "e/bin.*"], "e/bin.*", root, again=again or 0, note="is the beginning of ")


BOOK = """version: 1
job: j
channel_code: CH
biz_type: pay
timezone: Asia/Shanghai
currency: CNY
local:
  binlog: {{files: "{files}", table: shop.order}}
  fields: {{{fields}}}
channel:
  files: "bill_{{date}}.csv"
  occurrence_id: id
  fields: {{biz_order_no: order, amount: amount, status: status, trade_time: time}}
match: {{keys: [[channel_code, biz_order_no]], compare: [amount, status]}}
suspense: {{threshold: {{local: 3, channel: 3}}}}
"""


def book(root):
    """Each day a file more, in a folder that sorts before those there are."""
    said = []
    for road, folders in (("ok", ("ok", "ok", "ok")), ("moved", ("c", "b", "a"))):
        home, days = f"{root}/{road}", []
        os.makedirs(home)
        with open(home + "/j.yaml", "w") as file:
            file.write(BOOK.format(files="logs/*/bin.*", fields=OWN[1]))
        for number, (folder, date) in enumerate(zip(folders, ("2026-11-01", "2026-11-02", "2026-11-03")), 1):
            write(home, f"logs/{folder}/bin.{number:06d}", number)
            with open(f"{home}/bill_{date}.csv", "w") as file:
                file.write("id,order,amount,status,time\n" + (f"1,A,3.00,SUCCESS,{DAY} 10:00:00\n" if number == 3 else ""))
            for words in (["init", "--date=" + date], ["run"]):
                done = subprocess.run([TIEOUT, "task", *words], cwd=home, capture_output=True, text=True, timeout=120)
                if done.returncode not in (0, 1):
                    fail(f"book, {road}, {date}, {words}: exit code {done.returncode}", done.stderr)
            with open(f"{home}/out/j/{date}/summary.json") as file:
                days.append(json.load(file)["classes"])
        said.append(days)
    if said[0] != said[1] or said[0][2]["match"]["local"]["count"] != 1:
        fail("book", "\n".join(map(str, said)))


def recorded():
    """A table's columns change in the first of two files."""
    for folder, first, second in (("mariadb-10.11.19", "bin.000004", "bin.000005"), ("mysql-9.7.4", "binlog.000005", "binlog.000006")):
        def act(root):
            for name, into in ((first, "b"), (second, "a"), (first, "ok"), (second, "ok"), (first, "c"), (second, "c")):
                os.makedirs(f"{root}/{into}", exist_ok=True)
                shutil.copy(f"{RECORDED}/{folder}/02_alter_middle_rotate/{name}", f"{root}/{into}/")
            same(f"{folder}, folders", "[ab]/bin*", "ok/bin*", root, table=RECORDED_JOB)
            code, _, again, said = run(root, ["ok/bin*", "c/bin*"], RECORDED_JOB)
            if not again:
                fail(f"{folder}, twice: exit code {code}", said)
            same(f"{folder}, twice", ["ok/bin*", "c/bin*"], "ok/bin*", root, again=again or 0, table=RECORDED_JOB)
            os.makedirs(root + "/x")
            shutil.copy(f"{root}/ok/{first}", root + "/x/x2")
            shutil.copy(f"{root}/ok/{second}", root + "/x/x1")
            code, _, _, said = run(root, "x/x*", RECORDED_JOB)
            if code != 3 or "error binlog." not in said:
                fail(f"{folder}, numbers of each other: exit code {code}", said)
        case(act)


if __name__ == "__main__":
    TIEOUT = os.path.abspath(sys.argv[1])
    for one in (by_number_across_folders, packed, by_what_they_say, renamed_backwards, a_file_is_missing, two_lives, a_clock_set_back,
                copies, book):
        case(one)
    recorded()
    sys.exit(failures != 0)
