#!/usr/bin/env python3
"""tests/push/peers.py http|nsq LOG [CERT KEY]: a server on a loopback port that takes errors and misbehaves on request.

Prints its port. Every message that it took is a line of LOG: id or topic, TAB, body. http: the path says how it behaves. nsq: the
topic does; the protocol is read strictly, and what breaks it is a line "BROKEN why".
"""
import hashlib
import hmac
import http.server
import json
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time

log = open(sys.argv[2], "a", buffering=1, encoding="utf-8", errors="surrogateescape")
lock = threading.Lock()
seen = {}
SECRET = b"hook-secret"


def note(*words):
    with lock:
        log.write("\t".join(words) + "\n")


def times(what):
    with lock:
        seen[what] = seen.get(what, 0) + 1
        return seen[what]


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits for a delayed ACK

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path, _, query = self.path.partition("?")
        what = path.strip("/").split("/")[0]
        ident = self.headers.get("Tieout-Id", "-")
        text = body.decode("utf-8", "surrogateescape")
        if what in ("pub", "mpub"):
            return self.nsq(what, query, body)
        if what == "hang":
            time.sleep(30)
            return None
        if what == "drop":  # taken, and the answer is lost
            note("took", ident, text)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        if what == "droponce" and times(ident) == 1:
            note("took", ident, text)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        if what == "half":
            note("took", ident, text)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"code\":")
            self.close_connection = True
            return None
        if what == "status":
            status = int(path.split("/")[2])
            extra = {"Retry_After": path.split("/")[3]} if path.count("/") > 2 else {}
            return self.answer(status, b"no\x1b[31m", **extra)
        if what == "busyonce" and times(ident) == 1:
            return self.answer(429, b"slow down", Retry_After="1")
        if what == "noend" and json.loads(text)["kind"] == "reversal" and not os.path.exists(sys.argv[2] + ".open"):
            return self.answer(503, b"later")
        if what == "poison" and "POISON" in text:
            return self.answer(422, b"cannot read this")
        if what == "here":
            return self.answer(307, Location="/ok")
        if what == "elsewhere":
            return self.answer(301, Location=f"http://127.0.0.1:{port + 1}/ok")
        if what == "code":
            return self.answer(200, json.dumps({"data": {"code": int(path.split("/")[2])}}).encode())
        if what == "signed":
            stamp = self.headers.get("Tieout-Timestamp", "")
            want = "v1=" + hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            good = self.headers.get("Tieout-Signature") == want and abs(time.time() - int(stamp)) < 60
            good = good and self.headers.get("Idempotency-Key") == ident and len(ident) == 64
            if not good:
                return self.answer(401, b"wrong signature")
        if what == "lark":
            said = json.loads(text)
            import base64
            want = base64.b64encode(hmac.new(f"{said['timestamp']}\n{SECRET.decode()}".encode(), b"", hashlib.sha256).digest()).decode()
            if said["sign"] != want or said["msg_type"] != "text":
                return self.answer(200, b'{"code":19021,"msg":"sign match fail"}')
            note("took", "lark", said["content"]["text"])
            return self.answer(200, b'{"code":0}')
        if what == "dingtalk":
            import base64
            import urllib.parse
            given = dict(urllib.parse.parse_qsl(query))
            want = base64.b64encode(hmac.new(SECRET, f"{given['timestamp']}\n{SECRET.decode()}".encode(), hashlib.sha256).digest()).decode()
            if given["sign"] != want:
                return self.answer(200, b'{"errcode":310000}')
            note("took", "dingtalk", json.loads(text)["text"]["content"])
            return self.answer(200, b'{"errcode":0}')
        if what == "slack":
            note("took", "slack", json.loads(text)["text"])
            return self.answer(200, b"ok")
        if what == "gate":  # answered when the file LOG.open is there; LOG.came says that it waits
            open(sys.argv[2] + ".came", "w").close()
            while not os.path.exists(sys.argv[2] + ".open"):
                time.sleep(0.02)
        note("took", ident, text)
        return self.answer(200, b"{\"code\":0}")

    def nsq(self, what, query, body):
        given = dict(part.split("=") for part in query.split("&"))
        if given["topic"] == "down":
            return self.answer(503, b"{\"message\":\"EXITING\"}")
        if given["topic"] == "bad":
            return self.answer(400, b"{\"message\":\"INVALID_TOPIC\"}")
        messages = [body]
        if what == "mpub":
            count, at, messages = struct.unpack(">I", body[:4])[0], 4, []
            for _ in range(count):
                size = struct.unpack(">I", body[at:at + 4])[0]
                messages.append(body[at + 4:at + 4 + size])
                at += 4 + size
            if at != len(body):
                note("BROKEN", "mpub body")
        if given["topic"] == "small" and any(len(m) > 300 for m in messages):
            return self.answer(413, b"{\"message\":\"MSG_TOO_BIG\"}")
        for m in messages:
            note("took", given["topic"], m.decode())
        return self.answer(200, b"OK")


class Nsqd(socketserver.StreamRequestHandler):
    def frame(self, kind, data, pieces=False):
        out = struct.pack(">II", len(data) + 4, kind) + data
        if not pieces:
            return self.wfile.write(out)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(out)):
            self.wfile.write(out[i:i + 1])
            self.wfile.flush()
            time.sleep(0.001)
        return None

    def number(self):
        return struct.unpack(">I", self.rfile.read(4))[0]

    def handle(self):
        try:
            self.serve()
        except (ConnectionError, struct.error, BrokenPipeError):
            pass

    def serve(self):
        magic = self.rfile.read(4)
        if magic != b"  V2":
            return note("BROKEN", f"magic {magic!r}") if magic else None
        if self.rfile.readline() != b"IDENTIFY\n":
            return note("BROKEN", "no IDENTIFY")
        said = json.loads(self.rfile.read(self.number()))
        if not said["feature_negotiation"] or said["user_agent"][:7] != "tieout/":
            note("BROKEN", "IDENTIFY")
        self.frame(0, json.dumps({"max_rdy_count": 2500, "version": "1.2.1", "auth_required": False}).encode().replace(b": ", b":"))
        while True:
            line = self.rfile.readline()
            if not line:
                return None
            words = line.decode().split()
            if words == ["NOP"]:
                note("NOP")
                continue
            if words[0] not in ("PUB", "MPUB") or len(words) != 2:
                return note("BROKEN", f"command {line!r}")
            size = self.number()
            if words[0] == "PUB":
                messages = [self.rfile.read(size)]
            else:
                count, left, messages = self.number(), size - 4, []
                for _ in range(count):
                    n = self.number()
                    messages.append(self.rfile.read(n))
                    left -= 4 + n
                if left:
                    note("BROKEN", f"{left} bytes left in MPUB")
            topic = words[1]
            if topic == "bad":
                return self.frame(1, b"E_BAD_TOPIC PUB topic name \"bad\" is not valid")
            if topic == "halfway" and words[0] == "MPUB" and times("halfway") == 1:
                note("took", topic, messages[0].decode())  # some of it got in
                return self.frame(1, b"E_MPUB_FAILED MPUB failed exiting")
            if topic == "huge":
                self.wfile.write(struct.pack(">II", 1 << 31, 0) + b"x" * 100)
                return None
            if topic == "hang":
                time.sleep(30)
                return None
            if topic == "drop":
                for m in messages:
                    note("took", topic, m.decode())
                return None
            if topic == "poison" and any(b"POISON" in m for m in messages):
                return self.frame(1, b"E_BAD_MESSAGE MPUB message too big")
            if topic == "heartbeat":
                self.frame(0, b"_heartbeat_")
                if self.rfile.readline() != b"NOP\n":
                    return note("BROKEN", "a heartbeat without NOP")
            for m in messages:
                note("took", topic, m.decode("utf-8", "surrogateescape"))
            self.frame(0, b"OK", topic == "pieces")


class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


class Web(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


wanted = int(os.environ.get("PEER_PORT", "0"))
server = Web(("127.0.0.1", wanted), Hook) if sys.argv[1] == "http" else Threads(("127.0.0.1", wanted), Nsqd)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
port = server.server_address[1]
print(port, flush=True)
server.serve_forever()
