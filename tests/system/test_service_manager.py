"""What systemd expects: sd_notify, the watchdog, socket activation, and files that it accepts."""
import os
import shutil
import signal
import socket
import subprocess

import pytest

from harness import client, config, processes, upgrade
from harness.acceptd import RELOADED
from harness.waiting import PATIENCE, seconds, wait_for



class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("\0" + address[1:] if address.startswith("@") else address)
        self.sock.settimeout(seconds(PATIENCE))
        self.environment = {"NOTIFY_SOCKET": address}

    def wait(self, word):
        """The lines of the first message that has this line."""
        while True:
            lines = self.sock.recv(4096).decode().splitlines()
            if word in lines:
                return lines


@pytest.fixture(params=["path", "abstract"])
def manager(request, server):
    address = server.path("notify") if request.param == "path" else f"@acceptd-{os.getpid()}"
    with_socket = Manager(address)
    yield with_socket
    with_socket.sock.close()


def test_ready_reloading_stopping(server, manager):
    server.start(env=manager.environment)
    ready = manager.wait("READY=1")
    assert any(line.startswith("STATUS=") for line in ready)
    assert client.echoes()
    server.reload()
    reloading = manager.wait("RELOADING=1")
    assert any(line.startswith("MONOTONIC_USEC=") for line in reloading)
    manager.wait("READY=1")
    server.send(signal.SIGTERM)
    manager.wait("STOPPING=1")
    assert server.wait_exit() == 0


def test_failed_reload_is_ready_again(server, manager):
    server.start(env=manager.environment)
    manager.wait("READY=1")
    server.write_config("nonsense")
    server.reload_fails(write=False)
    manager.wait("RELOADING=1")
    manager.wait("READY=1")
    assert client.echoes()


def test_not_ready_before_the_workers_serve(server, manager):
    """Whoever reads READY=1 can connect at once."""
    server.write_config()
    server.launch(env=manager.environment)
    manager.wait("READY=1")
    assert client.echoes()
    server.wait_ready()


def test_watchdog_is_fed_in_time(server, manager):
    server.start(env={**manager.environment, "WATCHDOG_USEC": "2000000"})
    manager.sock.settimeout(seconds(2.0))
    for _ in range(3):
        manager.wait("WATCHDOG=1")


def test_workers_do_not_speak_to_the_manager(server, manager):
    server.start(env=manager.environment)
    for pid in server.workers().values():
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"NOTIFY_SOCKET" not in file.read()


def activation(sock):
    """A wrapper that passes the socket as the manager does: as descriptor 3, with our own pid."""
    return ("bash", "-c", f'exec 3<&{sock.fileno()}; LISTEN_PID=$$ exec "$@"', "-")


def start_with_socket(server, sock):
    return server.start(wrapper=activation(sock), env={"LISTEN_FDS": "1"}, pass_fds=(sock.fileno(),))


@pytest.fixture
def sock():
    with socket.create_server(("127.0.0.1", 7000), backlog=16) as made:
        yield made


def test_activated_socket_is_served_and_outlives_the_server(server, namespace, sock):
    start_with_socket(server, sock)
    assert client.echoes()
    assert server.stop() == 0
    waiting = client.connect()  # into the queue that the manager holds
    start_with_socket(server, sock)
    assert client.ask(waiting) == b"hello\n"


def test_a_killed_master_costs_a_passed_socket_nothing(server, namespace, sock):
    """The manager holds it and starts the server again: whoever waits in the queue, or comes while
    nobody serves, is served by the next one. Connections go on until they end."""
    start_with_socket(server, sock)
    held = client.Held(4)
    with client.Load(threads=2) as load:
        wait_for("load", lambda: load.completed > 20)
        server.note_children()
        processes.kill(server.master)
        server.process.wait()
        waiting = [client.connect() for _ in range(10)]
        for one in waiting:
            one.sendall(b"anybody?")
        held.prove_all()
        began = load.completed
        start_with_socket(server, sock)
        for one in waiting:
            assert client.receive(one, 8) == b"anybody?"
            one.close()
        wait_for("load goes on", lambda: load.completed > began + 20)
    assert load.failures == []
    held.prove_all()
    held.close()


def test_activated_socket_that_nobody_configured_is_named(server):
    with socket.create_server(("127.0.0.1", 7009)) as other:
        start_with_socket(server, other)
        server.wait_log(r"127\.0\.0\.1:7009")
        assert client.echoes()


def test_variables_meant_for_another_process_are_ignored(server):
    server.start(env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert client.echoes()


def test_reload_keeps_an_activated_socket(server, namespace, sock):
    start_with_socket(server, sock)
    server.listeners.append(config.listener("more", "127.0.0.1:7002"))
    server.reload()
    assert client.echoes() and client.echoes(("127.0.0.1", 7002))
    server.settle()


def test_an_upgrade_keeps_activated_sockets(server, sock):
    """One in use, and one that only a later configuration serves."""
    with socket.create_server(("127.0.0.1", 7005)) as later:
        first, second = sock.fileno(), later.fileno()
        upgrade.install(server)
        server.start(wrapper=("bash", "-c", f'exec 3<&{first} 4<&{second}; LISTEN_PID=$$ exec "$@"',
                              "-"), env={"LISTEN_FDS": "2"}, pass_fds=(first, second))
        upgrade.install(server)
        upgrade.upgrade(server)
        assert client.echoes()
        server.listeners.append(config.listener("later", "127.0.0.1:7005"))
        server.reload()
        assert client.echoes(("127.0.0.1", 7005))
        server.wait_log("listener later: 127.0.0.1:7005: .*passed by the service manager")
        upgrade.settle(server)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_accepts_unit_and_socket(directory):
    build = os.environ["ACCEPTD_BUILD"]
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(build, "etc/acceptd.service"), encoding="utf-8") as file:
        unit = file.read()
    program = unit.split("ExecStart=")[1].split()[0]
    unit = unit.replace(program, os.path.join(build, "acceptd")).replace("Documentation=", "#")
    with open(os.path.join(directory, "acceptd.service"), "w", encoding="utf-8") as file:
        file.write(unit)
    shutil.copy(os.path.join(source, "etc/acceptd.socket"), directory)
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", os.path.join(directory, "acceptd.service"),
         os.path.join(directory, "acceptd.socket")], capture_output=True, text=True, check=False)
    complaints = [line for line in result.stderr.splitlines() if "acceptd" in line]
    assert not complaints


def test_reload_is_reported_by_signal_too(server):
    """ExecReload sends HUP: nothing else is needed."""
    server.start()
    server.send(signal.SIGHUP)
    server.wait_log(RELOADED)
    wait_for("service", client.echoes)
