"""Clients of the server under test. What they see is the oracle."""
import concurrent.futures
import os
import selectors
import socket
import struct
import threading
import time

from .waiting import PATIENCE, seconds

ECHO = ("127.0.0.1", 7000)
FAULT = ("127.0.0.1", 7001)  # config.FAULT


def connect(address=ECHO, limit=PATIENCE, source=None):
    """A connected socket with a time limit on every operation. A path means a unix socket;
    `source` is the own IP address, as any of 127.0.0.0/8."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(seconds(limit))
        sock.connect(address)
        return sock
    return socket.create_connection(address, timeout=seconds(limit),
                                    source_address=source and (source, 0))


def receive(sock, size):
    """Exactly so many bytes; EOFError when the server ends before."""
    parts = []
    while size > 0:
        part = sock.recv(min(size, 1 << 16))
        if not part:
            raise EOFError(f"end of file with {size} bytes missing")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def receive_all(sock):
    """Everything until the end of file."""
    parts = []
    while part := sock.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def ask(sock, data=b"hello\n"):
    """Send, and wait for as many bytes."""
    sock.sendall(data)
    return receive(sock, len(data))


def echoes(address=ECHO, data=b"hello\n", limit=PATIENCE):
    """One whole life of a connection; true when the bytes came back."""
    with connect(address, limit) as sock:
        return ask(sock, data) == data


def refuses(address=ECHO):
    """True when nobody listens there; a SYN without an answer is no refusal."""
    try:
        connect(address, 0.5).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except TimeoutError:
        pass
    return False


def reset(sock):
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def fill(sock):
    """Write until the other end, and everything on the way to it, takes no more."""
    sock.setblocking(False)
    quiet = time.monotonic()
    while time.monotonic() - quiet < 0.3:
        try:
            sock.send(b"x" * 65536)
            quiet = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
        except ConnectionError:
            break
    sock.settimeout(seconds(PATIENCE))


def is_ended(sock):
    """True when the server has closed or reset; waits for nothing."""
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(seconds(PATIENCE))


def is_reset(sock):
    """What was under way may still be read; then the reset, or an end is a lie."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


def at_once(count, act):
    """act(number) for so many numbers, each in a thread of its own. @return what each gave"""
    with concurrent.futures.ThreadPoolExecutor(count) as crew:
        return list(crew.map(act, range(count)))


def pattern(size, seed=0):
    """Bytes in which a lost, doubled or moved part shows."""
    return b"".join(struct.pack("<IQ", seed, i) for i in range(size // 12 + 1))[:size]


class Load:
    """Threads that connect, echo and close until told to end. Everything that did not go as it
    should is in `failures`; `completed` counts the rest and `slowest` is in seconds."""

    def __init__(self, address=ECHO, threads=4, size=512, pause=0.002):
        self.address, self.size, self.pause = address, size, pause
        self.completed, self.slowest, self.failures = 0, 0.0, []
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                         for i in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Every client finishes what it is at."""
        self._end.set()
        for thread in self.threads:
            thread.join(seconds(PATIENCE))
            assert not thread.is_alive(), "a client of the load never came back"

    def _run(self, seed):
        data = pattern(self.size, seed)
        while not self._end.wait(self.pause):
            began = time.monotonic()
            step = "connect"
            try:
                with connect(self.address) as sock:
                    step = "echo"
                    if ask(sock, data) != data:
                        raise AssertionError("other bytes came back")
            except (OSError, EOFError, AssertionError) as error:
                with self._lock:
                    self.failures.append(f"{step}: {type(error).__name__}: {error}")
                continue
            with self._lock:
                self.completed += 1
                self.slowest = max(self.slowest, time.monotonic() - began)


class Held:
    """Connections that stay open and prove at any time that they live."""

    def __init__(self, count, address=ECHO):
        self.socks = [connect(address) for _ in range(count)]
        self.prove_all()

    def prove_all(self):
        """Every connection echoes."""
        for number, sock in enumerate(self.socks):
            data = pattern(64, number)
            assert ask(sock, data) == data

    def living(self):
        return [sock for sock in self.socks if not is_ended(sock)]

    def lost(self):
        return len(self.socks) - len(self.living())

    def close(self):
        for sock in self.socks:
            sock.close()


def crowd(count, address=ECHO, limit=None):
    """So many clients at once; each says a word and waits for it to come back, for as long as one
    has PATIENCE or exactly so many seconds. @return (how many got it, seconds for all)"""
    limit = limit or seconds(PATIENCE)
    chooser, served, left = selectors.DefaultSelector(), 0, count
    began = time.monotonic()
    for _ in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(address)
        chooser.register(sock, selectors.EVENT_WRITE)
    while left and time.monotonic() - began < limit:
        for key, events in chooser.select(limit):
            try:
                if events & selectors.EVENT_WRITE:
                    key.fileobj.send(b"word")
                    chooser.modify(key.fileobj, selectors.EVENT_READ)
                    continue
                served += key.fileobj.recv(100) == b"word"
            except OSError:
                pass
            chooser.unregister(key.fileobj)
            key.fileobj.close()
            left -= 1
    for key in list(chooser.get_map().values()):
        key.fileobj.close()
    chooser.close()
    return served, time.monotonic() - began


def tcp_states(port=7000):
    """States of the server's sockets, from /proc/self/net/tcp: {"01": 3, "0A": 1}."""
    states = {}
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{os.getpid()}/net/{name}", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if int(fields[1].rsplit(":", 1)[1], 16) == port:
                    states[fields[3]] = states.get(fields[3], 0) + 1
    return states
