"""The proxy between machines that vanish, come back, and answer in every wrong way. Client, acceptd
and back end are on three machines (harness/machines.py)."""
import hashlib
import os
import socket
import threading
import time

import pytest

from harness import admin, client, machines
from harness.admin import closed, expect_closed
from harness.backend import Backend, echo
from harness.config import listener
from harness.kernel import nstat
from harness.waiting import PATIENCE, holds_for, seconds, wait_for

PORT, SPARE_PORT = 7100, 7101
KEEPALIVE = {"idle": "1s", "interval": "1s", "probes": 2}


@pytest.fixture
def machine():
    """machine(number) makes one more."""
    machines.need()
    made = []

    def make(number):
        made.append(machines.Machine(number))
        return made[-1]
    yield make
    for one in made:
        one.destroy()


@pytest.fixture
def far(machine):
    """The client's machine."""
    return machine(1)


@pytest.fixture
def back(machine):
    """The back end's machine."""
    return machine(2)


@pytest.fixture
def proxy(server, far, back):
    server.listeners = [listener("front", f"{far.gateway}:7000", "proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": f"{back.address}:{PORT}"}]}]
    return server


def upstream(proxy):
    return proxy.options["upstreams"][0]


def with_spare(proxy, back):
    """A second server on the same machine; clients are given to the two in turn."""
    upstream(proxy)["servers"].append({"address": f"{back.address}:{SPARE_PORT}"})
    return proxy


def listen(back, serve=echo, port=PORT):
    with back:
        return Backend(serve, (back.address, port))


def connect(far, limit=PATIENCE, port=0):
    """From the client's machine, perhaps from a certain port."""
    with far:
        sock = socket.socket()
    sock.settimeout(seconds(limit))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((far.address, port))
    sock.connect((far.gateway, 7000))
    return sock


def of_server(proxy, back, name, port=PORT):
    return list(admin.asked_json(
        proxy, "stats", f"server.be/{back.address}:{port}.{name}").values())[0]


def meet(far, backend, **more):
    """@return both ends of a session over which a word went each way"""
    count = len(backend.accepted)
    sock = connect(far, **more)
    sock.sendall(b"hello")
    wait_for("the session", lambda: len(backend.accepted) > count)
    end = backend.accepted[-1]
    assert client.receive(end, 5) == b"hello"
    end.sendall(b"hello")
    assert client.receive(sock, 5) == b"hello"
    return sock, end


# -- before the connect ---------------------------------------------------------------------------

def test_a_silent_back_end_costs_the_connect_timeout_and_then_another_is_tried(proxy, far, back):
    """D1. Each client comes to the silent one first, until that is down."""
    upstream(proxy)["connect_timeout"] = "400ms"
    upstream(proxy)["check"] = {"fall": 2, "interval": "100ms"}
    with_spare(proxy, back).start()
    back.filter(f"tcp dport {PORT} drop")
    with listen(back, port=SPARE_PORT):
        slow = 0
        for _ in range(6):
            began = time.monotonic()
            with connect(far) as sock:
                assert client.ask(sock) == b"hello\n"
            taken = time.monotonic() - began
            assert taken < seconds(10)
            slow += taken >= 0.4
        assert slow >= of_server(proxy, back, "connect_timeouts") == 2
        proxy.wait_log(rf"back end be/{back.address}:{PORT} is down")
        back.heal()
        with listen(back):
            proxy.wait_log(rf"back end be/{back.address}:{PORT} is up again")
        expect_closed(proxy, client=6)


def test_a_connect_timeout_is_exact(proxy, far, back):
    """D1, when there is no other: the client is told, not earlier, and not when SYNs give up."""
    upstream(proxy).update(connect_timeout="700ms", on_down="refuse")
    proxy.start()
    back.cut()
    began = time.monotonic()
    with connect(far) as sock:
        assert client.is_reset(sock)
    assert 0.69 < time.monotonic() - began < seconds(10)
    expect_closed(proxy, connect_timeout=1)


@pytest.mark.parametrize("answer,name", [
    ("tcp reset", "connect_refused"),
    ("icmp type host-unreachable", "connect_failures"),
    ("icmp type port-unreachable", "connect_refused"),
    ("icmp type admin-prohibited", "connect_failures"),
])
def test_a_connect_that_is_turned_away_is_tried_elsewhere_at_once(proxy, far, back, answer, name):
    """D4, D7. An ICMP message that comes while connect(2) has not returned, as without a real wire
    it does, is lost in the kernel; the one for the next SYN, a second later, is not."""
    upstream(proxy)["connect_timeout"] = "30s"
    with_spare(proxy, back).start()
    back.filter(f"tcp dport {PORT} reject with {answer}")
    with listen(back, port=SPARE_PORT):
        began = time.monotonic()
        with connect(far) as sock:
            assert client.ask(sock) == b"hello\n"
        assert time.monotonic() - began < seconds(15)
        assert of_server(proxy, back, name) == 1
        assert of_server(proxy, back, "sessions", SPARE_PORT) == 1
        expect_closed(proxy, client=1)


def test_a_machine_that_is_off_is_known_by_its_missing_hardware_address(proxy, far, back):
    """On the same wire nobody answers for its address: no need to wait for a long timeout."""
    upstream(proxy)["connect_timeout"] = "30s"
    with_spare(proxy, back)
    upstream(proxy)["servers"][0]["address"] = "10.0.2.77:7100"
    proxy.start()
    with listen(back, port=SPARE_PORT), connect(far) as sock:
        assert client.ask(sock) == b"hello\n"


# -- in the middle --------------------------------------------------------------------------------

def test_a_back_end_lost_with_a_request_in_flight_is_released(proxy, far, back):
    """D2. The request is not acknowledged: keepalive does not run, the user timeout does."""
    proxy.listeners[0].update(user_timeout="1s", keepalive=KEEPALIVE)
    proxy.start()
    with listen(back), connect(far) as sock:
        assert client.ask(sock) == b"hello\n"
        back.cut()
        began = time.monotonic()
        sock.sendall(b"anybody?")
        assert client.is_reset(sock)
        assert time.monotonic() - began < seconds(20)
        expect_closed(proxy, backend_unreachable=1)


def test_a_back_end_lost_while_it_thinks_is_released(proxy, far, back):
    """D2. The request was acknowledged, the answer never comes: keepalive, at most 3 s and a grain."""
    proxy.listeners[0].update(keepalive=KEEPALIVE)
    proxy.start()
    with listen(back, None), connect(far) as sock:
        sock.sendall(b"think about it")
        wait_for("the request there", lambda: of_server(proxy, back, "to_server_bytes") == 14)
        back.cut()
        began = time.monotonic()
        assert client.is_reset(sock)
        assert time.monotonic() - began < seconds(20)
        expect_closed(proxy, backend_unreachable=1)


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_client_that_vanished_gives_its_place_at_the_back_end_back(proxy, far, back, in_flight):
    """D8 by keepalive, D9 with an answer that is never acknowledged."""
    proxy.listeners[0].update(user_timeout="1s", keepalive=KEEPALIVE)
    upstream(proxy)["servers"][0]["max_connections"] = 1
    proxy.start()
    with listen(back, None) as backend:
        sock, end = meet(far, backend)
        far.cut()
        if in_flight:
            end.sendall(b"an answer to nobody")
        expect_closed(proxy, peer_unreachable=1)
        assert client.is_reset(end)
        far.heal()
        for other in meet(far, backend):
            other.close()
        sock.close()


def test_a_back_end_that_rebooted_resets_its_clients_at_the_next_byte(proxy, far, back):
    """D3."""
    proxy.start()
    with listen(back, None) as backend:
        sock, end = meet(far, backend)
        back.crash_and_reboot(end)
        began = time.monotonic()
        sock.sendall(b"anybody?")
        assert client.is_reset(sock)
        assert time.monotonic() - began < seconds(10)
        expect_closed(proxy, backend_reset=1)


def test_a_client_that_rebooted_gets_a_new_session_on_the_same_port(proxy, far, back):
    """D13. Its SYN meets the old session; RFC 5961 sorts it out within its first retry."""
    proxy.start()
    with listen(back, None) as backend:
        sock, old_end = meet(far, backend, port=33333)
        far.crash_and_reboot(sock)
        began = time.monotonic()
        sock, end = meet(far, backend, port=33333)
        assert time.monotonic() - began < seconds(15)
        assert client.is_reset(old_end)
        expect_closed(proxy, reset=1)
        sock.close()
        end.close()


def test_unreachable_by_icmp_is_no_end_of_a_session(proxy, far, back):
    """D4. A router that has lost its way for a moment, as RFC 1122 4.2.3.9 has it."""
    proxy.start()
    with listen(back), connect(far) as sock:
        assert client.ask(sock) == b"hello\n"
        back.filter("reject with icmp type host-unreachable")
        sock.sendall(b"and now?")
        holds_for("no end", lambda: not closed(proxy), 0.7)
        back.heal()
        assert client.receive(sock, 8) == b"and now?"


@pytest.mark.parametrize("place", ["client", "backend"])
@pytest.mark.parametrize("cut_s", [1, pytest.param(8, marks=pytest.mark.once)])
def test_a_cut_that_heals_loses_no_byte(proxy, far, back, place, cut_s):
    """D5. In the middle of a transfer in both directions."""
    proxy.start()
    machine = far if place == "client" else back
    data = os.urandom(30 << 20)
    digest = hashlib.sha256()
    with listen(back), connect(far) as sock:
        assert client.ask(sock) == b"hello\n"
        thread = threading.Thread(target=lambda: (
            sock.sendall(data), sock.shutdown(socket.SHUT_WR)), daemon=True)
        thread.start()
        left = len(data)
        cut_at = left - (2 << 20)
        while part := sock.recv(1 << 16):
            digest.update(part)
            left -= len(part)
            if cut_at and left < cut_at:
                cut_at = 0
                machine.cut()
                time.sleep(cut_s)  # the fault itself
                machine.heal()
        thread.join()
    assert left == 0 and digest.digest() == hashlib.sha256(data).digest()
    expect_closed(proxy, client=1)


def test_orderly_ends_need_no_reset(proxy, far, back):
    """D6. Either side first, bytes after it the other way; nobody sends a reset."""
    proxy.start()
    before = nstat("TcpOutRsts")
    with listen(back, None) as backend:
        for number, is_client_first in enumerate((True, False)):
            with connect(far) as sock:
                wait_for("the session", lambda: len(backend.accepted) == number + 1)
                first, second = sock, backend.accepted[number]
                if not is_client_first:
                    first, second = second, first
                first.sendall(b"the last of mine")
                first.shutdown(socket.SHUT_WR)
                assert client.receive_all(second) == b"the last of mine"
                second.sendall(b"x" * 500000)
                second.shutdown(socket.SHUT_WR)
                assert client.receive_all(first) == b"x" * 500000
        expect_closed(proxy, client=1, backend=1)
    assert nstat("TcpOutRsts") == before
