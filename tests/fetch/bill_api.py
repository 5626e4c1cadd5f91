"""tests/fetch/bill_api.py FOLDER: the bill APIs of Alipay and WeChat Pay, as far as a bill's download goes.

Checks every signature with openssl against FOLDER/app.pub; signs what Alipay signs with FOLDER/alipay.key. Serves
FOLDER/bill.csv. The date says what happens: 2026-11-19 there is a bill, 2026-11-20 there is none, 2026-11-21 it comes at the
second try, 2026-11-22 its checksum (WeChat) or the answer's signature (Alipay) is wrong. Prints its port.
"""
import base64, gzip, hashlib, http.server, io, json, re, subprocess, sys, time, urllib.parse, zipfile

folder = sys.argv[1]
bill = open(folder + "/bill.csv", "rb").read()
asked = {}
nonces = set()


def verified(text, signature):
    open(folder + "/api.sig", "wb").write(base64.b64decode(signature))
    return subprocess.run(["openssl", "dgst", "-sha256", "-verify", folder + "/app.pub", "-signature", folder + "/api.sig"],
                          input=text, capture_output=True).returncode == 0


def times(what):
    asked[what] = asked.get(what, 0) + 1
    return asked[what]


class Api(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def answer(self, status, body, kind="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # Alipay: one gateway, form parameters.
    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        sign = form.pop("sign", "")
        text = "&".join(f"{k}={form[k]}" for k in sorted(form)).encode()
        date = json.loads(form["biz_content"])["bill_date"]
        if form["app_id"] != "2021001" or form["sign_type"] != "RSA2" or not verified(text, sign):
            inner = {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-signature", "sub_msg": "验签出错"}
        elif date == "2026-11-20":
            inner = {"code": "40004", "msg": "Business Failed", "sub_code": "isp.bill_not_exist", "sub_msg": "账单不存在"}
        elif date == "2026-11-21" and times("alipay") == 1:
            inner = {"code": "20000", "msg": "Service Currently Unavailable", "sub_code": "isp.unknow-error", "sub_msg": "系统繁忙"}
        else:
            inner = {"code": "10000", "msg": "Success",
                     "bill_download_url": f"http://127.0.0.1:{port}/alipay?downloadFileName=2088_{date.replace('-', '')}.csv.zip&token=t0"}
        text = json.dumps(inner, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/").encode()
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", folder + ("/app.key" if date == "2026-11-22" else "/alipay.key")],
                                input=text, capture_output=True).stdout
        self.answer(200, b'{"alipay_data_dataservice_bill_downloadurl_query_response":' + text + b',"sign":"' + base64.b64encode(signed) + b'"}')

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/alipay":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("2088_业务明细.csv", bill)
            return self.answer(200 if query.get("token") == "t0" else 403, packed.getvalue(), "application/zip")
        # WeChat Pay: each request carries its signature.
        found = re.match(r'WECHATPAY2-SHA256-RSA2048 mchid="(\w+)",nonce_str="(\w+)",signature="([^"]+)",timestamp="(\d+)",serial_no="(\w+)"$',
                         self.headers.get("Authorization", ""))
        if not found:
            return self.answer(401, {"code": "SIGN_ERROR", "message": "no signature"})
        mchid, nonce, signature, timestamp, serial = found.groups()
        fresh = nonce not in nonces and abs(time.time() - int(timestamp)) < 300
        nonces.add(nonce)
        if mchid != "1900001" or serial != "3A5B" or not fresh or not verified(f"GET\n{self.path}\n{timestamp}\n{nonce}\n\n".encode(), signature):
            return self.answer(401, {"code": "SIGN_ERROR", "message": "wrong signature"})
        if url.path == "/download":
            return self.answer(200, gzip.compress(bill), "application/octet-stream")
        date = query["bill_date"]
        if date == "2026-11-20":
            return self.answer(400, {"code": "NO_STATEMENT_EXIST", "message": "账单文件不存在"})
        if date == "2026-11-21" and times("wechat") == 1:
            return self.answer(400, {"code": "STATEMENT_CREATING", "message": "账单文件正在生成中"})
        digest = "0" * 40 if date == "2026-11-22" else hashlib.sha1(bill).hexdigest()
        self.answer(200, {"hash_type": "SHA1", "hash_value": digest, "download_url": f"http://127.0.0.1:{port}/download?token=t1&type={query['bill_type']}"})


server = http.server.HTTPServer(("127.0.0.1", 0), Api)
port = server.server_address[1]
print(port, flush=True)
server.serve_forever()
