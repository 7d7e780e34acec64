"""Reload in place: what changes, what stays, what is refused."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from harness import client, config, processes
from harness.acceptd import RELOAD_REFUSED, RELOADED
from harness.waiting import holds_for, seconds, wait_for

MORE = ("127.0.0.1", 7002)


def listening(port=7000):
    """Of each listening socket on the port: its inode and effective backlog."""
    out = subprocess.run(["ss", "-Hltne", f"sport = :{port}"], capture_output=True, text=True,
                         check=True).stdout
    return {int(re.search(r"\bino:(\d+)", line).group(1)): int(line.split()[2])
            for line in out.splitlines()}


@pytest.mark.smoke
def test_nothing_changes_for_anybody(server):
    server.start()
    workers, sockets = server.workers(), listening()
    held = client.Held(10)
    server.reload()
    held.prove_all()
    assert server.workers() == workers
    assert listening() == sockets
    held.close()


def test_fifty_reloads_under_load_lose_nobody(server):
    server.start()
    workers, sockets = server.workers(), listening()
    held = client.Held(20)
    with client.Load() as load:
        wait_for("steady load", lambda: load.completed > 20)
        for _ in range(50):
            server.reload(write=False)
        after = load.completed
        wait_for("load goes on", lambda: load.completed > after + 20)
    assert load.failures == []
    held.prove_all()
    held.close()
    assert server.workers() == workers
    assert listening() == sockets


def test_transfers_cross_reloads_byte_exact(server):
    server.start()
    size, results = 12 << 20, []

    def transfer(seed):
        data = client.pattern(size, seed)
        with client.connect() as sock:
            sender = threading.Thread(target=sock.sendall, args=(data,))
            sender.start()
            results.append(client.receive(sock, size) == data)
            sender.join()
    threads = [threading.Thread(target=transfer, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        server.reload(write=False)
    for thread in threads:
        thread.join()
    assert results == [True] * 6


def test_added_listener_serves(server):
    server.start()
    workers = server.workers()
    server.listeners.append(config.listener("more", "127.0.0.1:7002"))
    server.reload()
    assert client.echoes(MORE) and client.echoes()
    assert server.workers() == workers
    server.settle()


def test_removed_listener_serves_its_queue_and_its_connections(server):
    server.listeners.append(config.listener("more", "127.0.0.1:7002"))
    server.start()
    held = client.Held(5, MORE)
    workers = server.workers()
    processes.stop(*workers.values())
    queued = [client.connect(MORE) for _ in range(30)]
    for sock in queued:
        sock.sendall(b"served?")
    del server.listeners[1]
    server.write_config()
    before = len(server.log_lines(RELOADED))
    server.send(signal.SIGHUP)
    for pid in workers.values():
        os.kill(pid, signal.SIGCONT)
    server.wait_log(RELOADED, count=before + 1)
    for sock in queued:
        assert client.receive(sock, 7) == b"served?"
    held.prove_all()
    wait_for("nobody listens", lambda: client.refuses(MORE))
    wait_for("socket closed", lambda: not listening(7002))
    assert client.echoes()
    held.close()
    server.settle()


def test_removed_listener_comes_back(server):
    server.listeners.append(config.listener("more", "127.0.0.1:7002"))
    server.start()
    more = server.listeners.pop()
    server.reload()
    wait_for("nobody listens", lambda: client.refuses(MORE))
    server.listeners.append(more)
    server.reload()
    assert client.echoes(MORE)


def test_moved_listener_keeps_the_address_that_stays(server):
    server.listeners[0]["address"] = ["127.0.0.1:7000", "127.0.0.1:7002"]
    server.start()
    sockets = listening()
    held = client.Held(4, MORE)
    server.listeners[0]["address"] = ["127.0.0.1:7000", "127.0.0.1:7003"]
    server.reload()
    assert listening() == sockets
    assert client.echoes(("127.0.0.1", 7003))
    wait_for("nobody listens", lambda: client.refuses(MORE))
    held.prove_all()
    held.close()


def test_address_that_changes_its_listener_keeps_its_socket(server):
    server.start()
    sockets = listening()
    server.listeners[0]["name"] = "renamed"
    server.reload()
    assert listening() == sockets
    assert client.echoes()


def test_wildcard_takes_over_from_one_of_its_addresses(server):
    """The kernel refuses both at once: the answer must be clear, and the service go on."""
    server.start()
    server.listeners[0]["address"] = "0.0.0.0:7000"
    server.write_config()
    server.send(signal.SIGHUP)
    server.wait_log(RELOADED + "|" + RELOAD_REFUSED)
    if server.log_lines(RELOAD_REFUSED):
        server.expect_log("reload refused|7000")
    assert client.echoes()
    server.settle()


def test_backlog_changes_on_the_live_socket(server):
    server.listeners[0]["backlog"] = 100
    server.start()
    inode = list(listening())
    for backlog in (200, 50):
        server.listeners[0]["backlog"] = backlog
        server.reload()
        assert listening() == {inode[0]: backlog}


def test_new_settings_are_for_new_connections(server):
    """An idle time of half a second does not reach the connection that began before."""
    server.start()
    old = client.connect()
    client.ask(old)
    server.listeners[0]["idle_timeout"] = "500ms"
    server.reload()
    young = client.connect()
    client.ask(young)
    wait_for("young connection idle too long", lambda: client.is_ended(young))
    assert client.ask(old) == b"hello\n"
    old.close()


@pytest.mark.parametrize("was,will_be", [(1, 3), (3, 1)])
def test_number_of_workers_changes(server, was, will_be):
    server.options["workers"] = was
    server.start()
    workers = server.workers()
    held = client.Held(12)
    server.options["workers"] = will_be
    server.reload()
    held.prove_all()
    held.close()
    wait_for("as many workers", lambda: len(server.workers()) == will_be)
    stayed = min(was, will_be)
    assert {s: workers[s] for s in range(stayed)} == {s: server.workers()[s] for s in range(stayed)}
    assert client.echoes()
    server.settle()


def test_ttin_and_ttou_add_and_remove_a_worker(server):
    server.start()
    first = server.workers()
    server.send(signal.SIGTTIN)
    wait_for("three workers", lambda: len(server.workers()) == 3)
    server.send(signal.SIGTTOU)
    wait_for("two workers", lambda: len(server.workers()) == 2)
    assert server.workers() == first
    # A slot that was used once keeps the eventfd that wakes it.
    server.baseline[0]["anon_inode:[eventfd]"] += 1
    server.send(signal.SIGTTOU)
    wait_for("one worker", lambda: len(server.workers()) == 1)
    server.send(signal.SIGTTOU)
    assert client.echoes()
    holds_for("the last one stays", lambda: len(server.workers()) == 1, 0.3)
    server.send(signal.SIGTTIN)
    wait_for("two workers", lambda: len(server.workers()) == 2)
    server.settle()  # each slot that was ever used keeps its eventfd


def refused_as_by_t(server):
    """The reload keeps everything and says what -t says; @return what both say"""
    test = server.run("-t")
    assert test.returncode in (2, 3), test.stderr
    said = server.reload_fails(write=False)
    for line in test.stderr.splitlines():
        if "error: " in line:
            assert line.split("error: ", 1)[1] in said
    return test.stderr


@pytest.mark.parametrize("text", [
    "listeners = ( {", "", "workers = 2;\nno_such_thing = 1;\n",
    'listeners = ( { name = "a"; address = "127.0.0.1:99999"; protocol = "echo"; } );\n'])
def test_broken_file_changes_nothing(server, text):
    server.start()
    workers, sockets = server.workers(), listening()
    held = client.Held(5)
    server.write_config(text)
    refused_as_by_t(server)
    held.prove_all()
    assert client.echoes()
    assert (server.workers(), listening()) == (workers, sockets)
    server.reload()
    held.close()


def test_missing_file_changes_nothing(server):
    server.start()
    os.unlink(server.config_path)
    refused_as_by_t(server)
    assert client.echoes()


def test_port_of_another_program_changes_nothing(server):
    """One of three new addresses cannot be had: none is opened."""
    import socket
    server.start()
    sockets = listening()
    with socket.create_server(("127.0.0.1", 7003)):
        server.listeners += [config.listener(f"more{port}", f"127.0.0.1:{port}")
                             for port in (7002, 7003, 7004)]
        server.write_config()
        assert "7003" in refused_as_by_t(server)
    assert client.echoes()
    assert listening() == sockets
    assert not listening(7002) and not listening(7004)
    server.reload()
    assert client.echoes(("127.0.0.1", 7004))
    server.settle()


def test_change_that_needs_a_restart_is_refused(server):
    server.start()
    server.options["pid_file"] = server.path("other-pid")
    assert "pid_file" in server.reload_fails()
    assert client.echoes()
    assert not os.path.exists(server.path("other-pid"))


def test_reload_during_the_drain_does_no_harm(server):
    server.start()
    held = client.Held(3)
    server.send(signal.SIGTERM)
    wait_for("nobody listens", client.refuses)
    server.send(signal.SIGHUP)
    held.prove_all()
    held.close()
    assert server.wait_exit() == 0


def test_storm_of_reloads_ends_with_the_last_file(server):
    server.start()
    for backlog in range(100, 150):
        server.listeners[0]["backlog"] = backlog
        server.write_config()
        server.send(signal.SIGHUP)
    wait_for("last backlog", lambda: list(listening().values()) == [149])
    assert client.echoes()


def test_worker_that_dies_during_a_reload_does_not_stop_it(server):
    server.options["workers"] = 3
    server.start()
    server.expect_log(r"worker 1 ")
    processes.stop(server.workers()[1])
    server.listeners.append(config.listener("more", "127.0.0.1:7002"))
    server.write_config()
    server.send(signal.SIGHUP)
    wait_for("new listener", lambda: not client.refuses(MORE))
    assert client.echoes(MORE)
    processes.kill(server.workers()[1])
    wait_for("three workers", lambda: len(server.workers()) == 3)
    server.wait_log(RELOADED)
    assert client.echoes(MORE)
    server.settle()


def test_restart_limits_are_kept_by_reload_time(server):
    """A reload restarts nobody, and waits for nobody's drain."""
    server.options["drain_timeout"] = "60s"
    server.start()
    workers = server.workers()
    began = time.monotonic()
    server.reload()
    assert time.monotonic() - began < seconds(4.0)
    assert server.workers() == workers
    assert processes.is_running(server.master)
