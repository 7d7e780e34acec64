"""The statistics of the proxy are true: what the clients and the back end count, at every instant,
and whatever happens to the workers."""
import json

import pytest

from harness import admin, client, processes
from harness.backend import Backend
from harness.backend_process import BackEndProcess
from harness.config import listener
from harness.truth import Watch
from harness.waiting import is_sanitized, wait_for


@pytest.fixture
def proxy(server):
    """Not started: one listener, one upstream with one server."""
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": "127.0.0.1:7100"}]}]
    return server


def limit(proxy, places):
    proxy.options["upstreams"][0]["servers"][0]["max_connections"] = places


def front(proxy):
    return admin.asked_json(proxy, "listeners")[0]


def server_row(proxy):
    return admin.asked_json(proxy, "upstreams")[0]


def settled(proxy):
    return wait_for("all sessions over", lambda: (lambda row: row["open"] == 0 and row)(front(proxy)))


def ask_all(count, threads=4):
    """Sessions that each send so many bytes and get twice as many. @return bytes sent by all"""
    def run(number):
        sent = 0
        for i in range(number, count, threads):
            data = b"x" * (1 + i * 37 % 5000)
            with client.connect() as sock:
                sock.sendall(data)
                assert client.receive(sock, 2 * len(data)) == 2 * data
            sent += len(data)
        return sent
    return sum(client.at_once(threads, run))


def test_sessions_and_their_bytes_are_exact(proxy):
    """Listener, server, clients and back end agree to the byte."""
    count = 1500

    def double(sock):
        with sock:
            while data := sock.recv(1 << 16):
                sock.sendall(2 * data)
    proxy.start()
    with Backend(double) as backend:
        total = ask_all(count)
        row = settled(proxy)
        assert len(backend.accepted) == count
    assert (row["accepted"], row["received_bytes"], row["sent_bytes"]) == (count, total, 2 * total)
    assert {reason: n for reason, n in row["closed"].items() if n} == {"client": count}
    row = server_row(proxy)
    assert (row["sessions"], row["connected"], row["open"]) == (count, count, 0)
    assert (row["to_server_bytes"], row["from_server_bytes"]) == (total, 2 * total)
    failures = ("connect_refused", "connect_timeouts", "connect_failures", "no_port", "syn_retries")
    assert not any(row[name] for name in failures)


def test_snapshots_of_the_proxy_under_load_are_conserved(proxy):
    """And no snapshot ever shows more sessions at the server than it may have."""
    limit(proxy, 3)
    proxy.start()
    seen, fullest = set(), 0
    with BackEndProcess(), admin.Session(proxy.path("admin.sock")) as session:
        with client.Load(threads=8, pause=0) as load:
            while len(seen) < 100:
                row = json.loads(session.ask("listeners --json")[2])[0]
                assert row["accepted"] == row["open"] + sum(row["closed"].values())
                seen.add(row["accepted"])
                row = json.loads(session.ask("upstreams --json")[2])[0]
                assert row["connected"] <= row["sessions"]
                assert row["open"] <= 3
                fullest = max(fullest, row["open"])
        row = settled(proxy)
    assert load.failures == [] and fullest == 3
    assert row["accepted"] == load.completed == server_row(proxy)["sessions"]


def test_killed_workers_give_the_places_at_the_back_end_back(proxy):
    """No counter falls; what is lost is what the clients lost; and afterwards the server takes as
    many as it may, no more and no fewer."""
    workers, places = 4, 12
    proxy.options["workers"] = workers
    limit(proxy, places)
    proxy.start()
    proxy.expected.append(r"worker \d+ .*killed by SIGKILL")
    rounds = 2 if is_sanitized() else 5
    with BackEndProcess(), Watch(proxy) as watch:
        for number in range(rounds):
            held = client.Held(places)
            wait_for("all have a place", lambda: server_row(proxy)["open"] == places)
            processes.kill(*proxy.workers().values())
            wait_for("all reset", lambda: held.lost() == places)
            held.close()
            wait_for("all workers again", lambda: (
                len(proxy.workers()) == workers and server_row(proxy)["open"] == 0))
            wait_for("all counted as lost", lambda number=number: (
                front(proxy)["closed"]["lost_in_crash"] == (number + 1) * places))
        held = client.Held(places)
        with client.connect() as waiting:
            waiting.sendall(b"hello\n")
            wait_for("one too many waits", lambda: server_row(proxy)["waiting"] == 1)
            assert server_row(proxy)["open"] == places
            held.socks.pop().close()
            assert client.receive(waiting, 6) == b"hello\n"
        held.close()
        settled(proxy)
        proxy.settle()
    assert watch.fallen == []
