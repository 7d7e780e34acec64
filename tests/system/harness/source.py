"""Clients from many addresses: all of 10.9.0.0/16 and 2001:db8::/32 are this host's own, without an
interface for each. Call own_networks() first, inside the test's network namespace."""
import contextlib
import socket
import subprocess
import threading
import time

from . import client
from .waiting import PATIENCE, seconds

SERVER = ("10.9.0.1", 7000)
SERVER6 = ("2001:db8::1", 7000)
IP_FREEBIND, IPV6_FREEBIND = 15, 78
SERVED, REFUSED = "served", "refused"


def own_networks():
    subprocess.run(["ip", "route", "add", "local", "10.9.0.0/16", "dev", "lo"], check=True)
    subprocess.run(["ip", "-6", "route", "add", "local", "2001:db8::/32", "dev", "lo"], check=True)


def knock(source, address=SERVER, limit=PATIENCE):
    """A connected socket; the server may have reset it already."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(seconds(limit))
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    sock.bind((source, 0))
    with contextlib.suppress(ConnectionResetError):
        sock.connect(address)
    return sock


def verdict(sock):
    """Is it served? A client that is neither served nor refused ends the test by its time limit. A
    clean end would say that something was read."""
    try:
        assert client.ask(sock) == b"hello\n"
        return SERVED
    except OSError as error:
        assert not isinstance(error, TimeoutError), "accepted and left hanging"
        return REFUSED


def try_many(source, count, address=SERVER):
    """So many connections one after the other. @return those that are served, still open"""
    held = []
    for _ in range(count):
        sock = knock(source, address)
        if verdict(sock) == SERVED:
            held.append(sock)
        else:
            sock.close()
    return held


def is_served(source, address=SERVER):
    """One whole connection."""
    with knock(source, address) as sock:
        return verdict(sock) == SERVED


def close_all(socks):
    for sock in socks:
        sock.close()


class Visitors:
    """with Visitors(sources): a thread for each source, one short connection after the other."""

    def __init__(self, sources, address=SERVER, pause=0.01, data=b"hello\n"):
        self.address, self.pause, self.data = address, pause, data
        self.served, self.failures, self.slowest = 0, [], 0.0
        self._end, self._lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(source,), daemon=True)
                        for source in sources]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self.threads:
            thread.join(seconds(PATIENCE))
            assert not thread.is_alive(), "a visitor never came back"

    def _run(self, source):
        while not self._end.wait(self.pause):
            began = time.monotonic()
            try:
                with knock(source, self.address) as sock:
                    client.ask(sock, self.data)
            except (OSError, EOFError) as error:
                with self._lock:
                    self.failures.append(f"{source}: {type(error).__name__}: {error}")
                continue
            with self._lock:
                self.served += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
