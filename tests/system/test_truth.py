"""The statistics are true: they are what the clients did and what the kernel counted, at every
instant, and never go back, whatever happens to the processes."""
import collections
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import client, config, processes, sessions
from harness.admin import Session, acceptctl, asked_json
from harness.kernel import Crowd, nstat, states, stopped
from harness.truth import Watch
from harness.waiting import PATIENCE, is_sanitized, seconds, wait_for

pytestmark = pytest.mark.skipif(not (shutil.which("ss") and shutil.which("nstat")),
                                reason="no iproute2")


def listener_of(server, name="echo"):
    return next(row for row in asked_json(server, "listeners") if row["name"] == name)


def settled(server, accepted):
    """The listener when all its clients have come and gone; an answer may be 10 ms old."""
    return wait_for(f"{accepted} accepted, nobody left", lambda: (
        lambda row: row["accepted"] == accepted and row["open"] == 0 and row)(listener_of(server)))


def json_of(session, line):
    code, _, body = session.ask(line + " --json")
    assert code == "ok"
    return json.loads(body)


# -- T1, T3, T10: the clients' own count, the kernel's, the histogram's ----------------------------

def many(count, threads=4):
    """Known connections with known bytes. @return bytes sent by all of them"""
    def run(number):
        sent = 0
        for i in range(number, count, threads):
            data = b"x" * (1 + i % 700)
            with client.connect() as sock:
                assert client.ask(sock, data) == data
            sent += len(data)
        return sent
    return sum(client.at_once(threads, run))


def test_ten_thousand_connections_and_their_bytes_are_exact(server):
    """And acceptctl, Prometheus and the kernel agree; the histogram holds who was measured."""
    server.options["admin"]["web"] = "127.0.0.1:7080"
    server.start()
    count = 10000
    opened = nstat("TcpPassiveOpens")
    total = many(count)
    row = settled(server, count)
    assert nstat("TcpPassiveOpens") - opened == count
    assert row["gone_in_queue"] == 0
    assert (row["received_bytes"], row["sent_bytes"]) == (total, total)
    assert {reason: n for reason, n in row["closed"].items() if n} == {"client": count}
    assert sum(worker["accepted"] for worker in asked_json(server, "workers")) == count
    assert row["dropped_segments"] == nstat("TcpExtListenDrops") == 0
    check_prometheus(row)


def metrics():
    web = http.client.HTTPConnection("127.0.0.1", 7080, timeout=seconds(PATIENCE))
    web.request("GET", "/metrics")
    text = web.getresponse().read().decode()
    web.close()
    return [line for line in text.splitlines() if not line.startswith("#")]


def check_prometheus(row):
    """The same numbers there; and of the waits, buckets that only grow and end in the count."""
    def value_of(pattern):
        return [int(float(line.rsplit(" ", 1)[1])) for line in lines if re.match(pattern, line)]
    lines = wait_for("a fresh page", lambda: (lambda found: any(
        re.match(rf'acceptd_\w*accepted\w*{{listener="echo".*}} {row["accepted"]}$', line)
        for line in found) and found)(metrics()))
    buckets = value_of(r'acceptd_accept_queue_wait_seconds_bucket{listener="echo"')
    assert buckets == sorted(buckets)
    assert buckets[-1:] == value_of(r'acceptd_accept_queue_wait_seconds_count{listener="echo"')
    assert buckets[-1] == row["queue_wait_measured"] <= row["accepted"]
    assert row["queue_wait_measured"] > row["accepted"] / 10


def test_connections_the_kernel_opened_are_accepted_or_in_the_queue(server):
    """PassiveOpens = accepted + in the queue, gone ones included."""
    server.start()
    opened = nstat("TcpPassiveOpens")
    for _ in range(10):
        assert client.echoes()
    with stopped(server.workers().values()):
        with Crowd(30) as crowd:
            for sock in crowd.socks[:7]:
                client.reset(sock)
            assert nstat("TcpPassiveOpens") - opened == 40
            row = wait_for("the depth", lambda: (lambda row: row["queue_depth"] == 30 and row)(
                listener_of(server)))
            assert row["accepted"] == 10
            for pid in server.workers().values():
                os.kill(pid, signal.SIGCONT)
            for sock in crowd.socks[7:]:
                sock.settimeout(seconds(PATIENCE))
                assert client.ask(sock, b"?") == b"?"
    row = settled(server, 40)
    assert row["closed"]["reset"] + row["closed"]["gone_in_queue"] == 7
    assert row["closed"]["client"] == 33


# -- T2: conservation -----------------------------------------------------------------------------

def test_snapshots_under_load_are_conserved(server):
    """Two hundred different ones: the monitor reads the board anew every 10 ms at most."""
    server.start()
    seen = set()
    with client.Load(threads=4, pause=0) as load, Session(server.path("admin.sock")) as session:
        while len(seen) < 200:
            row = json_of(session, "listeners")[0]
            assert row["accepted"] == row["open"] + sum(row["closed"].values())
            assert 0 <= row["open"] <= 4 + 64  # those of the load, and ends not yet noticed
            seen.add(row["accepted"])
        wait_for("load", lambda: load.completed > 100)
    assert load.failures == []
    assert settled(server, load.completed)["closed"]["client"] == load.completed


def board_of(server):
    """The master's descriptor of the board, as a path."""
    return next(f"/proc/{server.master}/fd/{number}"
                for number, what in processes.descriptors(server.master).items()
                if "memfd:acceptd board" in what)


def test_each_worker_and_listener_is_conserved_in_a_thousand_snapshots(server):
    """Read as the monitor reads them, but for its pause of 10 ms: each in a thousand states."""
    server.listeners.append(config.listener("other", "127.0.0.1:7002"))
    server.start()
    program = os.path.join(os.environ["ACCEPTD_BUILD"], "tests/system/board_snapshots")
    with client.Load(threads=2, pause=0) as load, \
            client.Load(("127.0.0.1", 7002), threads=2, pause=0) as other:
        result = subprocess.run([program, board_of(server), "1000", "60"], capture_output=True,
                                text=True, check=False)
    assert result.returncode == 0, result
    assert load.failures == other.failures == []
    for name, clients in (("echo", load), ("other", other)):
        row = wait_for("all gone", lambda n=name: (lambda row: row["open"] == 0 and row)(
            listener_of(server, n)))
        assert row["accepted"] == sum(row["closed"].values()) == clients.completed


# -- T4, T5: nothing goes back --------------------------------------------------------------------

def test_fifty_killed_workers_take_no_count_with_them(server):
    """No counter falls; what was lost is what the clients lost; open is what ss counts."""
    workers = 10
    server.options["workers"] = workers
    server.start()
    server.expected.append(r"worker \d+ .*killed by SIGKILL")
    lost = 0
    with Watch(server) as watch:
        for _ in range(5):
            held = client.Held(20)
            processes.kill(*server.workers().values())
            wait_for("all reset", lambda: held.lost() == 20)
            lost += 20
            held.close()
            wait_for("all workers again", lambda: len(server.workers()) == workers)
        held = client.Held(7)
        wait_for("open as ss has it",
                 lambda: listener_of(server)["open"] == states(7000).get("ESTAB") == 7)
        held.close()
    row = settled(server, 107)
    assert watch.fallen == [] and watch.looks > 10
    assert row["closed"]["lost_in_crash"] == lost == 100
    assert sum(row["closed"].values()) == 107
    rows = asked_json(server, "workers")
    assert sum(worker["starts"] for worker in rows) == 60
    assert {worker["last_crash"] for worker in rows} == {"SIGKILL"}
    assert all(abs(worker["last_crash_seconds"] - time.time()) < seconds(60) for worker in rows)
    assert asked_json(server, "status")["worker_crashes"] == 50


def test_reloads_under_load_reset_nothing(server):
    server.start()
    with Watch(server) as watch, client.Load() as load:
        for number in range(10):
            server.listeners[0]["idle_timeout"] = f"{30 + number}s"
            assert acceptctl(server, "status").returncode == 0
            server.reload()
    assert watch.fallen == [] and load.failures == []
    server.wait_log(r"configuration 11 is in force")
    assert settled(server, load.completed)["closed"]["client"] == load.completed
    server.settle()


# -- T8: one end, one reason ----------------------------------------------------------------------

def hold_and_refuse(server):
    held = client.Held(5)
    try:
        with client.connect() as refused:
            wait_for("refused", lambda: client.is_ended(refused))
    except ConnectionResetError:  # at once
        pass
    return held


def reset_in_queue(server):
    with stopped(server.workers().values()):
        sock = client.connect()
        client.reset(sock)


def reset_by_client(server):
    sock = client.connect()
    client.ask(sock)
    client.reset(sock)


def silent_client(server):
    sock = client.connect()
    client.ask(sock)
    wait_for("closed", lambda: client.is_ended(sock))
    sock.close()


def busy_client(server):
    with client.connect() as sock:
        def over():
            try:
                return client.ask(sock) != b"hello\n"
            except (OSError, EOFError):
                return True
        wait_for("closed", over)


def deaf_client(server):
    """Sends and takes nothing back."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(client.ECHO)
    sock.setblocking(False)

    def over():
        try:
            sock.send(b"x" * 65536)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False
    wait_for("closed", over)
    sock.close()


def killed_by_operator(server):
    sock = client.connect()
    client.ask(sock)
    found = asked_json(server, "connections")
    rows = found["connections"] if isinstance(found, dict) else found
    assert acceptctl(server, "kill", str(rows[0]["id"])).returncode == 0
    wait_for("closed", lambda: client.is_ended(sock))
    sock.close()


ENDS = [
    ("client", {}, {}, lambda server: client.echoes()),
    ("reset", {}, {}, reset_by_client),
    ("idle", {}, {"idle_timeout": "200ms"}, silent_client),
    ("write_timeout", {}, {"write_timeout": "300ms"}, deaf_client),
    ("lifetime", {}, {"lifetime": "300ms"}, busy_client),
    ("refused_limit", {"max_connections": 5}, {"on_limit": "refuse"}, hold_and_refuse),
    ("gone_in_queue", {}, {}, reset_in_queue),
    ("killed", {}, {}, killed_by_operator),
]


@pytest.mark.parametrize("reason,options,listener,end", ENDS, ids=[row[0] for row in ENDS])
def test_every_end_moves_one_reason(server, reason, options, listener, end):
    server.options.update(options)
    server.options["session_log"] = server.path("sessions")
    server.listeners[0].update(listener)
    server.start()
    held = end(server)
    row = wait_for("the end counted", lambda: (
        lambda row: sum(row["closed"].values()) == 1 and row)(listener_of(server)))
    assert {name: n for name, n in row["closed"].items() if n} == {reason: 1}
    assert row["accepted"] == row["open"] + 1
    wait_for("its line", lambda: sessions.lines(server.path("sessions")))
    assert [line["reason"] for line in sessions.lines(server.path("sessions"))] == [reason]
    if isinstance(held, client.Held):
        held.close()


# -- states ---------------------------------------------------------------------------------------

def test_states_of_a_mixed_crowd_are_those_of_ss(server):
    """Living, half-closed, queued clients; the answer is one second old at most."""
    names = {"ESTAB": "established", "CLOSE-WAIT": "close_wait", "FIN-WAIT-2": "fin_wait2",
             "TIME-WAIT": "time_wait", "SYN-RECV": "syn_recv", "LISTEN": "listen",
             "LAST-ACK": "last_ack", "FIN-WAIT-1": "fin_wait1", "CLOSING": "closing"}
    server.start()
    held = client.Held(5)
    with stopped(server.workers().values()):
        for sock in held.socks[:2]:
            sock.shutdown(socket.SHUT_WR)  # nobody answers: CLOSE_WAIT
        with Crowd(3):
            by_ss = collections.Counter()
            for state, count in states(7000).items():
                by_ss[names[state]] += count
            assert by_ss == {"established": 6, "close_wait": 2, "listen": 1}

            def agreed():
                row = asked_json(server, "states", "echo")[0]
                return row if all(row[name] == by_ss[name] for name in names.values()) else None
            row = wait_for("the same states", agreed)
            assert row["oldest_close_wait_ms"] < seconds(PATIENCE) * 1000
    held.close()


def test_the_cost_of_a_snapshot_is_bounded(server):
    """A hundred listeners, eight workers: an answer in milliseconds."""
    server.options["workers"] = 8 if not is_sanitized() else 2
    server.listeners = [config.listener(f"l{i}", f"127.0.0.1:{7000 + i}") for i in range(100)]
    server.start()
    with Session(server.path("admin.sock")) as session:
        json_of(session, "listeners")
        costs = []
        for _ in range(20):
            time.sleep(0.011)  # past what is kept
            began = time.monotonic()
            assert len(json_of(session, "listeners")) == 100
            costs.append(time.monotonic() - began)
    assert sorted(costs)[10] < seconds(0.3)
