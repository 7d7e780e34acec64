"""Descriptors, processes and memory run out; accept(2) fails in every way it can."""
import os
import subprocess
import time

import pytest

from harness import client, processes
from harness.injection import injected, trace
from harness.waiting import PATIENCE, holds_for, seconds, wait_for

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def limit_descriptors(pid, number):
    """As the worker's own user: that needs no capability."""
    subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "prlimit",
                    f"--pid={pid}", f"--nofile={number}:{number}"], check=True)


def cpu_share(pid, span=0.5):
    """CPU time a process uses of `span` seconds."""
    before = processes.cpu_seconds(pid)
    time.sleep(span)
    return (processes.cpu_seconds(pid) - before) / span


@as_root
def test_worker_pauses_before_its_descriptors_run_out_and_goes_on_after(server):
    """Clients wait in the queue without a busy loop; one that leaves makes room for the next."""
    server.options["workers"] = 1
    server.start()
    pid = server.workers()[0]
    limit_descriptors(pid, 64)
    socks = [client.connect() for _ in range(120)]
    for sock in socks:
        sock.sendall(b"?")
    served = set()

    def collect():
        for number, sock in enumerate(socks):
            if number not in served and answered(sock):
                served.add(number)
        return len(served)
    wait_for("the first are served", lambda: collect() > 30)
    wait_for("a pause", lambda: server.log_lines(r"worker 0.*descriptor"))
    assert cpu_share(pid) < 0.2
    assert collect() < 64
    for number in list(served):
        socks[number].sendall(b"!")
        assert client.receive(socks[number], 1) == b"!"
    done = set()
    while len(done) < len(socks):
        wait_for("the next are served", lambda: len(served) > len(done) or collect() > len(done))
        for number in served - done:
            socks[number].close()
            done.add(number)
    assert client.echoes()
    assert len(server.log_lines(r"worker 0.*descriptor")) < 10


def answered(sock):
    sock.setblocking(False)
    try:
        return sock.recv(1) == b"?"
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(seconds(PATIENCE))


@pytest.mark.parametrize("errno", [
    "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ECONNABORTED", "EINTR", "EPROTO", "ENETDOWN",
    "EHOSTUNREACH", "EOPNOTSUPP", "EPERM"])
def test_every_error_of_accept_passes(server, errno):
    """strace makes the worker's next accepts fail; the clients are served all the same."""
    server.options["workers"] = 1
    server.start()
    pid = server.workers()[0]
    with injected(pid, f"accept4:error={errno}:when=1..5", server.path("strace")):
        for _ in range(8):
            assert client.echoes()
    assert "INJECTED" in trace(server.path("strace"))
    assert server.workers()[0] == pid
    assert client.echoes()


def test_persistent_accept_failure_burns_no_processor(server):
    server.options["workers"] = 1
    server.start()
    pid = server.workers()[0]
    with client.connect() as held:
        client.ask(held)
        path = server.path("strace")
        with injected(pid, "accept4:error=ENFILE", path):
            waiting = client.connect()
            waiting.sendall(b"x")
            wait_for("a first failure", lambda: "INJECTED" in trace(path))
            before = trace(path).count("INJECTED")
            assert cpu_share(pid, 1.0) < 0.1
            assert trace(path).count("INJECTED") - before < 60
            assert client.ask(held) == b"hello\n"
        assert client.receive(waiting, 1) == b"x"
    server.wait_log(r"file-max|too many open files in (the )?system|Too many open files")


@pytest.fixture
def pids_cgroup():
    """A control group whose number of processes can be limited; root's rlimits do not count."""
    for root in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
        path = os.path.join(root, f"acceptd-test-{os.getpid()}")
        try:
            os.mkdir(path)
        except OSError:
            continue
        if os.path.exists(os.path.join(path, "pids.max")):
            break
        os.rmdir(path)
    else:
        pytest.skip("no control group with a limit of processes")
    yield path
    wait_for("group empty", lambda: not read(path, "cgroup.procs"))
    os.rmdir(path)


def read(path, name):
    with open(os.path.join(path, name), encoding="ascii") as file:
        return file.read()


def write(path, name, text):
    with open(os.path.join(path, name), "w", encoding="ascii") as file:
        file.write(str(text))


@as_root
def test_fork_failure_is_survived_and_named(server, pids_cgroup):
    """A worker dies and no other may be forked: the rest serves, then the number is full again."""
    server.start(wrapper=("sh", "-c", f'echo $$ >{pids_cgroup}/cgroup.procs && exec "$@"', "-"))
    server.expected.append(r"worker 1 ")
    server.expected.append(r"fork|start")
    write(pids_cgroup, "pids.max", 2)
    victim = server.workers()[1]
    processes.kill(victim)
    line = server.wait_log(r"worker 1.*Resource temporarily unavailable")
    assert re_any(line, "pids", "cgroup", "processes")
    assert client.echoes()
    holds_for("the master lives", server.is_running, 0.5)
    write(pids_cgroup, "pids.max", "max")
    wait_for("both workers", lambda: len(server.workers()) == 2)
    assert client.echoes()
    server.stop()


def re_any(line, *words):
    return any(word in line for word in words)


@as_root
def test_reload_that_adds_workers_without_processes_keeps_serving(server, pids_cgroup):
    server.start(wrapper=("sh", "-c", f'echo $$ >{pids_cgroup}/cgroup.procs && exec "$@"', "-"))
    server.expected.append(r"")
    write(pids_cgroup, "pids.max", 3)
    server.options["workers"] = 4
    server.write_config()
    server.send(1)
    server.wait_log(r"Resource temporarily unavailable")
    with client.Load() as load:
        wait_for("load", lambda: load.completed > 50)
    assert load.failures == []
    write(pids_cgroup, "pids.max", "max")
    wait_for("four workers", lambda: len(server.workers()) == 4)
    server.stop()


def test_epoll_that_takes_no_more_costs_that_client_alone(server):
    """fs.epoll.max_user_watches reached: EPOLL_CTL_ADD fails with ENOSPC."""
    server.options["workers"] = 1
    server.start()
    pid = server.workers()[0]
    with client.connect() as held:
        client.ask(held)
        with injected(pid, "epoll_ctl:error=ENOSPC:when=1..6", server.path("strace")):
            def serves():
                try:
                    return client.echoes(limit=1)
                except (OSError, EOFError):
                    return False
            wait_for("service", serves)
        assert client.echoes()
        assert client.ask(held) == b"hello\n"
    assert server.workers()[0] == pid
    server.expected.append(r"max_user_watches|No space left")
    if not server.log_lines(r"^\S+ error .*(max_user_watches|No space left)"):
        server.expected.pop()
