"""A DNS server that says what the test wants, or fails as the test wants."""
import random
import socket
import struct
import threading

A, CNAME, AAAA, SRV = 1, 5, 28, 33
NO_NAME, SERVER_FAILED, REFUSED = 3, 2, 5
TRUNCATED = 0x0200


def _name(text):
    labels = [label for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def _read_name(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels).lower(), at + 1


class Dns:
    """with Dns() as dns: dns.names["java.internal"] = ["127.0.0.2", "::1"] or a name, which is an
    alias; dns.services["_http._tcp.internal"] = [(priority, weight, port, target)].

    `ttl` is that of every record, or a dictionary by name. `fails` is what is done instead of an
    answer: NO_NAME, SERVER_FAILED, REFUSED, "silent", "garbage"; or a dictionary of that by type.
    Answers beyond 512 bytes come over TCP. `asked` counts the questions by (name, type)."""

    def __init__(self, address="127.0.0.1", port=53):
        self.names, self.services, self.ttl, self.fails, self.asked = {}, {}, 1, None, {}
        self.over_tcp = 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, port))
        self.tcp = socket.create_server((address, port))
        self.servers = f"{address}:{port}"

    def __enter__(self):
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        for sock in (self.udp, self.tcp):
            try:  # close(2) alone does not wake the thread
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _serve_udp(self):
        while True:
            try:
                question, client = self.udp.recvfrom(4096)
                if not question:
                    return
                answer = self._answer(question)
                if answer is not None and len(answer) > 512:
                    flags = struct.unpack_from("!H", answer, 2)[0] | TRUNCATED
                    answer = (answer[:2] + struct.pack("!HHHHH", flags, 1, 0, 0, 0)
                              + question[12:])
                if answer is not None:
                    self.udp.sendto(answer, client)
            except OSError:
                return

    def _serve_tcp(self):
        while True:
            try:
                sock, _ = self.tcp.accept()
                with sock:
                    sock.settimeout(5.0)
                    size = struct.unpack("!H", sock.recv(2, socket.MSG_WAITALL))[0]
                    answer = self._answer(sock.recv(size, socket.MSG_WAITALL))
                    self.over_tcp += 1
                    sock.sendall(struct.pack("!H", len(answer)) + answer)
            except (OSError, struct.error):
                if self.tcp.fileno() < 0:
                    return

    def _records(self, name, kind):
        """[(owner, type, data)] of an answer."""
        records = []
        values = self.names.get(name, [])
        while isinstance(values, str):
            records.append((name, CNAME, _name(values)))
            name, values = values, self.names.get(values, [])
        for value in values:
            family = AAAA if ":" in value else A
            if family == kind:
                records.append((name, kind, socket.inet_pton(
                    socket.AF_INET6 if family == AAAA else socket.AF_INET, value)))
        if kind == SRV:
            records += [(name, SRV, struct.pack("!HHH", *numbers) + _name(target))
                        for *numbers, target in self.services.get(name, [])]
        return records

    def _answer(self, question):
        """@return None: nothing is said"""
        name, at = _read_name(question, 12)
        kind = struct.unpack_from("!H", question, at)[0]
        self.asked[name, kind] = self.asked.get((name, kind), 0) + 1
        fails = self.fails.get(kind) if isinstance(self.fails, dict) else self.fails
        if fails == "silent":
            return None
        if fails == "garbage":
            return question[:2] + random.Random(name).randbytes(100)
        records = [] if fails else self._records(name, kind)
        known = name in self.names or name in self.services
        code = fails or (0 if known else NO_NAME)
        answer = question[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        answer += question[12:at + 4]
        for owner, record, data in records:
            ttl = self.ttl.get(owner, 300) if isinstance(self.ttl, dict) else self.ttl
            answer += _name(owner) + struct.pack("!HHIH", record, 1, ttl, len(data)) + data
        return answer
