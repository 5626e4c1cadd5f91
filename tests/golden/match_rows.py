#!/usr/bin/env python3
"""tests/golden/match_rows.py TIEOUT [PART]: match.csv, byte by byte, of days in which usual rows and odd ones take turns; of a PARTth of the rows.

The file is made here once more, from the contract alone: order, quotes, apostrophes, amounts, places. Order numbers of several
lengths, cells that want quotes or look like formulas, numbers that are missing or long, amounts with all their digits, currencies
with other exponents, dates that differ, line ends within cells; in runs of many and one by one. So is the digest, from README.md.
"""
import csv
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile

TIEOUT = os.path.realpath(sys.argv[1])
PART = int(sys.argv[2]) if len(sys.argv) > 2 else 1
EXPONENT = {"CNY": 2, "JPY": 0, "KWD": 3}


def money(micro, currency):
    exponent = EXPONENT[currency]
    sign, digits = "-" if micro < 0 else "", "%07d" % abs(micro)
    part = digits[-6:].rstrip("0").ljust(exponent, "0")
    return sign + digits[:-6] + ("." + part if part else "")


def formula(text):
    rest = text.lstrip("'")
    return rest != "" and rest[0] in "=+-@\t\r\n"


def cell(text):
    if formula(text):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def given(text):
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


# Forms of odd rows of which the local file has quotes: with one of them it is read again, all of it.
QUOTED = {4, 5, 9, 10, 11, 21, 33, 34, 37}


# Digits of one channel's own numbers, by the seed: as packed as can be and just not, odd ones and even ones.
OWN_SIZES = (28, 15, 14, 28, 22, 17, 28)


def make_rows(rng, count, quotes, own_size):
    rows, seen = [], set()
    while len(rows) < count:
        odd = rng.random() < 0.05
        number = "20261119" + "%016d" % rng.randrange(10**16)
        form = rng.randrange(60) if odd else 99
        if form in QUOTED and not quotes:
            continue
        number = {0: "R" + number, 1: "R" + number[:12], 2: number[:3], 3: "=" + number, 4: number[:20] + ",x", 5: '"' + number,
                  6: number * 3, 7: "-" + number, 8: "''=" + number[:5], 9: number[:-1] + '"', 10: number[:-1] + ",",
                  11: number[:-2] + "\n7"}.get(form, number)
        channel_number = "2026111922" + "%018d" % rng.randrange(10**18)
        channel_number = {12: "", 13: "+" + channel_number, 14: channel_number * 2, 15: 'a"b', 16: "a,b", 17: "@x", 18: "'x",
                          19: channel_number + "%04d" % rng.randrange(10**4), 20: channel_number + "12345"}.get(form, channel_number)
        channel = rng.choice(("ALIPAY", "ALIPAY", "WXPAY", "UNIONPAY")) if form != 21 else "A,B"
        if form > 20:
            channel_number = channel_number[:{"WXPAY": 27, "UNIONPAY": own_size}.get(channel, 28)]
        if (channel, number) in seen:
            continue
        seen.add((channel, number))
        currency = {22: "JPY", 23: "KWD"}.get(form, "CNY")
        micro = rng.randrange(1, 3 * 10**6) * 10000
        micro = {22: rng.randrange(1, 10**6) * 10**6, 23: rng.randrange(1, 10**6) * 1000, 24: micro + 5000, 25: micro + 1,
                 26: rng.randrange(10**8, 10**12) * 10**6 + 990000, 27: 10000, 28: 99999999990000, 29: 100000000000000,
                 30: -99999999990000}.get(form, micro)
        status, out = "SUCCESS", False
        if rng.random() < 0.1:
            status, micro, out = "REFUNDED", -abs(micro), True
        micro = -abs(micro) if form == 30 else micro
        local_day, channel_day = (19, 20) if form == 31 else (20, 19) if form == 32 else (19, 19)
        if rng.random() < 0.2 and form > 32:
            local_day = channel_day = 20
        merchant = {33: "m,1", 34: "m\nn", 35: "m" * 40, 36: "=m", 37: 'm"'}.get(form, "8983100%02d" % rng.randrange(20))
        rows.append(dict(channel=channel, type=rng.choice(("ORDER_PAY", "FEE")), number=number, channel_number=channel_number,
                         currency=currency, micro=micro, status=status, days=(local_day, channel_day), merchant=merchant,
                         fee=rng.choice((0, 10000, rng.randrange(10**7)))))
    return rows


def day_text(day):
    return "2026-11-%02d" % day


def write_side(path, rows, side):
    """Writes a side's file; says where each row stands."""
    head = "channel_code,%sbiz_order_no,%smerchant_no,trade_time,currency,amount,fee,status\n" % (
        ("biz_type,", "") if side == 0 else ("", "channel_order_no,"))
    places, line = {}, 2
    out = bytearray(head.encode())
    for row in rows:
        places[id(row)] = (line, len(out))
        own, other = row["days"][side], row["days"][1 - side]
        time = "10:00:00" if own == other else "23:59:59" if own < other else "00:00:01"
        amount = money(row["micro"], row["currency"])
        cells = [row["channel"]] + ([row["type"], row["number"]] if side == 0 else [row["number"], row["channel_number"]]) + [
            row["merchant"], day_text(own) + " " + time, row["currency"], amount, money(row["fee"], row["currency"]), row["status"]]
        text = (",".join(given(c) for c in cells) + "\n").encode()
        out += text
        line += text.count(b"\n")
    with open(path, "wb") as file:
        file.write(out)
    return places


def expected(rows, places, compare):
    names = ["channel_code", "biz_order_no", "channel_order_no", "reasons", "local_amount", "channel_amount", "delta", "key_no"]
    for field in compare:
        names += ["local_" + field, "channel_" + field]
    rows_and_places = [(",".join(names + ["currency", "local_bill_date", "channel_bill_date"]), ",local_place,channel_place")]
    order = lambda r: (r["days"][0], [(len(t.encode()), t.encode()) for t in (r["channel"], r["type"], r["number"])])
    for row in sorted(rows, key=order):
        amount = money(row["micro"], row["currency"])
        cells = [cell(row["channel"]), cell(row["number"]), cell(row["channel_number"]),
                 "exact" if row["days"][0] == row["days"][1] else "day_cut", amount, amount, money(0, row["currency"]), "1"]
        for field in compare:
            shown = {"status": row["status"], "merchant_no": cell(row["merchant"]), "fee": money(row["fee"], row["currency"])}[field]
            cells += [shown, shown]
        cells += [row["currency"], day_text(row["days"][0]), day_text(row["days"][1])]
        places_told = ["%s:%d@%d" % (("local.csv", "channel.csv")[side], *places[side][id(row)]) for side in (0, 1)]
        rows_and_places.append((",".join(cells), "," + ",".join(places_told)))
    return ["".join(row + place * told + "\n" for row, place in rows_and_places) for told in (1, 0)]


FILES = ("match", "mismatch", "missing", "extra", "suspense", "duplicate", "ambiguous", "excluded", "reject")
PIECE = 64 << 10


def digest(folder, match):
    """The digest of a day on which all rows match; `match`: match.csv without its places."""
    lines = ""
    for name in FILES:
        if name == "match":
            text = match.encode()
            text = b"".join(hashlib.sha256(text[at:at + PIECE]).digest() for at in range(0, len(text), PIECE))
        else:
            with open("%s/%s.csv" % (folder, name), newline="") as file:
                (head,) = csv.reader(file)
            text = (",".join(column for column in head if not column.endswith("place")) + "\n").encode()
        lines += "%s.csv sha256:%s\n" % (name, hashlib.sha256(text).hexdigest())
    with open(folder + "/aggregate.csv", "rb") as file:
        lines += "aggregate.csv sha256:%s\n" % hashlib.sha256(file.read()).hexdigest()
    with open(folder + "/summary.json") as file:
        body, told = file.read().rsplit(',\n  "digest": "', 1)
    return "sha256:" + hashlib.sha256((lines + body + "\n}").encode()).hexdigest(), told.split('"')[0]


def run(work, compare, options):
    subprocess.run(["rm", "-rf", work + "/out"], check=True)
    done = subprocess.run([TIEOUT, "diff", "local.csv", "channel.csv", "--key=channel_code,biz_order_no", "--amount=amount",
                           "--compare=" + ",".join(compare), "--timezone=Asia/Shanghai", "--write-match", "--out=out", *options],
                          cwd=work, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("FAILED: exit %d\n%s\n%s" % (done.returncode, done.stdout, done.stderr))
    with open(work + "/out/stats.json") as file:
        read_once = json.load(file)["matches_read_once"]
    with open(work + "/out/match.csv", encoding="utf-8", newline="") as file:
        return file.read(), read_once


def main():
    runs = 0
    with tempfile.TemporaryDirectory() as work:
        for seed, count, orders, quotes in ((1, 12000, "near", True), (2, 12000, "any", True), (3, 40, "near", True), (4, 12000, "near", False),
                                            (5, 30000, "any", False), (6, 40, "near", False)):
            rng = random.Random(seed)
            rows = make_rows(rng, max(40, count // PART), quotes, OWN_SIZES[seed])
            sides = []
            for side, name in enumerate(("local.csv", "channel.csv")):
                own = list(rows)
                if orders == "any":
                    rng.shuffle(own)
                else:
                    own = [own[i] for i in sorted(range(len(own)), key=lambda i: (i + rng.randrange(300), i))]
                sides.append(write_side(work + "/" + name, own, side))
            for compare in (["status"], ["merchant_no", "status"], ["fee", "status"])[:3 if quotes else 2]:
                want, without_places = expected(rows, sides, compare)
                for options in (["--threads=1"], ["--threads=3"], ["--threads=2", "--match-memory=64KiB"]):
                    got, read_once = run(work, compare, options)
                    # Nearly all rows are taken while they are read where the job, the files and memory suit; none elsewhere.
                    is_once = options[-1] != "--match-memory=64KiB"
                    if read_once > len(rows) or read_once < (len(rows) * 9 // 10 if is_once else 0) or (read_once and not is_once):
                        sys.exit("FAILED: seed %d, %s, %s: %d of %d rows were taken while they were read" %
                                 (seed, compare, options, read_once, len(rows)))
                    runs += 1
                    if got != want:
                        for number, (a, b) in enumerate(zip(got.split("\n"), want.split("\n")), 1):
                            if a != b:
                                sys.exit("FAILED: seed %d, %s, %s: line %d\n got %s\nwant %s" % (seed, compare, options, number, a, b))
                        sys.exit("FAILED: seed %d, %s, %s: %d bytes, not %d" % (seed, compare, options, len(got), len(want)))
                    mine, told = digest(work + "/out", without_places)
                    if mine != told:
                        sys.exit("FAILED: seed %d, %s, %s: digest %s, not %s" % (seed, compare, options, told, mine))
    print("match.csv: %d files are what the contract says, byte by byte" % runs)


main()
