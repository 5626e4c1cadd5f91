"""tests/live/wire_proxy.py SOCKET PLAN LOG: stands between a capture and a real server, and spoils what passes, as a bad network or a
hostile server would.

Listens on a port of 127.0.0.1, which it prints. Each connection takes the first line off PLAN (pass when there is none):
  pass             nothing is changed
  reset N          the connection is reset after N bytes of the binlog stream
  half N           it ends in the middle of a packet
  stall N          after N bytes nothing comes any more, for a minute
  error N C TEXT   after N packets of the stream: an error packet with code C
  lie N            after N packets: a header that claims 16 MiB, 10 bytes, and the end
  infile           the answer to the first statement asks for a local file
What a client sent after `infile` goes to LOG.
"""
import os
import socket
import struct
import sys
import threading
import time


def take(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def packet(sock):
    head = take(sock, 4)
    return head, take(sock, int.from_bytes(head[:3], "little"))


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.shutdown(socket.SHUT_RD)  # whoever waits for it lets go of it, so that closing it is the end
    time.sleep(0.02)
    sock.close()


def serve(client, path, plan, log):
    words = plan.split()
    mode, count = words[0], int(words[1]) if len(words) > 1 else 0
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    dumping = threading.Event()
    spoiled = threading.Event()

    def upstream():
        try:
            while True:
                head, body = packet(client)
                if spoiled.is_set():
                    with open(log, "ab") as out:
                        out.write(body)
                    client.shutdown(socket.SHUT_RDWR)
                    raise EOFError
                if body[:1] in (b"\x12", b"\x1e"):
                    dumping.set()
                if mode == "infile" and body[:1] == b"\x03":
                    spoiled.set()
                    client.sendall(b"\x0c\x00\x00" + bytes([head[3] + 1]) + b"\xfb/etc/passwd")
                    continue
                server.sendall(head + body)
        except (EOFError, OSError):
            server.close()

    threading.Thread(target=upstream, daemon=True).start()
    size = packets = 0
    try:
        while True:
            head, body = packet(server)
            if spoiled.is_set():
                continue
            whole = head + body
            if dumping.is_set() and mode in ("reset", "half", "stall") and size + len(whole) > count:
                client.sendall(whole[: max(0, count - size)])
                if mode == "reset":
                    time.sleep(0.02)
                    reset(client)
                elif mode == "stall":
                    time.sleep(60)
                break
            if dumping.is_set() and mode in ("error", "lie") and packets == count:
                if mode == "error":
                    text = " ".join(words[3:]).encode()
                    body = b"\xff" + struct.pack("<H", int(words[2])) + b"#HY000" + text
                    client.sendall(len(body).to_bytes(3, "little") + head[3:] + body)
                else:
                    client.sendall(b"\xff\xff\xff" + head[3:] + b"0123456789")
                break
            client.sendall(whole)
            if dumping.is_set():
                size += len(whole)
                packets += 1
    except (EOFError, OSError):
        pass
    for sock in (client, server):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        sock.close()


def main():
    path, plan_path, log = sys.argv[1:4]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        lines = []
        if os.path.exists(plan_path):
            with open(plan_path) as plan_file:
                lines = plan_file.read().splitlines()
            with open(plan_path, "w") as plan_file:
                plan_file.write("".join(line + "\n" for line in lines[1:]))
        threading.Thread(target=serve, args=(client, path, lines[0] if lines else "pass", log), daemon=True).start()


main()
