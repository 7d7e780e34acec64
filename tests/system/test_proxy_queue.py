"""What protects a weak back end: limits that are exact over all workers, connects paced to its
accept queue, clients that wait instead of failing, servers that go down and come up."""
import os
import shutil
import subprocess
import sys
import time

import pytest

from harness import admin, client
from harness.admin import closed
from harness.backend import BACK, Backend, echo
from harness.config import listener
from harness.waiting import is_sanitized, seconds, wait_for

# A back end of its own process. Accepts at most RATE a second from a queue of BACKLOG, answers each
# client after HOLD seconds, and says at its end how many it had at most at the same time.
BACK_END = """
import selectors, socket, sys, time
backlog, rate, hold, count = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
listener = socket.create_server(("127.0.0.1", 7100), backlog=backlog)
listener.setblocking(False)
print("ready", flush=True)
chooser = selectors.DefaultSelector()
chooser.register(listener, selectors.EVENT_READ)
inside, most, served, next_accept, due = 0, 0, 0, 0.0, []
while served < count:
    for key, _ in chooser.select(0.0005):
        if key.fileobj is listener:
            now = time.monotonic()
            if now < next_accept:
                continue
            next_accept = max(next_accept, now - 0.005) + 1 / rate  # catches up 5 ms at most
            sock, _ = listener.accept()
            inside += 1
            most = max(most, inside)
            chooser.register(sock, selectors.EVENT_READ)
        else:
            sock = key.fileobj
            data = sock.recv(100)
            if data:
                due.append((time.monotonic() + hold, sock, data))
            else:
                chooser.unregister(sock)
                sock.close()
    now = time.monotonic()
    while due and due[0][0] <= now:
        _, sock, data = due.pop(0)
        inside -= 1             # before the answer: who has it may be followed by the next
        served += 1
        sock.sendall(data)
print(most, flush=True)
"""


class BackEnd:
    def __init__(self, backlog, rate, hold, count):
        words = [str(word) for word in (backlog, rate, hold, count)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", BACK_END, *words], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def most(self):
        return int(self.process.stdout.readline())


def kernel(*names):
    """TCP counters of this namespace."""
    with open("/proc/net/netstat", encoding="ascii") as file:
        rows = [line.split() for line in file if line.startswith("TcpExt:")]
    values = dict(zip(rows[0], rows[1]))
    return {name: int(values[name]) for name in names}


@pytest.fixture
def proxy(server):
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["workers"] = 2
    return server


def serve(proxy, upstream=(), **server):
    proxy.options["upstreams"] = [
        {"name": "be", **dict(upstream), "servers": [{"address": "127.0.0.1:7100", **server}]}]
    proxy.start()


@pytest.mark.smoke
def test_a_limit_is_exact_over_all_workers_and_everybody_is_served(proxy):
    with BackEnd(backlog=128, rate=1e6, hold=0.005, count=400) as back:
        serve(proxy, max_connections=5)
        assert client.crowd(400)[0] == 400
        assert back.most() <= 5


@pytest.mark.skipif(is_sanitized(), reason="its pace is that of an optimized program")
def test_connects_are_paced_to_a_short_accept_queue(proxy):
    count, rate = 2000, 2000.0
    with BackEnd(backlog=50, rate=rate, hold=0, count=count):
        serve(proxy, upstream={"settle_time": "30s"}.items(), backlog=50)
        before = kernel("ListenOverflows", "ListenDrops", "TCPSynRetrans")
        served, taken = client.crowd(count)
        assert served == count
        assert kernel("ListenOverflows", "ListenDrops", "TCPSynRetrans") == before
        assert taken < seconds(15 * count / rate)  # the machine may be very busy


def test_who_finds_every_server_down_waits_until_one_is_up(proxy):
    serve(proxy, upstream={"check": {"interval": "100ms", "fall": 1}}.items())
    with client.connect() as first:
        first.sendall(b"first")
        proxy.wait_log(r"back end be/127\.0\.0\.1:7100 is down")
        with client.connect() as second:
            second.sendall(b"second")
            with Backend(echo, BACK):
                assert client.receive(first, 5) == b"first"
                assert client.receive(second, 6) == b"second"
                proxy.wait_log(r"back end be/127\.0\.0\.1:7100 is up again")


def test_failures_in_a_row_are_counted_over_all_workers(proxy):
    """Clients one after another are spread over the workers. With on_down = "refuse" each of them is
    one connect, and one that finds the server down is none."""
    def fail():
        with pytest.raises(ConnectionResetError), client.connect() as sock:
            sock.recv(1)

    proxy.options["workers"] = 4
    serve(proxy, upstream={"on_down": "refuse", "check": {"fall": 3, "interval": "1h"}}.items())
    fail()
    fail()
    with Backend(echo, BACK):
        assert client.echoes()  # in one worker, and the count begins again for all
        wait_for("its end", lambda: closed(proxy) == {"client": 1, "connect_refused": 2})
    for _ in range(4):
        fail()
    wait_for("three in a row, and one who finds it down", lambda: closed(proxy) == {
        "client": 1, "connect_refused": 5, "no_server": 1})
    shown = row(proxy)
    assert (shown["state"], shown["cause"], shown["connect_refused"]) == (
        "down", "connection refused", 5)
    proxy.wait_log(r"back end be/127\.0\.0\.1:7100 is down: connection refused")
    assert len(proxy.log_lines("is down")) == 1
    taken = [worker["accepted"] for worker in admin.asked_json(proxy, "workers")]
    assert max(taken) < sum(taken) == 7  # it was not one worker that counted


def test_a_client_whose_connects_fail_is_given_up_after_the_queue_timeout(proxy):
    serve(proxy, upstream={"queue_timeout": "500ms", "check": {"fall": 1000}}.items())
    began = time.monotonic()
    with client.connect() as sock, pytest.raises(ConnectionResetError):
        sock.recv(1)
    assert 0.5 <= time.monotonic() - began
    assert row(proxy)["connect_refused"] <= 6  # paced


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nftables")
def test_a_back_end_that_restarts_under_load_costs_no_client(proxy):
    """It refuses connects for a while, as a program does that is being replaced."""
    def nft(rules):
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    with Backend(echo, BACK):
        serve(proxy, upstream={"check": {"interval": "100ms"}}.items())
        with client.Load(threads=8) as load:
            for _ in range(3):
                done = load.completed
                wait_for("clients served", lambda: load.completed > done + 50)
                refused = row(proxy)["connect_refused"]
                nft("table inet restart { chain in { type filter hook input priority 0; "
                    "tcp dport 7100 tcp flags & (syn | ack) == syn reject with tcp reset; }; }\n")
                wait_for("connects refused", lambda: row(proxy)["connect_refused"] > refused)
                wait_for("clients wait", lambda: row(proxy)["waiting"] > 0)
                nft("delete table inet restart\n")
        assert not load.failures


def test_a_failed_connect_is_tried_at_another_server(proxy):
    proxy.options["upstreams"] = [{"name": "be", "servers": [
        {"address": "127.0.0.1:7101"}, {"address": "127.0.0.1:7100"}]}]
    proxy.start()
    with Backend(echo, BACK):
        for _ in range(4):
            assert client.echoes()


def test_a_client_waits_no_longer_than_the_queue_timeout(proxy):
    with Backend(echo, BACK):
        serve(proxy, upstream={"queue_timeout": "200ms"}.items(), max_connections=1)
        with client.connect() as first:
            client.ask(first)
            with pytest.raises(ConnectionResetError), client.connect() as second:
                second.recv(1)
        wait_for("the place", client.echoes)


def row(server):
    rows = admin.asked_json(server, "upstreams")
    assert len(rows) == 1
    return rows[0]


def test_acceptctl_shows_a_server_and_orders_it_about(proxy):
    with Backend(echo, BACK):
        serve(proxy, max_connections=7)
        with client.connect() as sock:
            client.ask(sock)
            shown = row(proxy)
            assert (shown["upstream"], shown["server"], shown["state"], shown["open"],
                    shown["max_connections"]) == ("be", "127.0.0.1:7100", "up", 1, 7)
            assert "drain" in admin.asked(proxy, "server", "be/127.0.0.1:7100", "drain")
            assert row(proxy)["state"] == "drained"
            assert client.ask(sock) == b"hello\n"  # who is there goes on
            with client.connect() as waiting:
                waiting.sendall(b"word")
                wait_for("who waits", lambda: row(proxy)["waiting"] == 1)
                admin.asked(proxy, "server", "127.0.0.1:7100", "ready")
                assert waiting.recv(100) == b"word"
        admin.asked(proxy, "server", "127.0.0.1:7100", "max", "3")
        assert row(proxy)["max_connections"] == 3
        proxy.reload()
        assert row(proxy)["max_connections"] == 3
        proxy.options["upstreams"][0]["servers"][0]["max_connections"] = 8
        proxy.reload()
        assert row(proxy)["max_connections"] == 8


@pytest.mark.parametrize("words", [("nobody", "drain"), ("127.0.0.1:7100", "weight", "257"),
                                   ("127.0.0.1:7100", "drain", "1"), ("127.0.0.1:7100", "go")])
def test_an_order_that_makes_no_sense_is_refused(proxy, words):
    serve(proxy)
    assert admin.acceptctl(proxy, "server", *words).returncode != 0


def test_a_check_that_gets_the_wrong_answer_puts_a_server_down(proxy):
    answer = [b"PONG"]

    def serve_check(sock):
        with sock:
            sock.sendall(answer[0] if sock.recv(100) == b"PING" else b"what?")

    with Backend(serve_check, BACK):
        serve(proxy, upstream={"check": {"when": "always", "interval": "100ms", "fall": 2,
                                         "send": "PING", "expect": "PONG"}}.items())
        wait_for("checks", lambda: row(proxy)["checks"] >= 3)
        assert row(proxy)["checks_failed"] == 0
        answer[0] = b"PANG"
        proxy.wait_log(r"back end be/127\.0\.0\.1:7100 is down")
        answer[0] = b"PONG"
        proxy.wait_log(r"back end be/127\.0\.0\.1:7100 is up again")
