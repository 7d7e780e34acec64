"""Every way to end: drain, at once, by the kill of the master."""
import os
import re
import signal
import time

import pytest

from harness import client, processes
from harness.waiting import holds_for, seconds, wait_for


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_idle_server_ends_at_once_with_status_0(server, number):
    server.options["drain_timeout"] = "60s"
    server.start()
    began = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - began < seconds(10)
    assert client.refuses()
    assert not os.path.exists(server.pid_path)


def test_term_lets_connections_finish(server):
    server.start()
    held = client.Held(8)
    server.send(signal.SIGTERM)
    wait_for("nobody listens", client.refuses)
    held.prove_all()
    assert server.is_running()
    held.close()
    assert server.wait_exit() == 0


def test_term_serves_clients_that_wait_in_the_queue(server):
    """Connected before the stop, but no worker has accepted yet."""
    server.start()
    workers = server.workers()
    processes.stop(*workers.values())
    waiting = [client.connect() for _ in range(20)]
    for sock in waiting:
        sock.sendall(b"still there?\n")
    server.send(signal.SIGTERM)
    server.wait_log("SIGTERM")
    for pid in workers.values():
        os.kill(pid, signal.SIGCONT)
    for sock in waiting:
        assert client.receive(sock, 13) == b"still there?\n"
        sock.close()
    assert server.wait_exit() == 0


def test_drain_timeout_ends_what_is_left_and_counts_it(server):
    server.options["drain_timeout"] = "1s"
    server.start()
    held = client.Held(5)
    began = time.monotonic()
    assert server.stop() == 0
    assert 0.9 < time.monotonic() - began < seconds(15)
    assert held.lost() == 5
    cut = re.findall(r"cutting (\d+) connections?", server.log())
    assert sum(map(int, cut)) == 5


def test_second_term_ends_at_once(server):
    server.options["drain_timeout"] = "60s"
    server.start()
    held = client.Held(3)
    server.send(signal.SIGTERM)
    wait_for("nobody listens", client.refuses)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < seconds(10)
    assert held.lost() == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_wait_for_nobody(server, number):
    server.options["drain_timeout"] = "60s"
    server.start()
    held = client.Held(3)
    began = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - began < seconds(10)
    assert held.lost() == 3


def test_worker_that_ignores_the_drain_is_killed(server):
    """Stopped when the drain begins: it cannot obey."""
    server.options["drain_timeout"] = "1s"
    server.start()
    processes.stop(server.workers()[0])
    began = time.monotonic()
    server.send(signal.SIGTERM)
    server.wait_exit()
    assert time.monotonic() - began < seconds(15)
    server.check_nothing_left()
    server.expected.append(r"worker 0")  # killed: may be an error, need not be
    if not server.log_lines(r"error: .*worker 0"):
        server.expected.pop()


def test_killed_master_loses_no_connection(server):
    """Workers leave the queue at once, finish their connections, and go; the port is free."""
    server.options["drain_timeout"] = "60s"
    server.start()
    held = client.Held(10)
    server.note_children()
    processes.kill(server.master)
    wait_for("port free", client.refuses)
    held.prove_all()
    holds_for("connections live on", lambda: held.lost() == 0, 0.3)
    held.close()
    server.check_nothing_left()


def test_a_master_killed_while_it_starts_leaves_nobody(server):
    """At any moment, that between the fork of a worker and its tie to the master among them
    (test_child.c tries that one thousands of times)."""
    server.options["workers"] = 8
    server.write_config()
    for moment in range(15):
        server.launch()
        end = time.monotonic() + moment * 0.003
        while time.monotonic() < end:
            pass
        server.note_children()
        processes.kill(server.master)
        server.process.wait()
        wait_for("port free", client.refuses)
    server.check_nothing_left()
    orphaned = r"cannot start: (no greeting from|cannot tie itself to) the master"
    if server.log_lines(orphaned):
        server.expect_log(orphaned)


def test_killed_master_limits_what_is_left_to_the_drain_time(server):
    server.options["drain_timeout"] = "1s"
    server.start()
    held = client.Held(4)
    server.note_children()
    processes.kill(server.master)
    server.check_nothing_left(15.0)
    assert held.lost() == 4


def test_new_master_binds_within_a_second_after_a_kill(make_server):
    """In one of a few tries, if the machine is busy; whoever has the port for the drain time never
    gives it back so soon."""
    delays, killed, held = [], [], []
    while not delays or (delays[-1] >= 1.0 and len(delays) < 5):
        killed.append(make_server())
        killed[-1].options["drain_timeout"] = "60s"
        killed[-1].start()
        held.append(client.Held(5))
        killed[-1].note_children()
        processes.kill(killed[-1].master)
        began = time.monotonic()
        wait_for("port free", client.refuses)
        delays.append(time.monotonic() - began)
    assert min(delays) < 1.0, delays
    make_server().start()
    assert client.echoes()
    for some in held:
        some.prove_all()
        some.close()
    for server in killed:
        server.check_nothing_left()


def test_stop_closes_nothing_twice_and_leaves_no_close_wait(server):
    server.start()
    socks = [client.connect() for _ in range(50)]
    for sock in socks:
        client.ask(sock)
        sock.close()
    wait_for("no socket left in CLOSE_WAIT", lambda: "08" not in client.tcp_states())
