"""What happens to clients before accept: the server's numbers against ss, nstat and the clients
themselves; the cause of an overflow in words."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import client
from harness.admin import asked_json
from harness.kernel import Crowd, listening, nstat, states, stopped, syn_flood, sysctl
from harness.waiting import PATIENCE, holds_for, seconds, wait_for

pytestmark = pytest.mark.skipif(not (shutil.which("ss") and shutil.which("nstat")),
                                reason="no iproute2")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
FULL = r"listener echo: accept queue full"


def listener_of(server, name="echo"):
    return next(row for row in asked_json(server, "listeners") if row["name"] == name)


@pytest.fixture
def small(server):
    """A short queue, and a master that is patient with stopped workers."""
    server.listeners[0]["backlog"] = 8
    return server


# -- numbers --------------------------------------------------------------------------------------

def test_depth_drops_and_waiting_clients_agree_with_the_kernel(small):
    """One instant: the queue by ss, the drops by nstat, who waits by the clients."""
    small.start()
    with stopped(small.workers().values()):
        with Crowd(30) as crowd:
            depth, limit = listening(7000)
            assert (depth, limit) == (9, 8)  # a limit of 8 holds 9
            assert len(crowd.connected()) == 9 and len(crowd.waiting()) == 21
            assert nstat("TcpExtListenOverflows") >= 21

            def agreed():
                row = listener_of(small)
                drops = nstat("TcpExtListenDrops")
                return row["dropped_segments"] == drops and row["queue_overflows"] and row
            row = wait_for("the drops of one instant", agreed)
            assert (row["queue_depth"], row["queue_limit"]) == (9, 8)
            assert row["queue_peak"] == 9 and row["queue_overflows"] == 1
            wait_for("the minute's peak", lambda: listener_of(small)["queue_peak_minute"] == 9)
            os.kill(next(iter(small.workers().values())), signal.SIGCONT)
            crowd.wait_served()
    row = wait_for("an empty queue and every drop", lambda: (
        lambda row: row["queue_depth"] == 0 and
        row["dropped_segments"] == nstat("TcpExtListenDrops") and row)(listener_of(small)))
    assert row["accepted"] == 30 and row["queue_peak"] == 9


def hold(whose):
    """No ACK of theirs leaves from now on, in place of those held before."""
    rules = (f"table inet hold {{\nchain out {{\ntype filter hook output priority 0;\n{whose} "
             "tcp flags & (syn | ack | rst | fin) == ack drop\n}\n}\n")
    subprocess.run(["nft", "-f", "-"], text=True, check=True,
                   input="table inet hold {}\ndelete table inet hold\n" + rules)


@pytest.mark.skipif(not shutil.which("nft"), reason="no nftables")
@pytest.mark.parametrize("abort", [0, 1])
def test_a_handshake_that_ends_at_a_full_queue(small, abort):
    """The client's last ACK is lost, the queue fills, the ACK comes: with tcp_abort_on_overflow the
    client is reset, without it the client waits and is served."""
    sysctl("ipv4.tcp_abort_on_overflow", abort)
    small.start()
    with stopped(small.workers().values()):
        hold("tcp dport 7000")
        with Crowd(4) as early:
            assert len(early.connected()) == 4 and states(7000).get("SYN-RECV") == 4
            ports = ", ".join(str(sock.getsockname()[1]) for sock in early.socks)
            hold(f"tcp sport {{ {ports} }}")
            with Crowd(9) as late:
                assert len(late.connected()) == 9 and listening(7000)[0] == 9
                before = nstat("TcpExtListenOverflows")
                subprocess.run(["nft", "delete", "table", "inet", "hold"], check=True)
                for sock in early.socks:
                    # the answer to a repeated SYN-ACK may have come before
                    with contextlib.suppress(ConnectionResetError if abort else ()):
                        sock.send(b"?")
                if abort:
                    wait_for("all four reset", lambda: not early.connected())
                    wait_for("the same depth", lambda: listener_of(small)["queue_depth"] == 9)
                else:
                    wait_for("their ACKs refused",
                             lambda: nstat("TcpExtListenOverflows") >= before + 4)
                    assert len(early.connected()) == 4
                small.wait_log(FULL)
                for pid in small.workers().values():
                    os.kill(pid, signal.SIGCONT)
                late.wait_served()
                if not abort:
                    for sock in early.socks:
                        sock.settimeout(seconds(PATIENCE))
                        assert sock.recv(1) == b"?"


@pytest.mark.parametrize("wait_ms", [10, 100, 1000])
def test_waits_made_on_purpose_are_the_waits_that_are_shown(small, wait_ms):
    small.options["workers"] = 1
    small.start()
    with stopped(small.workers().values()):
        before_connect = time.monotonic()
        sock = client.connect()
        after_connect = time.monotonic()
        time.sleep(wait_ms / 1000)
        least_ms = (time.monotonic() - after_connect) * 1000
    with sock:
        client.ask(sock)
        most_ms = (time.monotonic() - before_connect) * 1000
    row = wait_for("the measure", lambda: listener_of(small)["queue_wait_measured"] == 1 and
                   listener_of(small))
    # a tick at either end (CONFIG_HZ from 100), and half a bucket of the histogram
    assert least_ms * 15 / 16 - 10 <= row["queue_wait_p50_ms"] <= most_ms * 17 / 16 + 10
    assert row["queue_wait_p50_ms"] == row["queue_wait_p99_ms"] == row["queue_wait_longest_ms"]
    assert row["accepted"] == 1


# -- causes ---------------------------------------------------------------------------------------

def told_within_a_second(server, began):
    """The first line about the overflow, which is an event, too. @param began  wall clock"""
    line = server.wait_log(FULL)
    event = next(event for event in asked_json(server, "events")
                 if "accept queue full" in event["text"])
    assert event["text"] in line and event["level"] == "warning"
    assert event["time_ms"] / 1000 - began < seconds(2.0)
    return line


def burst(server, count=30):
    """Start, and overflow while the workers are stopped for a moment. @return what is told"""
    server.start()
    with stopped(server.workers().values()):
        crowd = Crowd(count)
        began = time.time()
        wait_for("an overflow", lambda: listener_of(server)["queue_overflows"] == 1)
    with crowd:
        line = told_within_a_second(server, began)
        crowd.wait_served()
    return line


def test_a_backlog_that_is_too_small_is_named_with_its_cure(small):
    assert "raise the listener's backlog above 8" in burst(small)


def test_a_limit_cut_by_somaxconn_is_named_with_the_command(small):
    sysctl("core.somaxconn", 16)
    small.options["kernel"] = {"somaxconn": "keep"}
    small.listeners[0]["backlog"] = 1000
    line = burst(small)
    assert "(limit 16 = net.core.somaxconn, 1000 asked for)" in line
    assert "sysctl -w net.core.somaxconn=1000, then acceptctl reload" in line


def test_stopped_workers_are_named_with_pid_and_silence(small):
    small.start()
    workers = small.workers()
    with stopped(workers.values()):
        began = time.time()
        with Crowd(30) as crowd:
            line = told_within_a_second(small, began)
            match = re.search(r"worker (\d) \(pid (\d+)\) has made no progress for \d", line)
            assert match and workers[int(match.group(1))] == int(match.group(2))
            for pid in workers.values():
                os.kill(pid, signal.SIGCONT)
            crowd.wait_served()


def test_the_limit_of_connections_is_named(small):
    small.options["max_connections"] = 10
    small.start()
    held = [client.Held(5), client.Held(5)]
    began = time.time()
    with Crowd(30):
        line = told_within_a_second(small, began)
        assert "wait at a connection limit (max_connections = 10" in line
        assert "workers" in line and "backlog above" not in line
    for some in held:
        some.prove_all()
        some.close()


@as_root
def test_want_of_descriptors_is_named(small):
    small.options["workers"] = 1
    small.start()
    pid = small.workers()[0]
    subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "prlimit",
                    f"--pid={pid}", "--nofile=64:64"], check=True)
    held = []
    while not asked_json(small, "workers")[0]["pause"]:
        held.append(client.connect())
        held[-1].send(b"?")
        assert len(held) < 64
    began = time.time()
    with Crowd(30):
        line = told_within_a_second(small, began)
        assert "1 of 1 workers are out of descriptors; raise the limit of open files" in line
    for sock in held:
        sock.close()
    assert client.echoes()


def test_the_end_is_told_with_an_estimate_that_is_no_exaggeration(small):
    """Segments are not clients; and nobody was lost, so nobody says so."""
    small.start()
    with stopped(small.workers().values()):
        with Crowd(40) as crowd:
            delayed = len(crowd.waiting())
            wait_for("retransmissions", lambda: nstat("TcpExtListenDrops") >= 2 * delayed)
            for pid in small.workers().values():
                os.kill(pid, signal.SIGCONT)
            crowd.wait_served()
    line = small.wait_log(FULL + " for ")
    segments, clients = (int(n) for n in re.search(
        r"(\d+) segments dropped, at least (\d+) clients delayed", line).groups())
    assert 2 * delayed <= segments <= nstat("TcpExtListenDrops")
    assert delayed / 2 <= clients <= delayed
    assert not re.search(r"\blost\b", small.log())


def test_a_storm_of_overflows_is_told_once_and_counted(small):
    small.start()
    for number in range(3):
        with stopped(small.workers().values()), Crowd(20) as crowd:
            wait_for("overflow", lambda: nstat("TcpExtListenOverflows") > 11 * number)
            for pid in small.workers().values():
                os.kill(pid, signal.SIGCONT)
            crowd.wait_served()
    wait_for("counted", lambda: listener_of(small)["queue_overflows"] >= 1)
    wait_for("told", lambda: small.log_lines(FULL))
    assert len(small.log_lines(FULL)) <= 2


# -- whose overflow it was ------------------------------------------------------------------------

def test_the_overflow_of_another_program_is_not_ours(server):
    server.start()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 9000))
        other.listen(1)
        with Crowd(20, ("127.0.0.1", 9000)):
            wait_for("the other's overflow", lambda: nstat("TcpExtListenOverflows") >= 18)
            kernel = wait_for("the kernel's counters", lambda: (
                lambda k: k["ListenOverflows"]["since_start"] >= 18 and k)(
                    asked_json(server, "kernel")))
            assert kernel["scope"] == "network namespace"
            holds_for("silence about it", lambda: not server.log_lines(FULL), 0.7)
            row = listener_of(server)
            assert (row["queue_overflows"], row["dropped_segments"]) == (0, 0)
    assert client.echoes()


def test_two_servers_in_one_namespace_know_whose_drops_are_whose(make_server):
    first, second = make_server(port=7000), make_server(port=7100)
    for server in (first, second):
        server.listeners[0]["backlog"] = 8
        server.start()
    with stopped([*first.workers().values(), *second.workers().values()]):
        with Crowd(20) as crowd, Crowd(5, ("127.0.0.1", 7100)) as calm:
            first.wait_log(FULL)
            row, other = listener_of(first), listener_of(second)
            assert row["dropped_segments"] >= 11 and row["queue_overflows"] == 1
            assert other["dropped_segments"] == 0 and other["queue_overflows"] == 0
            assert other["queue_depth"] == 5
            for pid in [*first.workers().values(), *second.workers().values()]:
                os.kill(pid, signal.SIGCONT)
            crowd.wait_served()
            calm.wait_served()
    assert not second.log_lines(FULL)
    for server in (first, second):
        wait_for("the kernel's counter, which is everybody's", lambda: asked_json(
            server, "kernel")["ListenDrops"]["now"] == nstat("TcpExtListenDrops"))
    wait_for("all of them the first's", lambda: listener_of(first)["dropped_segments"] ==
             nstat("TcpExtListenDrops"))


# -- a flood of SYNs ------------------------------------------------------------------------------

@pytest.mark.parametrize("cookies", [1, 0])
def test_a_flood_of_syns(small, cookies):
    """With cookies real clients come through; without them they do not, and it is told apart from a
    full accept queue either way."""
    sysctl("ipv4.tcp_syncookies", cookies)
    sysctl("ipv4.tcp_max_syn_backlog", 64)
    subprocess.run(["ip", "route", "add", "10.99.0.0/16", "dev", "lo"], check=True)
    small.listeners[0]["backlog"] = 64
    small.start()
    syn_flood(2000, 7000)
    if cookies:
        for _ in range(20):
            assert client.echoes()
        names = ("SyncookiesSent", "SyncookiesRecv", "TCPReqQFullDoCookies")
        assert nstat("TcpExtSyncookiesRecv") == 20
    else:
        with Crowd(5) as crowd:
            assert len(crowd.waiting()) == 5
        names = ("ListenDrops",)
        row = wait_for("the drops", lambda: listener_of(small)["dropped_segments"] > 0 and
                       listener_of(small))
        assert row["queue_depth"] == 0
    assert nstat("TcpExtListenOverflows") == 0
    for name in names:
        value = nstat("TcpExt" + name)
        assert value > 0
        wait_for(f"{name} as nstat has it",
                 lambda: asked_json(small, "kernel")[name]["since_start"] == nstat("TcpExt" + name))
    assert not small.log_lines(FULL)
    assert listener_of(small)["queue_overflows"] == 0
