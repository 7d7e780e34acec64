"""Peers that fall silent. The cut is a rule of nftables in the test's own namespace."""
import os
import shutil
import socket
import subprocess
import time

import pytest

from harness import client
from harness.admin import asked_json
from harness.backend import Backend
from harness.config import listener
from harness.waiting import PATIENCE, holds_for, seconds, wait_for

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not shutil.which("nft"), reason="no nftables"),
]


def nft(rules):
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def cut(*socks):
    """Drop every packet of these connections, both ways."""
    ports = ", ".join(str(sock.getsockname()[1]) for sock in socks)
    drop("tcp sport { %s } drop\ntcp dport { %s } drop" % (ports, ports))


def drop(rules):
    nft("table inet cut {\nchain out {\ntype filter hook output priority 0;\n%s\n}\n}\n" % rules)


def heal():
    nft("delete table inet cut\n")


def served(port=7000):
    """Ports of the clients whose connections the server still has."""
    out = subprocess.run(["ss", "-Htn", "state", "established", f"sport = :{port}"],
                         capture_output=True, text=True, check=True).stdout
    return {int(line.split()[3].rsplit(":", 1)[1]) for line in out.splitlines()}


def port(sock):
    return sock.getsockname()[1]


KEEPALIVE = {"idle": "1s", "interval": "1s", "probes": 2}


def test_idle_peer_that_vanished_is_released(server):
    """idle 1 s, two probes 1 s apart: at most 3 s and a timer's grain after the last byte."""
    server.listeners[0]["keepalive"] = KEEPALIVE
    server.start()
    gone, living = client.connect(), client.connect()
    client.ask(gone)
    client.ask(living)
    began = time.monotonic()
    cut(gone)
    wait_for("released", lambda: port(gone) not in served())
    assert 1.5 < time.monotonic() - began < seconds(15)
    assert client.ask(living) == b"hello\n"
    assert server.worker_of(living)
    wait_for("no descriptor left", lambda: len(served()) == 1)


def test_many_idle_peers_cut_at_once(server):
    server.listeners[0]["keepalive"] = KEEPALIVE
    server.start()
    gone, living = client.Held(100), client.Held(5)
    cut(*gone.socks)
    wait_for("released", lambda: len(served()) == 5)
    living.prove_all()


def test_short_cut_loses_nothing(server):
    """Shorter than the bounds: the stream goes on byte-exact."""
    server.listeners[0]["keepalive"] = {"idle": "1s", "interval": "1s", "probes": 9}
    server.start()
    sock = client.connect()
    client.ask(sock)
    cut(sock)
    data = client.pattern(40000)
    sock.sendall(data)
    holds_for("still served", lambda: port(sock) in served(), 1.5)
    heal()
    assert client.receive(sock, len(data)) == data


def test_peer_that_vanished_with_unacknowledged_data_is_released(server):
    """Keepalive does not run then; the write timeout or the user timeout ends it."""
    server.listeners[0].update(keepalive=KEEPALIVE, user_timeout="2s", write_timeout="60s")
    server.start()
    sock = client.connect()
    client.ask(sock)
    drop("tcp sport 7000 tcp dport %d drop" % port(sock))  # the answer alone is lost
    sock.sendall(b"anybody?")
    began = time.monotonic()
    wait_for("released", lambda: port(sock) not in served())
    assert time.monotonic() - began < seconds(20)


def test_living_peer_that_does_not_read_is_not_taken_for_a_dead_one(server):
    """Zero window, but it answers every probe: longer than keepalive would take."""
    server.listeners[0].update(keepalive=KEEPALIVE, write_timeout="60s", idle_timeout="60s")
    server.start()
    sock = client.connect()
    sock.setblocking(False)
    sent = 0
    quiet = time.monotonic()
    while time.monotonic() - quiet < 0.3:
        try:
            sent += sock.send(b"x" * 65536)
            quiet = time.monotonic()
        except BlockingIOError:
            pass
    holds_for("still served", lambda: port(sock) in served(), 4.5)
    sock.settimeout(seconds(PATIENCE))
    assert client.receive(sock, sent) == b"x" * sent


def test_refused_and_reset_by_the_network_is_no_error(server):
    """A firewall answers with RST in the middle."""
    server.start()
    sock = client.connect()
    client.ask(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    wait_for("released", lambda: not served())
    assert client.echoes()


@pytest.mark.parametrize("has_request", [False, True], ids=["idle", "with a request under way"])
def test_a_back_end_that_vanished_is_given_up(server, has_request):
    """Keepalive finds it when it is idle, and the look at unacknowledged data when it is not."""
    server.listeners = [listener("front", protocol="proxy", upstream="be", keepalive=KEEPALIVE)]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": "127.0.0.1:7100"}]}]
    server.start()
    with Backend() as backend, client.connect() as sock:
        sock.sendall(b"hello")
        wait_for("a session at the back end", lambda: backend.accepted)
        assert client.receive(backend.accepted[0], 5) == b"hello"
        began = time.monotonic()
        drop("tcp sport 7100 drop\ntcp dport 7100 drop")
        if has_request:
            sock.sendall(b"anybody?")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert 1.5 < time.monotonic() - began < seconds(20)
        heal()


def test_a_client_that_reboots_comes_back_from_the_same_port(server):
    """Its host forgot the connection without a word; the server has not noticed. The new SYN meets
    the old connection: challenged, the client resets it, and its next SYN is let in (RFC 5961)."""
    server.listeners[0]["keepalive"] = {"idle": "1h", "interval": "1h", "probes": 9}
    server.start()
    before = client.connect(source="127.0.0.9")
    client.ask(before)
    source = before.getsockname()
    drop(f"tcp sport {source[1]} drop")
    client.reset(before)
    assert source[1] in served()
    heal()
    began = time.monotonic()
    with socket.socket() as again:
        again.settimeout(seconds(PATIENCE))
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(source)
        again.connect(client.ECHO)
        assert client.ask(again) == b"hello\n"
        assert time.monotonic() - began < seconds(15)
        assert served() == {source[1]}
    wait_for("both counted", lambda: asked_json(server, "listeners")[0]["open"] == 0)
    row = asked_json(server, "listeners")[0]
    assert row["accepted"] == 2
    assert (row["closed"]["reset"], row["closed"]["client"]) == (1, 1)
