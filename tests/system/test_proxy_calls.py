"""What the proxy asks of the kernel for a session and for a block: exactly this, and nothing else.

A busy machine splits what would be done at once, so it is the cheapest of several that counts."""
import collections
import re
import shutil
import socket
import subprocess

import pytest

from harness import client, processes
from harness.backend import Backend, echo
from harness.config import listener
from harness.waiting import wait_for

ROUNDS = 10
MARK = b"mark"
# What the turns of the loop and its timers need, whoever is served.
OF_THE_LOOP = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "clock_gettime", "prlimit64", "pread64",
               "getsockopt SO_MEMINFO"}

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")


@pytest.fixture
def worker(server):
    """The only one of a proxy, and its calls. The other listener serves to mark the trace."""
    server.options["workers"] = 1
    server.listeners = [listener("front", protocol="proxy", upstream="be"),
                        listener("mark", "127.0.0.1:7001")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": "127.0.0.1:7100"}]}]
    server.start()
    with Traced(server) as traced:
        yield traced


class Traced:
    """The calls of the only worker, from one mark to the next."""

    def __init__(self, server):
        self.path = server.path("strace")
        self.pid = server.workers()[0]

    def __enter__(self):
        self.tracer = subprocess.Popen(
            ["strace", "-qq", "-s", "8", "-p", str(self.pid), "-o", self.path])
        wait_for("strace attached", lambda: processes.status(self.pid, "TracerPid") != "0")
        self.marker = client.connect(("127.0.0.1", 7001))
        return self

    def __exit__(self, *_):
        self.marker.close()
        self.stop()

    def stop(self):
        self.tracer.terminate()
        self.tracer.wait()

    def mark(self):
        """What comes from now on is of the next piece; the worker has done all before."""
        assert client.ask(self.marker, MARK) == MARK

    def pieces(self):
        """{call: count} of each piece between two marks."""
        self.stop()
        with open(self.path, encoding="ascii", errors="replace") as file:
            trace = file.read()
        parts = re.split(r'recvfrom\(\d+, "mark".*\n.*sendto\(\d+, "mark".*\n', trace)[1:-1]
        return [collections.Counter(filter(None, map(name_of, part.splitlines())))
                for part in parts]


def name_of(line):
    """The call, with what it is about where that is told by an argument; None for the loop's."""
    name = line.partition("(")[0]
    about = re.match(r"epoll_ctl\(\d+, EPOLL_CTL_(\w+)|[gs]etsockopt\(\d+, \w+, (\w+)", line)
    if about:
        name += " " + (about[1] or about[2])
    return None if name in OF_THE_LOOP else name


def cheapest(pieces):
    return min(pieces, key=lambda piece: sum(piece.values()))


def test_a_session_costs_no_calls_but_these(worker):
    with Backend(echo):
        for _ in range(ROUNDS):
            worker.mark()
            with client.connect() as sock:
                assert client.ask(sock, b"one message") == b"one message"
                sock.shutdown(socket.SHUT_WR)
                assert client.receive_all(sock) == b""
        worker.mark()
    pieces = worker.pieces()
    assert len(pieces) == ROUNDS
    assert cheapest(pieces) == {
        "accept4": 1,
        "getsockopt TCP_INFO": 2,  # how long it waited in the queue, and who else is there
        "socket": 1, "setsockopt TCP_NODELAY": 1,
        "connect": 2,  # the second one tells that the first was successful
        "epoll_ctl ADD": 2,
        "recvfrom": 4, "sendto": 2,  # the message there and back, and two ends
        "shutdown": 1, "epoll_ctl DEL": 1,  # of the side that has ended
        "close": 2}


def test_a_block_that_goes_on_costs_two_splices_each_way(worker):
    block = client.pattern(65536)
    with Backend(echo), client.connect() as sock:
        for _ in range(ROUNDS):  # until both ways are known as bulk
            assert client.ask(sock, block) == block
        for _ in range(ROUNDS):
            worker.mark()
            assert client.ask(sock, block) == block
        worker.mark()
    pieces = worker.pieces()
    assert len(pieces) == ROUNDS
    assert cheapest(pieces) == {"splice": 4}
