#!/usr/bin/env python3
"""tests/golden/match_shapes.py TIEOUT [PART]: jobs of many shapes whose rows match.csv takes while the files are read; of a PARTth of the rows.

Each is run by that road and by the one that reads all rows again (--match-memory=64KiB): both give the same bytes, and stats.json
says of how many rows no file was read again. What the file must hold is match_rows.py's to say.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

TIEOUT = os.path.realpath(sys.argv[1])
PART = int(sys.argv[2]) if len(sys.argv) > 2 else 1
HERE = os.path.dirname(os.path.realpath(__file__))
JOB = """version: 1
job: shapes
%s
local:
  files: "%s"
  format: csv
  fields: {%s}
channel:
  files: "%s"
  %s
match: {keys: [[%s]], compare: [%s]}
output: {dir: out, match: true}
"""


def make_rows(rng, count):
    rows = {}
    while len(rows) < count:
        number = rng.choice(("", "R", "AB")) + "20261119%012d" % rng.randrange(10**12)
        if rng.random() < 0.02:  # what no item holds, and what comes before in the order
            number = rng.choice(("x-%s" % number, number * 2, number[:5]))
        rows[number] = dict(number=number, trade="2026111922%018d" % rng.randrange(10**18), code=rng.choice(("ALIPAY", "WXPAY")),
                            type=rng.choice(("ORDER_PAY", "FEE")), amount="%d.%02d" % (rng.randrange(1, 5000), rng.randrange(100)),
                            fee="0.%02d" % rng.randrange(100), status=rng.choice("112"), merchant="898310%09d" % rng.randrange(50),
                            shop=rng.choice(("", "s%d" % rng.randrange(30), "shop of a rather long name %d" % rng.randrange(9))),
                            time="2026-11-%02d %02d:00:%02d" % (rng.choice((18, 19)), rng.randrange(24), rng.randrange(60)))
    return list(rows.values())


def shuffled(rng, rows, near):
    if near:
        return [rows[i] for i in sorted(range(len(rows)), key=lambda i: (i + rng.randrange(200), i))]
    rows = list(rows)
    rng.shuffle(rows)
    return rows


def write(path, rows, columns, quoted=False, parts=1, end="\n"):
    """Columns: NAME=KEY of a row. Several parts: PATH with a number for its star."""
    cell = (lambda text: '"' + text + '"') if quoted else (lambda text: text)
    for part in range(parts):
        with open(path.replace("*", str(part)), "w", newline="") as file:
            file.write(",".join(cell(c.split("=")[0]) for c in columns) + end)
            for row in rows[part * len(rows) // parts:(part + 1) * len(rows) // parts]:
                file.write(",".join(cell(row[c.split("=")[1]]) for c in columns) + end)


def run(work, arguments, options):
    subprocess.run(["rm", "-rf", work + "/out"], check=True)
    done = subprocess.run([TIEOUT, *arguments, "--write-match", "--out=out", *options], cwd=work, capture_output=True, text=True)
    if done.returncode > 1:
        sys.exit("FAILED: %s: exit %d\n%s\n%s" % (arguments, done.returncode, done.stdout, done.stderr))
    for folder, _, names in os.walk(work + "/out"):
        if "match.csv" in names:
            with open(folder + "/match.csv", "rb") as file, open(folder + "/stats.json") as stats, open(folder + "/summary.json") as summary:
                return file.read(), json.load(stats)["matches_read_once"], json.load(summary)["digest"]
    sys.exit("FAILED: %s: no match.csv" % arguments)


SIDE = ["time=time", "amt=amount", "state=status", "fee=fee", "shop=shop", "merchant_no=merchant"]
LOCAL = ["order=number", "kind=type"] + SIDE
CHANNEL = ["order=number", "trade=trade"] + SIDE
FIELDS = "biz_order_no: order, amount: amt, trade_time: time, fee: fee, merchant_no: merchant_no"
STATUS = ", status: {column: state, map: {1: SUCCESS, 2: REFUNDED}}"
CSV = "format: csv\n  fields: {channel_order_no: trade, %s}" % (FIELDS + STATUS)


def diff(key="channel_code,order", compare="", more=()):
    return lambda work: ["diff", "local.csv", "channel.csv", "--key=" + key, "--amount=amt", *(["--compare=" + compare] if compare else []), *more]


def job(head="channel_code: ALIPAY\nbiz_type: PAY", local="local.csv", fields=FIELDS + STATUS, channel="channel.csv", bill=CSV,
        keys="channel_code, biz_order_no", compare="amount, status"):
    def arguments(work):
        with open(work + "/job.yaml", "w") as file:
            file.write(JOB % (head + "\ncurrency: CNY\ntimezone: Asia/Shanghai\nsuspense: {threshold: {local: 0, channel: 0}}", local, fields, channel, bill, keys,
                              compare))
        return ["run", "job.yaml", "--date=2026-11-19"]
    return arguments


def alipay(path, rows):
    """A bill in Alipay's layout and charset."""
    with open(HERE + "/../../fixtures/corpus/bill/alipay_trade.csv", "rb") as file:
        lines = file.read().decode("gb18030").split("\r\n")
    sample = lines[5].replace("2024-01-15", "2026-11-19")
    with open(path, "wb") as file:
        for line in lines[:5]:
            file.write((line + "\r\n").encode("gb18030"))
        for row in rows:
            file.write((sample.replace("2024011522001400000000000001", row["trade"]).replace("SO20240115000001", row["number"]) + "\r\n").encode("gb18030"))
        file.write(("#-----业务明细列表结束-----\r\n#交易合计：%d笔，商家实收共%d00.00元，商家优惠共0.00元\r\n"
                    "#退款合计：0笔，商家实收退款共0.00元，商家优惠退款共0.00元\r\n" % (len(rows), len(rows))).encode("gb18030"))


def shapes(rng, rows, work):
    """Writes the files of one shape after the other: its name, its arguments, how many of its rows are read once at least."""
    local, channel = shuffled(rng, rows, True), shuffled(rng, rows, rng.random() < 0.5)
    code, l, c = ["channel_code=code"], work + "/local.csv", work + "/channel.csv"
    plain = lambda **how: (write(l, local, code + LOCAL, **how), write(c, channel, code + CHANNEL, **how))
    plain()
    yield "K1 is the order's number, channels are a column", diff("order"), 0.9
    yield "the same with attributes compared", diff("order", "shop,fee"), 0.6
    yield "a compared column that is in the order", diff("order", "channel_code,state"), 0.9
    yield "little memory", diff("order", "", ["--memory=64MiB", "--threads=2"]), 0.9
    yield "least memory", diff("order", "", ["--memory=28MiB", "--threads=1"]), 0.9
    write(l, local, LOCAL + code, parts=1)
    write(c, channel, CHANNEL)
    yield "only the local side has channels", diff("order"), 0.9
    write(l, local, LOCAL)
    yield "no channels", diff("order"), 0.9
    write(c, channel, CHANNEL + code)
    yield "only the channel has channels", diff("order"), 0
    write(l, local, LOCAL + code)
    write(c, channel, SIDE + code + ["order=number"])
    yield "no number of the channel's", diff(), 0.9
    write(l, local, LOCAL + code + ["channel_order_no=trade"])
    yield "only the local side has the channel's number", diff(), 0
    write(c, [dict(r, trade=r["trade"] if rng.random() < 0.99 else "") for r in channel], CHANNEL[:1] + ["channel_order_no=trade"] + code + SIDE)
    yield "the local side has it where the channel has not", diff(), 0.9
    plain(quoted=True)
    yield "all cells are quoted", diff(), 0.9
    plain(end="\r\n")
    yield "lines end with a carriage return too", diff(), 0.9
    write(l, local, LOCAL)
    write(c, channel, CHANNEL)
    yield "a job with constants and words of its own", job(), 0.9
    yield "K1 is the number alone", job(keys="biz_order_no"), 0.9
    yield "fee and merchant compared", job(compare="amount, status, fee, merchant_no"), 0.8
    yield "another cut", job(head="channel_code: ALIPAY\ncut: '23:00'"), 0.9
    yield "a second key", job(fields=FIELDS + STATUS + ", channel_order_no: {column: order}", keys="channel_code, biz_order_no], [channel_code, channel_order_no"), 0.9
    yield "numbers stripped", job(bill=CSV.replace("channel_order_no: trade", "channel_order_no: {column: trade, strip: ' '}")), 0.9
    write(l.replace("local", "local-*"), local, LOCAL, parts=5)
    write(c.replace("channel", "channel-*"), channel, CHANNEL, parts=3)
    yield "several files", job(local="local-*.csv", channel="channel-*.csv"), 0.9
    yield "several files, fees compared", job(local="local-*.csv", channel="channel-*.csv", compare="amount, fee"), 0.9
    yield "a condition", job(fields=FIELDS, bill=CSV + "\n  where: {state: ['1', '2']}", compare="amount"), 0.9
    alipay(c, channel)
    write(l, [dict(r, amount="100.00", status="1", time="2026-11-19 10:00:00") for r in local], LOCAL)
    yield "a bill in its channel's layout", job(bill="profile: alipay", compare="amount"), 0.9
    yield "the same, K1 is the number alone", job(bill="profile: alipay", compare="amount", keys="biz_order_no"), 0.9


def bytes_read(work, arguments):
    """Runs it; how many bytes it read, or None where the system does not say."""
    subprocess.run(["rm", "-rf", work + "/out"], check=True)
    with open(work + "/told", "w+") as told, subprocess.Popen([TIEOUT, *arguments], cwd=work, stdout=told, stderr=told) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        try:
            with open("/proc/%d/io" % process.pid) as io:
                count = int(io.readline().split()[1])
        except OSError:
            count = None
        if process.wait() > 1:
            told.seek(0)
            sys.exit("FAILED: %s: exit %d\n%s" % (arguments, process.returncode, told.read()))
    return count


def beside_strays(work):
    """Rows beside one that is no proper CSV cost no more than beside one that is and has no amount, of the same size and lines: bytes that were
    read, and the same files."""
    options = ["--max-rejects=100%", "--threads=1", "--match-memory=64KiB"]
    diff_it = ["diff", "local.csv", "channel.csv", "--key=order", "--amount=amount", "--write-match", "--out=out", *options]
    with open(work + "/job.yaml", "w") as file:
        file.write(JOB % ("channel_code: SHOP\nbiz_type: PAY\ncurrency: CNY\ntimezone: UTC", "local.csv", "biz_order_no: order, amount: amount, trade_time: time",
                          "channel.csv", "profile: %s/../../fixtures/channels/own/simple.yaml" % HERE, "channel_code, biz_order_no", "amount"))
    run_it = ["run", "job.yaml", "--date=2026-11-19", *options]
    strays = (('"B\n"1,t,1.00,\n"C\n"1,t,1.00,', "B.\n.1,t,1.x0,\nC.\n.1,t,1.x0,"), ("B\r1,t,1.00,", "B.1,t,1.x0,"))
    for arguments, heads, which in ((diff_it, ("order,txn,amount,time", "order,txn,amount,time"), 0),
                                    (run_it, ("order,txn,amount,time", "order_no,txn,amount,currency,paid_at,status"), 1)):
        for stray, proper in strays:
            seen = []
            for odd in (proper, stray):
                for side, name in enumerate(("local.csv", "channel.csv")):
                    with open("%s/%s" % (work, name), "w", newline="") as file:
                        file.write(heads[side] + "\n")
                        for i in range(3000):
                            if side != which and 1000 <= i < 1500:  # a run of rows that broke
                                continue
                            txn = '"t\n%d"' % i if i % 7 == 0 else "t%d" % i
                            rest = "CNY,2026-11-19T10:00:00Z,paid" if side and which else "2026-11-19T10:00:00Z"
                            file.write("A%05d,%s,1.00,%s\n" % (i, txn, rest))
                            if side == which and i % 20 == 0:
                                file.write(odd + "\n")
                read = bytes_read(work, arguments)
                files = {}
                for folder, _, names in os.walk(work + "/out"):
                    for name in {"match.csv", "missing.csv", "extra.csv"}.intersection(names):
                        with open("%s/%s" % (folder, name), "rb") as file:
                            files[name] = file.read()
                seen.append((read, files))
            (few, want), (many, got) = seen
            if got != want or want["match.csv"].count(b",A0") != 2500:
                sys.exit("FAILED: %s beside %r: %s are not the same" % (arguments, stray, [name for name in want if want[name] != got.get(name)]))
            if few is not None and many is not None and many > 2 * few + (64 << 20):
                sys.exit("FAILED: %s beside %r: %d bytes were read, %d beside %r" % (arguments, stray, many, few, proper))


def main():
    count = 0
    with tempfile.TemporaryDirectory() as work:
        beside_strays(work)
        rng = random.Random(7)
        rows = make_rows(rng, max(400, 5000 // PART))
        for name, arguments, share in shapes(rng, rows, work):
            given = arguments(work)
            want, again, digest = run(work, given, ["--match-memory=64KiB"])
            if again or want.count(b"\n") < len(rows) // 4:
                sys.exit("FAILED: %s: %d rows, %d were read once without the memory for it" % (name, want.count(b"\n"), again))
            for options in ([] if any(o.startswith("--threads") for o in given) else ["--threads=%d" % (1, 3)[count % 2]],):
                got, once, other = run(work, given, options)
                if got != want or other != digest:
                    for number, (a, b) in enumerate(zip(got.split(b"\n"), want.split(b"\n")), 1):
                        if a != b:
                            sys.exit("FAILED: %s, %s: line %d\n got %s\nwant %s" % (name, options, number, a, b))
                    sys.exit("FAILED: %s, %s: %d bytes, not %d; %s, not %s" % (name, options, len(got), len(want), other, digest))
                if once < share * (want.count(b"\n") - 1) or (once and not share):
                    sys.exit("FAILED: %s, %s: %d of %d rows were taken while they were read" % (name, options, once, want.count(b"\n") - 1))
                count += 1
    print("match.csv: %d runs of jobs of many shapes give the same bytes by both roads" % count)


main()
