"""PROXY headers from load balancers: who may name a client, in which form and in which time, and
that the client so named is the one that everything else goes by."""
import os
import re
import signal
import socket
import struct
import threading
import time

import pytest

from harness import admin, client, processes, sessions
from harness.admin import closed, expect_closed
from harness.backend import Backend
from harness.config import FAULT, listener
from harness.waiting import is_sanitized, seconds, wait_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT, TARGET = ("198.51.100.7", 12345), ("192.0.2.1", 80)
SENDER, STRANGER = "127.0.0.1", "127.0.1.2"


def v1(source=CLIENT, target=TARGET):
    return f"PROXY TCP4 {source[0]} {target[0]} {source[1]} {target[1]}\r\n".encode()


def v2(source=CLIENT, target=TARGET, tlvs=b""):
    body = b"".join(map(socket.inet_aton, (source[0], target[0])))
    body += struct.pack("!HH", source[1], target[1]) + tlvs
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(body)) + body


def v2_tcp6(source, target):
    body = b"".join(socket.inet_pton(socket.AF_INET6, end[0]) for end in (source, target))
    body += struct.pack("!HH", source[1], target[1])
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x21, len(body)) + body


TLV = b"\x02\x00\x0bexample.org"  # PP2_TYPE_AUTHORITY
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
HEADERS = {"v1": v1(), "v2": v2(), "v2-tlv": v2(tlvs=TLV)}


@pytest.fixture
def balanced(server):
    """Not started: echo behind load balancers at SENDER, with time for a slow machine."""
    server.listeners[0].update(accept_proxy=True, trusted=[SENDER], proxy_timeout="60s")
    return server


def connections(server):
    return admin.asked_json(server, "connections")["connections"]


def text(peer):
    return f"{peer[0]}:{peer[1]}"


def has_read_all(sock):
    """Whether the server has taken from its socket everything that this one has sent."""
    ports = (client.ECHO[1], sock.getsockname()[1])
    with open(f"/proc/{os.getpid()}/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    queues = {tuple(int(end.rsplit(":", 1)[1], 16) for end in row[1:3]):
              [int(queue, 16) for queue in row[4].split(":")] for row in rows}
    if ports not in queues or ports[::-1] not in queues:
        return False  # a table that changes while it is read may lack a row
    return queues[ports][1] == 0 and queues[ports[::-1]][0] == 0


def drop(sock, *parts):
    """Send the parts so that the server sees each by itself."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in parts:
        sock.sendall(part)
        wait_for("the server's read", lambda: has_read_all(sock))


def sees_reset(sock):
    with pytest.raises(ConnectionError):
        while sock.recv(1 << 16):
            pass
        raise AssertionError("a clean end")
    return True


def sees_end(sock):
    """Of either kind."""
    try:
        return client.receive_all(sock) == b""
    except ConnectionError:
        return True


# -- the header -----------------------------------------------------------------------------------

@pytest.mark.smoke
@pytest.mark.parametrize("name", HEADERS)
def test_the_client_is_who_the_header_says(balanced, name):
    balanced.start()
    with client.connect() as sock:
        sock.sendall(HEADERS[name] + b"hello")  # bytes of the client in the same segment
        assert client.receive(sock, 5) == b"hello"
        (row,) = connections(balanced)
        assert (row["peer"], row["via"]) == (text(CLIENT), text(sock.getsockname()))
        shown = admin.asked(balanced, "connections")
        assert text(CLIENT) in shown and shown.splitlines()[0].endswith("via")
    expect_closed(balanced, client=1)
    row = admin.asked_json(balanced, "listeners")[0]
    assert (row["received_bytes"], row["sent_bytes"]) == (5, 5)  # the header is not the client's


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_in_two_pieces_cut_anywhere(balanced, name):
    balanced.start()
    header = HEADERS[name]
    for cut in range(1, len(header)):
        with client.connect() as sock:
            drop(sock, header[:cut])
            sock.sendall(header[cut:] + b"hi")
            assert client.receive(sock, 2) == b"hi"
    expect_closed(balanced, client=len(header) - 1)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_byte_by_byte(balanced, name):
    balanced.start()
    with client.connect() as sock:
        drop(sock, *(HEADERS[name][i:i + 1] for i in range(len(HEADERS[name]))))
        assert client.ask(sock) == b"hello\n"
        assert connections(balanced)[0]["peer"] == text(CLIENT)


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", LOCAL], ids=["UNKNOWN", "LOCAL"])
def test_a_sender_that_speaks_for_itself_is_the_client(balanced, header):
    balanced.start()
    with client.connect() as sock:
        sock.sendall(header + b"x")
        assert client.receive(sock, 1) == b"x"
        (row,) = connections(balanced)
        assert (row["peer"], row["via"]) == (text(sock.getsockname()), None)
        assert "via" not in admin.asked(balanced, "connections")


def test_a_second_header_is_the_clients_own(balanced):
    balanced.start()
    with client.connect() as sock:
        sock.sendall(v1() + v2())
        assert client.receive(sock, len(v2())) == v2()


def test_ipv6_clients(balanced):
    balanced.listeners[0].update(address="*:7000", allow=["2001:db8::/32"], trusted=[SENDER, "::1"])
    balanced.start()
    with client.connect(("::1", 7000)) as sock:
        sock.sendall(v2_tcp6(("2001:db8::7", 5), ("2001:db8::1", 6)) + b"x")
        assert client.receive(sock, 1) == b"x"
        assert connections(balanced)[0]["peer"] == "[2001:db8::7]:5"
    with client.connect() as sock:  # IPv4 to the same socket is ::ffff:127.0.0.1 there
        sock.sendall(b"PROXY TCP6 2001:db8::7 2001:db8::1 5 6\r\nx")
        assert client.receive(sock, 1) == b"x"


BAD = {
    "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "v1-108-bytes": (b"PROXY UNKNOWN " + b"a" * 107)[:106] + b"\r\n",
    "v1-without-end": b"PROXY UNKNOWN " + b"a" * 200,
    "v1-port": v1(source=("198.51.100.7", 65536)),
    "v2-tlv-too-long": v2(tlvs=TLV[:-1]),
    "v2-too-long": SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 521),
    "v2-datagram": v2().replace(b"\x21\x11", b"\x21\x12"),
    "v2-version-3": v2().replace(b"\x21\x11", b"\x31\x11"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header_is_reset_and_told(balanced, name):
    balanced.start()
    with client.connect() as sock:
        sock.sendall(BAD[name])
        assert sees_reset(sock)
        own = re.escape(text(sock.getsockname()))
    expect_closed(balanced, proxy_header=1)
    balanced.wait_log(rf"warning .*listener echo: {own}, a trusted sender, did not begin with a "
                      r"whole PROXY header: .*have it send the header")


def test_status_says_that_a_load_balancer_is_not_understood(balanced):
    balanced.start()
    assert "well" in admin.asked(balanced, "status")
    with client.connect() as sock:
        sock.sendall(BAD["http"])
        assert sees_reset(sock)
    wait_for("the finding", lambda: "listener echo: connections from trusted senders without a "
             "good PROXY header in the last minute: 1;" in admin.acceptctl(balanced, "status").stdout)


def test_an_end_before_or_within_the_header(balanced):
    """Before it is how a load balancer looks whether a server lives; within it is a fault."""
    balanced.start()
    client.connect().close()
    expect_closed(balanced, client=1)
    assert not balanced.log_lines(" warning ")
    with client.connect() as sock:
        sock.sendall(v1()[:20])
        sock.shutdown(socket.SHUT_WR)
        assert sees_reset(sock)
    with client.connect() as sock:
        drop(sock, v1()[:20])
        client.reset(sock)
    expect_closed(balanced, client=1, proxy_header=1, reset=1)


# -- who may send one -----------------------------------------------------------------------------

def test_a_stranger_is_reset_unread(balanced):
    balanced.options["log_level"] = "info"
    balanced.start()
    with pytest.raises(ConnectionError), client.connect(source=STRANGER) as sock:
        sock.sendall(v1())
        sock.recv(1)
    expect_closed(balanced, untrusted=1)
    balanced.wait_log(rf"info .*listener echo: {re.escape(STRANGER)}:\d+ is not in trusted")
    assert admin.asked_json(balanced, "listeners")[0]["received_bytes"] == 0


def test_whoever_may_open_a_unix_socket_is_trusted(balanced):
    path = balanced.path("echo.sock")
    balanced.listeners[0].update(address="unix:" + path, allow=[CLIENT[0]])
    del balanced.listeners[0]["trusted"]
    balanced.start()
    with client.connect(path) as sock:
        sock.sendall(v2() + b"x")
        assert client.receive(sock, 1) == b"x"
        (row,) = connections(balanced)
        assert (row["peer"], row["via"]) == (text(CLIENT), "unix")
        assert "no effect" not in balanced.log()
    with client.connect(path) as sock:
        sock.sendall(v2(source=("203.0.113.1", 1)))
        assert sees_end(sock)
    expect_closed(balanced, client=1, denied=1)


def test_lists_judge_the_client_and_not_the_sender(balanced):
    balanced.listeners[0].update(allow=["198.51.100.0/24", "203.0.113.0/24"], deny=["203.0.113.9"])
    balanced.start()
    for address, is_served in [("198.51.100.1", True), ("203.0.113.8", True),
                               ("203.0.113.9", False), (SENDER, False)]:
        with client.connect() as sock:
            sock.sendall(v1(source=(address, 1)) + b"x")
            assert client.receive(sock, 1) == b"x" if is_served else sees_reset(sock)
    expect_closed(balanced, client=2, denied=2)


# -- in which time --------------------------------------------------------------------------------

def test_a_header_that_drips_is_ended_at_three_seconds(balanced):
    """And no byte gives it more time."""
    del balanced.listeners[0]["proxy_timeout"]
    balanced.start()
    began = time.monotonic()
    with client.connect() as sock:
        sent = 0
        while not client.is_ended(sock):
            assert time.monotonic() - began < seconds(8)
            try:
                sock.sendall(v2(tlvs=TLV * 20)[sent:sent + 1])
            except ConnectionError:
                break
            sent += 1
            time.sleep(0.1)  # the pace of the drip
        assert time.monotonic() - began >= 2.9
        assert sent >= 3
    expect_closed(balanced, proxy_timeout=1)
    balanced.wait_log("a trusted sender, did not begin .*not within proxy_timeout")


def test_silence_is_ended_by_the_configured_time(balanced):
    balanced.listeners[0].update(proxy_timeout="300ms")
    balanced.start()
    began = time.monotonic()
    with client.connect() as sock:
        assert sees_reset(sock)
    assert time.monotonic() - began >= 0.29
    expect_closed(balanced, proxy_timeout=1)


def test_a_flood_of_unfinished_headers_keeps_nobody_out(balanced):
    """Each costs little and only for its time; then its place is another's."""
    balanced.options["max_connections"] = 400
    balanced.options["workers"] = 1
    balanced.listeners[0].update(trusted=["127.0.0.0/8"], proxy_timeout="3s")
    balanced.start()
    (pid,) = balanced.workers().values()

    def resident():
        return int(processes.status(pid, "VmRSS").split()[0])
    before = resident()
    flood = []
    for number in range(400):
        flood.append(client.connect(source=f"127.0.{number // 200}.{1 + number % 200}"))
        flood[-1].sendall(v2(tlvs=TLV)[:30])
    wait_for("the flood inside",
             lambda: admin.asked_json(balanced, "listeners")[0]["accepted"] == 400)
    grown = resident() - before
    assert grown < (8000 if is_sanitized() else 1200), f"{grown} kB for 400 unfinished headers"
    with client.connect() as sock:  # waits for a place
        sock.sendall(v1() + b"hello")
        assert client.receive(sock, 5) == b"hello"
    for sock in flood:
        assert sees_reset(sock)
        sock.close()
    expect_closed(balanced, client=1, proxy_timeout=400)


def test_the_books_are_right_in_every_phase(balanced):
    """Whatever clients do with their headers, at every moment accepted = open + closed, and all
    places come back."""
    balanced.listeners[0].update(trusted=["127.0.0.0/24"], deny=["203.0.113.0/24"],
                                 proxy_timeout="100ms")
    balanced.start()
    plans = [(SENDER, v1() + b"x"), (SENDER, v2()[:20]), (SENDER, b"GET "), (SENDER, b""),
             (SENDER, v1(source=("203.0.113.1", 1))), (STRANGER, v1()), (SENDER, LOCAL)]

    def run(seed, rounds=60):
        for number in range(rounds):
            source, said = plans[(seed + number) % len(plans)]
            try:
                with client.connect(source=source) as sock:
                    sock.sendall(said)
                    if number % 3 == 0:
                        client.reset(sock)
                    elif said in (b"", LOCAL):
                        sock.shutdown(socket.SHUT_WR)
                        sock.recv(1)
                    else:
                        sock.recv(1)
            except ConnectionError:
                pass  # so it is meant for most of them
    crew = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in crew:
        thread.start()
    while any(thread.is_alive() for thread in crew):
        row = admin.asked_json(balanced, "listeners")[0]
        assert row["accepted"] == row["open"] + sum(row["closed"].values()), row
    for thread in crew:
        thread.join()
    row = wait_for("all gone", lambda: (
        lambda row: row["open"] == 0 and row)(admin.asked_json(balanced, "listeners")[0]))
    assert row["accepted"] == sum(row["closed"].values())
    assert {"client", "denied", "untrusted", "proxy_header", "proxy_timeout"} <= \
        {reason for reason, count in row["closed"].items() if count}


# -- reload, stop, crash --------------------------------------------------------------------------

def test_a_reload_switches_it_for_the_connections_to_come(server):
    server.start()
    with client.connect() as plain:
        assert client.ask(plain) == b"hello\n"
        server.listeners[0].update(accept_proxy=True, trusted=[SENDER], proxy_timeout="60s")
        server.reload()
        assert client.ask(plain) == b"hello\n"
        with client.connect() as half:
            drop(half, v1()[:20])
            del server.listeners[0]["accept_proxy"], server.listeners[0]["trusted"]
            server.reload()
            half.sendall(v1()[20:] + b"x")
            assert client.receive(half, 1) == b"x"  # it began with one
    assert client.echoes()
    expect_closed(server, client=3)


@pytest.mark.once
def test_a_stop_waits_for_headers_no_longer_than_their_time(balanced):
    balanced.options["drain_timeout"] = "60s"
    balanced.listeners[0].update(proxy_timeout="6s")
    balanced.start()
    with client.connect() as late, client.connect() as never:
        drop(late, v1()[:20])
        drop(never, v1()[:20])
        balanced.send(signal.SIGTERM)
        balanced.wait_log("SIGTERM: taking no new clients")
        late.sendall(v1()[20:] + b"x")
        assert client.receive(late, 1) == b"x"
        late.close()
        assert sees_reset(never)
        assert balanced.wait_exit(20) == 0


def test_a_crash_loses_those_in_their_header_too_and_says_so(balanced):
    balanced.options["workers"] = 1
    balanced.start()
    socks = [client.connect() for _ in range(3)]
    drop(socks[0], v1()[:20])
    socks[1].sendall(v1() + b"x")
    assert client.receive(socks[1], 1) == b"x"
    wait_for("three connections", lambda: sorted(row["phase"] for row in connections(balanced)) ==
             ["open", "prelude", "prelude"])
    balanced.expect_log("worker 0 .* killed by SIGKILL .*3 connections lost")
    processes.kill(balanced.workers()[0])
    for sock in socks:
        assert sees_end(sock)
        sock.close()
    wait_for("the next worker", balanced.workers)
    expect_closed(balanced, lost_in_crash=3)


def test_a_crash_names_the_client_of_the_header(balanced):
    balanced.listeners.append({**FAULT, "accept_proxy": True, "trusted": [SENDER]})
    balanced.start()
    balanced.expect_log(rf"killed by SIGABRT .*1 connection lost; was serving "
                        rf"{re.escape(text(CLIENT))} on listener fault")
    balanced.expect_log("stack #")
    with client.connect(client.FAULT) as sock:
        sock.sendall(v1() + b"abort\n")
        assert sees_end(sock)
    balanced.wait_log("was serving")
    wait_for("two workers", lambda: len(balanced.workers()) == 2)


def test_the_session_log_knows_both_however_it_ended(balanced):
    balanced.options["session_log"] = balanced.path("sessions")
    balanced.listeners[0].update(deny=["203.0.113.0/24"])
    balanced.start()
    wanted = []
    with client.connect() as sock:
        sock.sendall(v1() + b"x")
        assert client.receive(sock, 1) == b"x"
        wanted.append((text(CLIENT), text(sock.getsockname()), "reset"))
        client.reset(sock)
    with client.connect() as sock:
        wanted.append(("203.0.113.1:1", text(sock.getsockname()), "denied"))
        sock.sendall(v2(source=("203.0.113.1", 1)))
        assert sees_reset(sock)
    with client.connect() as sock:
        wanted.append((text(sock.getsockname()), "-", "proxy_header"))
        sock.sendall(BAD["http"])
        assert sees_reset(sock)
    lines = wait_for("three lines", lambda: (
        lambda found: len(found) == 3 and found)(sessions.lines(balanced.path("sessions"))))
    assert sorted((line["client"], line["via"], line["reason"]) for line in lines) == sorted(wanted)


def test_a_client_of_a_header_can_be_killed(balanced):
    balanced.start()
    with client.connect() as sock:
        sock.sendall(v1() + b"x")
        assert client.receive(sock, 1) == b"x"
        admin.asked(balanced, "kill", connections(balanced)[0]["id"])
        assert sees_reset(sock)
    with client.connect() as sock:
        drop(sock, v1()[:20])
        wait_for("it", lambda: connections(balanced))
        assert connections(balanced)[0]["phase"] == "prelude"
        admin.asked(balanced, "kill", connections(balanced)[0]["id"])
        assert sees_reset(sock)
    expect_closed(balanced, killed=2)


# -- on to the back end ---------------------------------------------------------------------------

@pytest.fixture
def front(server):
    """Not started: a proxy behind load balancers."""
    server.listeners = [listener("front", protocol="proxy", upstream="be", accept_proxy=True,
                                 trusted=[SENDER])]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": "127.0.0.1:7100"}]}]
    return server


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("came", HEADERS)
def test_the_back_end_is_told_client_and_target_of_the_header(front, came, version):
    front.options["upstreams"][0]["send_proxy"] = version
    front.start()
    with Backend() as backend, client.connect() as sock:
        sock.sendall(HEADERS[came] + b"hello")
        wait_for("a session at the back end", lambda: backend.accepted)
        wanted = (v1() if version == "v1" else v2()) + b"hello"
        assert client.receive(backend.accepted[0], len(wanted)) == wanted


def test_a_session_begins_only_behind_the_header(front):
    front.start()
    with Backend() as backend, client.connect() as sock:
        drop(sock, v2()[:27])
        assert not backend.accepted
        sock.sendall(v2()[27:])
        wait_for("a session at the back end", lambda: backend.accepted)


def test_client_hash_goes_by_the_client(front):
    """Whichever sender it comes through, a client has its server; different ones are spread."""
    front.listeners[0].update(trusted=["127.0.0.0/8"])
    front.options["upstreams"][0].update(balance="client_hash", servers=[
        {"address": f"127.0.0.1:{port}"} for port in (7100, 7101)])

    def answer(name):
        def serve(sock):
            with sock:
                sock.sendall(name)
        return serve
    front.start()

    def server_of(address, sender):
        with client.connect(source=sender) as sock:
            sock.sendall(v1(source=(address, 1)))
            return client.receive(sock, 1)
    with Backend(answer(b"a")), Backend(answer(b"b"), ("127.0.0.1", 7101)):
        clients = [f"203.0.113.{number}" for number in range(24)]
        first = {address: server_of(address, "127.0.0.1") for address in clients}
        again = {address: server_of(address, "127.0.0.2") for address in clients}
    assert first == again
    assert set(first.values()) == {b"a", b"b"}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_chain_of_servers_keeps_client_and_target(front, make_server, version):
    """acceptd in front of acceptd in front of acceptd: the last one knows who began."""
    del front.listeners[0]["accept_proxy"], front.listeners[0]["trusted"]
    front.options["upstreams"][0]["send_proxy"] = version
    middle = make_server()
    middle.listeners = [listener("middle", "127.0.0.1:7100", "proxy", upstream="be",
                                 accept_proxy=True, trusted=[SENDER])]
    middle.options["upstreams"] = [{"name": "be", "send_proxy": version,
                                    "servers": [{"address": "127.0.0.1:7200"}]}]
    last = make_server()
    last.listeners = [listener("last", "127.0.0.1:7200", accept_proxy=True, trusted=[SENDER],
                               allow=["127.0.5.0/24"])]
    for server in (last, middle, front):
        server.start()
    with client.connect(source="127.0.5.5") as sock:
        assert client.ask(sock) == b"hello\n"
        for server in (front, middle, last):
            assert connections(server)[0]["peer"] == text(sock.getsockname())
        assert connections(front)[0]["via"] is None
        assert connections(last)[0]["via"].startswith("127.0.0.1:")
    with pytest.raises(ConnectionError), client.connect(source="127.0.6.6") as sock:
        sock.sendall(b"x")
        client.receive(sock, 1)
    wait_for("the denial at the end", lambda: closed(last, "last") == {"client": 1, "denied": 1})


def test_checks_of_one_server_by_another_are_no_faults(front, make_server):
    """Our own health checks speak for themselves, by a header too."""
    del front.listeners[0]["accept_proxy"], front.listeners[0]["trusted"]
    front.options["upstreams"][0].update(send_proxy="v2", check={
        "when": "always", "interval": "100ms", "send": "ping", "expect": "ping"})
    back = make_server()
    back.listeners = [listener("back", "127.0.0.1:7100", accept_proxy=True, trusted=[SENDER])]
    back.start()
    front.start()
    wait_for("good checks", lambda: closed(back, "back").get("client", 0) >= 3)
    assert set(closed(back, "back")) == {"client"}
    assert not back.log_lines(" warning ")
