#!/usr/bin/env python3
"""tests/golden/read_samples.py CHANNELS: reads every sample of fixtures/channels/samples.txt by means of its own (csv, zipfile, gzip,
xml.etree, decimal; no code and no profile of tieout's) and holds what it finds against the sample's .expected file: every row and cell of it,
and of a sample that is refused the cause, found here too. What the formats mean is written down once more, on purpose, from their
descriptions. Prints count and sums of each; exit 1 when one differs.
"""
import csv
import gzip
import io
import re
import sys
import xml.etree.ElementTree as tree
import zipfile
from datetime import datetime, timedelta, timezone
from decimal import Decimal

UNIT = "2024-01-15"  # the bill date that channels.sh asks for: of rows without a time or a date of their own
CHINA = timezone(timedelta(hours=8))
ROOT = sys.argv[1] + "/"


class Refused(Exception):
    """Why a sample cannot be read: the texts that its .expected file must hold."""


def money(value):
    """At least the two decimals that all of these currencies have."""
    value = value.normalize() if value else Decimal(0)
    return f"{value:.2f}" if value == value.quantize(Decimal("0.01")) else f"{value:f}"


def row(kind, order, number, time, currency, amount, fee, status="SUCCESS", day=None):
    """`time`: a datetime with a zone, or None."""
    local = time.astimezone(CHINA) if time else None
    return [
        kind, order, number,
        day or (local.strftime("%Y-%m-%d") if local else UNIT),
        local.strftime("%Y-%m-%dT%H:%M:%S+08:00") if local else "",
        currency, money(amount), "" if fee is None else money(fee), status,
    ]


def naive(text, zone):
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)


def utf8_table(data, delimiter=","):
    lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter))
    return [dict(zip(lines[0], cells)) for cells in lines[1:] if cells]


# ---- Alipay ----

def alipay_entry(archive, ending):
    with zipfile.ZipFile(io.BytesIO(archive)) as z:
        for info in z.infolist():
            name = info.filename if info.flag_bits & 0x800 else info.filename.encode("cp437").decode("gb18030")
            if name.endswith(ending):
                return z.read(info).decode("gb18030")
    raise Refused([ending, "no entry of the zip archive matches"])


def alipay_rows(text):
    lines = text.replace("\r", "").split("\n")
    begin = next(i for i, line in enumerate(lines) if "明细列表---" in line and "结束" not in line)
    end = next(i for i, line in enumerate(lines) if "明细列表结束" in line)
    names = [cell.strip("\t ") for cell in lines[begin + 1].split(",")]
    return [dict(zip(names, [cell.strip("\t ") for cell in line.split(",")])) for line in lines[begin + 2:end]], lines


def alipay(data):
    found, lines = alipay_rows(alipay_entry(data, "业务明细.csv"))
    rows = []
    for r in found:
        is_refund = {"交易": False, "退款": True}[r["业务类型"]]
        rows.append(row("REFUND" if is_refund else "PAYMENT", r["退款批次号/请求号"] if is_refund else r["商户订单号"], r["支付宝交易号"],
                        naive(r["完成时间"], CHINA), "CNY", Decimal(r["订单金额（元）"]), Decimal(r["服务费（元）"])))
    for word, kind in (("#交易合计：", "PAYMENT"), ("#退款合计：", "REFUND")):
        line = next(x for x in lines if x.startswith(word))
        count, total = re.match(re.escape(word) + r"(\d+)笔，商家实收\D*共(-?[\d.]+)元", line).groups()
        received = [Decimal(r["商家实收（元）"]) for r in found if ({"交易": "PAYMENT", "退款": "REFUND"}[r["业务类型"]]) == kind]
        assert (len(received), sum(received)) == (int(count), Decimal(total)), line
    return rows


def alipay_fund(data):
    found, lines = alipay_rows(alipay_entry(data, "账务明细.csv"))
    rows, spent, earned = [], [], []
    for r in found:
        income, expense = Decimal(r["收入金额（+元）"] or 0), abs(Decimal(r["支出金额（-元）"] or 0))
        assert not (income and expense)
        spent += [expense] if expense else []
        earned += [income] if income else []
        rows.append(row(r["业务类型"], r["商户订单号"], r["账务流水号"], naive(r["发生时间"], CHINA), "CNY", income - expense, None))
    for word, values in (("#支出合计：", spent), ("#收入合计：", earned)):
        line = next(x for x in lines if x.startswith(word))
        count, total = re.match(re.escape(word) + r"(\d+)笔，共(-?[\d.]+)元", line).groups()
        assert (len(values), sum(values)) == (int(count), abs(Decimal(total))), line
    return rows


# ---- WeChat Pay: every value behind a backtick, so the separator is comma and backtick ----

def wechat_lines(data):
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    text = data.decode("utf-8-sig")
    if text.lstrip().startswith(("<", "{")):
        assert "No Bill Exist" in text or "NO_STATEMENT_EXIST" in text
        return [], {}
    lines = [line for line in text.replace("\r", "").split("\n") if line]
    names, titles = lines[0].split(","), lines[-2].split(",")
    values = [value.lstrip("`") for value in lines[-1].split(",")]
    return [dict(zip(names, line[1:].split(",`"))) for line in lines[1:-2]], dict(zip(titles, values))


def wechat(data):
    found, totals = wechat_lines(data)
    if totals and int(totals["总交易单数"]) != len(found):
        raise Refused([f"总交易单数 = {totals['总交易单数']}, its rows give {len(found)}"])
    for title, column in (("订单总金额", "订单金额"), ("退款总金额", "退款金额"), ("申请退款总金额", "申请退款金额"), ("手续费总金额", "手续费")):
        if title in totals:
            assert Decimal(totals[title]) == sum(Decimal(r.get(column) or 0) for r in found), title
    rows = []
    for r in found:
        fee = -Decimal(r["手续费"])
        if r["交易状态"] == "SUCCESS":
            rows.append(row("PAYMENT", r["商户订单号"], r["微信订单号"], naive(r["交易时间"], CHINA), r["货币种类"], Decimal(r["订单金额"]), fee))
            continue
        assert r["交易状态"] == "REFUND"
        time = r.get("退款成功时间") or r["交易时间"]
        rows.append(row("REFUND", r["商户退款单号"], r["微信退款单号"], naive(time, CHINA), r["货币种类"], -Decimal(r["申请退款金额"]), fee,
                        r["退款状态"]))
    return rows


def wechat_fund(data):
    found, totals = wechat_lines(data)
    if int(totals["资金流水总笔数"]) != len(found):
        raise Refused([f"资金流水总笔数 = {totals['资金流水总笔数']}, its rows give {len(found)}"])
    raise AssertionError("the sample states a row that it does not have")


# ---- UnionPay: bytes of GBK text, one blank between columns ----

ZM = [3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15, 1, 15, 32, 13, 13, 8, 32, 13, 13, 12, 2, 1,
      32, 98]
ZME = [3, 11, 11, 6, 10, 19, 12, 4, 2, 2, 6, 10, 4, 12, 13, 13, 15, 15, 1, 12, 2, 135]


def fixed(line, widths):
    assert len(line) == sum(widths) + len(widths) - 1, len(line)
    cells, at = [], 0
    for width in widths:
        cells.append(line[at:at + width].decode("gbk").strip())
        at += width + 1
    return cells


def marked(text):
    """C000000000030: credit of the merchant, in fen."""
    if text.strip("0") == "":
        return Decimal(0)
    return Decimal({"C": 1, "D": -1}[text[0]]) * Decimal(text[1:]) / 100


def no_year(text, name):
    """MMDDhhmmss, in the year that brings it nearest to the yymmdd of the file's name."""
    day = datetime.strptime(re.search(r"INN(\d{6})", name).group(1), "%y%m%d")
    times = [datetime.strptime(f"{year}{text}", "%Y%m%d%H%M%S") for year in (day.year - 1, day.year, day.year + 1)]
    return min(times, key=lambda t: abs((t.date() - day.date()).days)).replace(tzinfo=CHINA)


def unionpay_lines(data, path, kind):
    if data[:2] != b"PK":
        return data, path
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        name, = [n for n in z.namelist() if kind + "_" in n]
        return z.read(name), name


def unionpay_zm(data, path):
    data, name = unionpay_lines(data, path, "88ZM")
    rows = []
    for line in data.split(b"\r\n"):
        if not line:
            continue
        c = fixed(line, ZM)
        kind, sign = {"01": ("PAYMENT", 1), "04": ("REFUND", -1)}[c[19]]
        amount, fee = sign * Decimal(c[6]) / 100, marked(c[15])
        assert marked(c[16]) == amount + fee, c  # what is settled
        rows.append(row(kind, c[11], c[9], no_year(c[4], name), "CNY", amount, fee))
    return rows


def unionpay_zme(data, path):
    data, name = unionpay_lines(data, path, "88ZME")
    kinds = {"E74": "REFUND", "E84": "REFUND", "E23": "CHARGEBACK", "E32": "CREDIT_ADJUSTMENT", "E24": "SECOND_CLAIM"}
    rows = []
    for line in data.split(b"\r\n"):
        if not line:
            continue
        c = fixed(line, ZME)
        fee, settled = marked(c[14]), marked(c[15])
        amount = settled - fee
        assert abs(amount) == Decimal(c[6]) / 100, c
        rows.append(row(kinds[c[0]], c[10], c[3], no_year(c[4], name), "CNY", amount, fee))
    return rows


# ---- elsewhere ----

def stripe(data):
    kinds = {"charge": "PAYMENT", "refund": "REFUND"}
    rows, total = [], Decimal(0)
    for r in utf8_table(data):
        time = r["created_utc"] if "created_utc" in r else r["created"]
        assert Decimal(r["net"]) == Decimal(r["gross"]) - Decimal(r["fee"])
        total += Decimal(r["net"])
        rows.append(row(kinds.get(r["reporting_category"], r["reporting_category"]), r["source_id"], r["source_id"], naive(time, timezone.utc),
                        r["currency"].upper(), Decimal(r["gross"]), -Decimal(r["fee"])))
    assert total == 0  # the payout is minus the sum of the others
    return rows


def paypal(data):
    rows, names, count = [], [], 0
    for cells in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")):
        if cells[0] == "CH":
            names = cells
        if cells[0] in ("SC", "FF", "RC"):
            assert int(cells[1]) == count
        if cells[0] != "SB":
            continue
        count += 1
        r = dict(zip(names, cells))
        code = r["Transaction Event Code"]
        kind = "PAYMENT" if code.startswith("T00") else "REFUND" if code == "T1107" else code
        signed = lambda amount, mark: Decimal(r[amount] or 0) / 100 * {"CR": 1, "DR": -1, "": 1}[r[mark]]
        fee = signed("Fee Amount", "Fee Debit or Credit") if r["Fee Amount"] else None
        rows.append(row(kind, r["Invoice ID"] if kind in ("PAYMENT", "REFUND") else r["Transaction ID"], r["Transaction ID"],
                        datetime.strptime(r["Transaction Completion Date"], "%Y/%m/%d %H:%M:%S %z"), r["Gross Transaction Currency"],
                        signed("Gross Transaction Amount", "Transaction Debit or Credit"), fee))
    return rows


def adyen(data):
    zones = {"CET": 1, "CEST": 2}
    rows, total = [], Decimal(0)
    number = lambda text: Decimal(text or 0)
    for r in utf8_table(data):
        gross = number(r["Gross Credit (GC)"]) - number(r["Gross Debit (GC)"])
        net = number(r["Net Credit (NC)"]) - number(r["Net Debit (NC)"])
        total += net
        fees = [r[c] for c in ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)") if r[c]]
        fee = -sum(map(Decimal, fees)) if fees and r["Gross Currency"] == r["Net Currency"] else None
        time = naive(r["Creation Date"], timezone(timedelta(hours=zones[r["TimeZone"]])))
        if r["Type"] == "Settled":
            rows.append(row("PAYMENT", r["Merchant Reference"], r["Psp Reference"], time, r["Gross Currency"], gross, fee))
        elif r["Type"] == "Refunded":
            rows.append(row("REFUND", r["Modification Merchant Reference"], r["Modification Reference"], time, r["Gross Currency"], gross, fee))
        else:
            rows.append(row(r["Type"], r["Psp Reference"], r["Psp Reference"], time, r["Net Currency"], net, None))
    assert total == 0  # a batch with its payout
    return rows


def shopify(data):
    return [row(r["Type"], r["Order"], r["Checkout"], datetime.strptime(r["Transaction Date"], "%Y-%m-%d %H:%M:%S %z"), r["Currency"],
                Decimal(r["Amount"]), Decimal(r["Net"]) - Decimal(r["Amount"])) for r in utf8_table(data)]


def square(data):
    dollars = lambda text: Decimal(text.replace("$", "").replace(",", ""))
    rows = []
    for r in utf8_table(data):
        assert dollars(r["Total Collected"]) + dollars(r["Fees"]) == dollars(r["Net Total"]) and r["Transaction Status"] == "Complete"
        rows.append(row({"Payment": "PAYMENT", "Refund": "REFUND"}[r["Event Type"]], r["Payment ID"], r["Transaction ID"], None, "USD",
                        dollars(r["Total Collected"]), dollars(r["Fees"]), day=r["Date"]))
    return rows


def simple(data):
    return [row("", r["order_no"], r["txn"], datetime.strptime(r["paid_at"], "%Y-%m-%dT%H:%M:%S%z"), r["currency"],
                Decimal(r["amount"].replace(",", "")), None, {"paid": "SUCCESS", "refunded": "REFUNDED"}[r["status"]]) for r in utf8_table(data)]


def chinaums(data):
    lines = [line.split("\t") for line in data.decode("utf-8").replace("\r", "").split("\n")]
    begin = next(i for i, cells in enumerate(lines) if cells[0] == "清算日期")
    rows, sums = [], [0, Decimal(0), Decimal(0), Decimal(0)]
    for cells in lines[begin + 1:]:
        if re.fullmatch(r"\d{8}", cells[0]):
            r = dict(zip(lines[begin], cells))
            amount, settled, fee = (Decimal(r[name]) for name in ("交易金额", "清算金额", "手续费"))
            assert amount - fee == settled
            sums = [sums[0] + 1, sums[1] + amount, sums[2] + settled, sums[3] + fee]
            day = f"{cells[0][:4]}-{cells[0][4:6]}-{cells[0][6:]}"
            rows.append(row("PAYMENT", r["参考号"], r["流水号"], None, "CNY", amount, -fee, day=day))
        elif cells[0].startswith("总笔数"):
            assert [Decimal(cells[i]) for i in (1, 3, 6, 9)] == sums
            return rows
    raise AssertionError("no totals")


def nacha(data):
    text = data.decode("ascii")
    lines = text.rstrip("\n").replace("\r", "").split("\n")
    if len(lines) == 1:
        lines = [text[i:i + 94] for i in range(0, len(text) - 93, 94)]
    short = [line for line in lines if len(line) != 94]
    if short:
        raise Refused([f"{len(short)} of {len(short) + sum(line[0] == '6' for line in lines)} rows cannot be read"])
    rows, sums = [], {1: 0, -1: 0}
    for line in lines:
        if line[0] == "6":
            sign = 1 if line[2] in "6789" else -1  # drawn from the receiver, or paid to him
            sums[sign] += int(line[29:39])
            rows.append(row(line[1:3], line[79:94].strip(), line[39:54].strip(), None, "USD", sign * Decimal(line[29:39]) / 100, None))
        if line[0] == "9" and line.strip("9"):
            assert (sums[1], sums[-1]) == (int(line[31:43]), int(line[43:55]))
    return rows


def camt(data):
    root = tree.fromstring(data)
    name = lambda element: element.tag.rsplit("}", 1)[-1]
    def at(element, *path):
        for step in path:
            element = next((child for child in element if name(child) == step), None)
            if element is None:
                return None
        return element
    text = lambda element: (element.text or "").strip() if element is not None else ""
    rows = []
    for entry in (e for e in root.iter() if name(e) == "Ntry"):
        amount = at(entry, "Amt")
        sign = {"CRDT": 1, "DBIT": -1}[text(at(entry, "CdtDbtInd"))]
        assert text(at(entry, "Sts")) == "BOOK"
        code = at(entry, "BkTxCd")
        kind = text(at(code, "Prtry", "Cd")) or text(at(code, "Domn", "Cd"))
        ends = {text(e) for e in entry.iter() if name(e) == "EndToEndId"} - {"NOTPROVIDED", ""}
        day = text(at(entry, "BookgDt", "Dt")) or text(at(entry, "BookgDt", "DtTm"))[:10]
        rows.append(row(kind, ends.pop() if len(ends) == 1 else "", text(at(entry, "AcctSvcrRef")), None, amount.get("Ccy"),
                        sign * Decimal(text(amount)), None, day=day))
    return rows


ENTRY = re.compile(r":61:(\d{6})(\d{4})?(R?[CD])([A-Z])?(\d+,\d*)([NFS].{3})([^/\n]*)(?://([^\n]*))?")


def mt940(data):
    text = data.decode("latin-1").replace("\r", "")
    number = lambda t: Decimal(t.replace(",", "."))
    rows, foreign, opening, currency, total = [], 0, None, "", Decimal(0)
    for line in text.split("\n"):
        balance = re.match(r":6([02])[FM]:([CD])(\d{6})([A-Z]{3})([\d,]+)", line)
        if balance:
            value = number(balance.group(5)) * {"C": 1, "D": -1}[balance.group(2)]
            if balance.group(1) == "0":
                if opening is not None:
                    raise Refused(["has no closing balance"])
                opening, currency, total = value, balance.group(4), Decimal(0)
            else:
                if opening + total != value:
                    raise Refused([f"the closing balance is {currency} {value}, opening and entries give {currency} {opening + total}"])
                opening = None
        entry = ENTRY.match(line)
        if entry:
            date, booked, mark, _, amount, kind, reference, bank = entry.groups()
            # The day of booking has no year: one that is 11 months off is of the year beside. (The value date may be 30 February.)
            year, months = 2000 + int(date[:2]), int((booked or date[2:])[:2]) - int(date[2:4])
            year += (months < -6) - (months > 6)
            day = f"{year}-{(booked or date[2:])[:2]}-{(booked or date[2:])[2:]}"
            value = number(amount) * {"C": 1, "D": -1, "RC": -1, "RD": 1}[mark]
            total += value
            foreign += currency == "DEM"  # is no currency any more
            reference = reference.strip()
            rows.append(row(kind, "" if reference == "NONREF" else reference, (bank or "").strip(), None, currency, value, None, day=day))
    if opening is not None:
        raise Refused(["has no closing balance"])
    if foreign:
        raise Refused([f"{foreign} of {len(rows)} rows cannot be read"])
    return rows


def bai2(data):
    """Records joined with their continuations; every trailer's sum and number of lines."""
    records = []
    for line in data.decode("ascii").replace("\r", "").split("\n"):
        line = line.rstrip()
        if not line:
            continue
        ended, body = line.endswith("/"), line.rstrip("/") if line.endswith("/") else line
        if body[:2] == "88":
            records[-1][0] += ("," if records[-1][1] else " ") + body[3:]
            records[-1][2] += 1
        else:
            records.append([body, ended, 1])
        records[-1][1] = ended
    rows, sums, lines, currency = [], [0, 0, 0], [0, 0, 0], ""
    for text, _, count in records:
        f = text.split(",")
        lines = [n + count for n in lines]
        if f[0] in ("01", "02", "03"):
            level = int(f[0]) - 1
            sums[level], lines[level] = 0, count
        if f[0] == "02":
            day, group_currency = f"20{f[4][:2]}-{f[4][2:4]}-{f[4][4:]}", f[6]
        def behind(i):
            """Past the fields of a funds type."""
            kind = f[i] if i < len(f) else ""
            return i + ({"S": 4, "V": 3}.get(kind, 1) if kind != "D" else 2 + 2 * int(f[i + 1]))
        if f[0] == "03":
            currency, i = f[2] or group_currency or "CNY", 3  # or the job's
            while i < len(f):
                sums[2] += int(f[i + 1] or 0)
                i = behind(i + 3)
        if f[0] == "16":
            bank = behind(3)
            sign = 1 if 100 <= int(f[1]) <= 399 else -1
            assert sign == 1 or 400 <= int(f[1]) <= 699
            sums[2] += int(f[2])
            rows.append(row(f[1], f[bank + 1], f[bank], None, currency, sign * Decimal(f[2]) / 100, None, day=day))
        if f[0] in ("49", "98", "99"):
            level = {"49": 2, "98": 1, "99": 0}[f[0]]
            assert (int(f[1]), int(f[-1])) == (sums[level], lines[level]), text
            if level:
                sums[level - 1] += sums[level]
    return rows


READERS = {
    "alipay": alipay, "alipay-fund": alipay_fund, "wechat-tradebill": wechat, "wechat-fundflow": wechat_fund, "unionpay-zm": unionpay_zm,
    "unionpay-zme": unionpay_zme, "stripe": stripe, "paypal": paypal, "adyen": adyen, "camt053": camt, "mt940": mt940, "bai2": bai2,
    "own/shopify.yaml": shopify, "own/square.yaml": square, "own/simple.yaml": simple, "own/chinaums.yaml": chinaums, "own/nacha.yaml": nacha,
    "own/nacha-endless.yaml": nacha,
}


def check(profile, path, expected):
    with open(ROOT + path.split("!")[0], "rb") as file:
        data = file.read()
    with open(ROOT + expected, encoding="utf-8") as file:
        want = file.read()
    reader = READERS[profile]
    try:
        rows = reader(data, path) if profile.startswith("unionpay") else reader(data)
    except Refused as why:
        missing = [text for text in why.args[0] if text not in want]
        return f"refused: {why.args[0][-1]}", missing and f"not said: {missing}"
    wanted = [line.split("\t") for line in want.splitlines()]
    sums = {}
    for r in rows:
        sums[r[5]] = sums.get(r[5], Decimal(0)) + Decimal(r[6])
    told = f"{len(rows)} rows" + "".join(f", {c} {money(v)}" for c, v in sorted(sums.items()))
    if sorted(rows) == sorted(wanted):
        return told, None
    differ = [f"found here: {r}" for r in rows if r not in wanted] + [f"expected:   {r}" for r in wanted if r not in rows]
    return told, "\n  ".join(differ) or "rows stand there more than once"


def main():
    wrong = 0
    with open(ROOT + "samples.txt", encoding="utf-8") as file:
        for line in file:
            profile, path, expected = line.split()[:3]
            told, difference = check(profile, path, expected)
            print("WRONG" if difference else "ok", profile, path, told)
            if difference:
                print(" ", difference)
                wrong = 1
    return wrong


sys.exit(main())
