"""The machine changes under the server: the wall clock jumps, memory runs out in one process,
processors go and come.

Not here: pressure on TCP's own memory. net.ipv4.tcp_mem belongs to the whole machine, not to a
network namespace (the kernel's Documentation/networking/ip-sysctl.rst), so a test of it would cut
off every other program's connections; `acceptctl kernel` shows TCPMemoryPressures and what was
aborted for want of it."""
import os
import subprocess
import time

import pytest

from harness import client, config, processes
from harness.admin import asked_json
from harness.preload import Preload
from harness.waiting import PATIENCE, is_sanitized, seconds, wait_for

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
HOUR, YEAR = 3600, 365 * 86400


@pytest.fixture
def preload(server):
    if is_sanitized():
        pytest.skip("a sanitizer has its own allocator and comes first")
    return Preload(server.directory)


def listener(server):
    return asked_json(server, "listeners")[0]


# -- the clock -------------------------------------------------------------------------------------

@pytest.mark.parametrize("jump", [HOUR, -HOUR, 10 * YEAR, -10 * YEAR])
def test_no_deadline_follows_the_wall_clock(server, preload, jump):
    """Timeouts, the watchdog and back-off go by the monotonic clock, whatever the other one says.
    The log's time is the wall's: it proves that the processes have seen the jump."""
    server.listeners[0]["idle_timeout"] = "2s"
    server.listeners.append(config.listener("patient", "127.0.0.1:7002", idle_timeout="10m"))
    server.start(env=preload.environment)
    workers = server.workers()
    patient = client.connect(("127.0.0.1", 7002))
    idle = client.connect()
    client.ask(patient)
    began = time.monotonic()
    client.ask(idle)
    preload.jump(jump)
    wait_for("the idle one is closed", lambda: client.is_ended(idle))
    assert 1.8 < time.monotonic() - began < seconds(15)
    server.reload()
    shown = time.strptime(server.log_lines("in force")[-1][:19], "%Y-%m-%dT%H:%M:%S")
    assert abs(time.mktime(shown) - (time.time() + jump)) < 86400 and \
        abs(time.mktime(shown) - time.time()) > abs(jump) / 2
    assert client.ask(patient) == b"hello\n"
    assert server.workers() == workers
    assert not server.log_lines("made no progress")
    preload.jump(0)
    assert client.echoes()


# -- memory ----------------------------------------------------------------------------------------

def try_one(data=b"hello\n"):
    """@return whether it was served; refused in any way otherwise"""
    try:
        return client.echoes(data=data)
    except (OSError, EOFError):
        return False


def starved(server, preload, permille):
    """@return the worker's pid and a connection from before"""
    server.options["workers"] = 1
    server.start(env=preload.environment)
    pid = server.workers()[0]
    held = client.Held(20)
    preload.starve(pid, permille)
    return pid, held


def test_without_memory_new_clients_are_refused_and_the_others_served(server, preload):
    """Every allocation of the worker fails. It lives, says why, and goes on when there is memory."""
    pid, held = starved(server, preload, 1000)
    refused = sum(not try_one() for _ in range(100))
    assert preload.read("failed") >= 100
    assert refused == 100
    held.prove_all()
    assert server.workers() == {0: pid}
    row = wait_for("all counted", lambda: (
        lambda row: row["closed"]["no_memory"] == 100 and row)(listener(server)))
    assert row["accepted"] == row["open"] + sum(row["closed"].values())
    preload.feed()
    assert client.echoes()
    held.prove_all()
    held.close()


def test_seldom_want_of_memory_costs_those_clients_alone(server, preload):
    """A hundredth of all allocations fails, anywhere: each connection is served whole or refused."""
    pid, held = starved(server, preload, 10)
    data = client.pattern(3000)
    served = sum(try_one(data) for _ in range(2000))
    failed = preload.read("failed")
    preload.feed()
    assert failed > 0 and served < 2000
    assert 2000 - served <= failed
    held.prove_all()
    assert server.workers() == {0: pid}
    row = wait_for("all have gone", lambda: (
        lambda row: row["open"] == len(held.socks) and row)(listener(server)))
    assert row["closed"]["no_memory"] == 2000 - served
    held.close()


@as_root
def test_a_worker_at_the_end_of_its_memory_loses_nobody(server):
    """The kernel gives it no more. Whoever comes then is refused; when even the loop's own tables
    must grow it uses its reserve, finishes and is replaced. Those it has are served on."""
    if is_sanitized():
        pytest.skip("a sanitizer's allocator ends the process when there is no memory")
    server.options.update(workers=1, drain_timeout="60s")
    server.start()
    pid = server.workers()[0]
    data = int(processes.status(pid, "VmData").split()[0]) * 1024
    subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "prlimit",
                    f"--pid={pid}", f"--data={data}:{data}"], check=True)
    served = []
    for _ in range(1900):
        try:
            sock = client.connect()
            client.ask(sock)
            served.append(sock)
        except (OSError, EOFError):
            pass
    assert 20 < len(served)
    assert listener(server)["closed"]["no_memory"] > 0 or server.log_lines("memory")
    for sock in served:
        assert client.ask(sock) == b"hello\n"
        sock.close()
    wait_for("room again", try_one)
    assert not server.log_lines("killed|lost")
    if server.log_lines("went on with the reserve"):
        server.expect_log("went on with the reserve")


def test_output_that_cannot_be_kept_ends_that_connection(server, preload):
    """A client that does not read, while there is no memory for what it does not read."""
    pid, held = starved(server, preload, 1000)
    lazy = held.socks[0]
    lazy.setblocking(False)
    deadline = time.monotonic() + seconds(PATIENCE)
    try:
        while time.monotonic() < deadline:
            try:
                lazy.send(b"x" * 65536)
            except BlockingIOError:
                if listener(server)["closed"]["no_memory"] == 1:
                    break
    except OSError:
        pass  # reset
    wait_for("counted", lambda: listener(server)["closed"]["no_memory"] == 1)
    preload.feed()
    for sock in held.socks[1:]:
        assert client.ask(sock) == b"hello\n"
    assert server.workers() == {0: pid}
    held.close()


def test_a_worker_that_grows_is_seen(server):
    server.options["workers"] = 1
    server.listeners.append(config.FAULT)
    server.start()
    before = asked_json(server, "workers")[0]["resident_bytes"]
    with client.connect(client.FAULT) as sock:
        client.ask(sock, b"x\n" * 4)
        sock.sendall(b"leak 50000000\n")
        wait_for("50 MB more", lambda: asked_json(server, "workers")[0]["resident_bytes"] -
                 before > 45e6)


# -- processors ------------------------------------------------------------------------------------

@pytest.fixture
def cpuset():
    """A control group (version 1 or 2) with processors of its own choice. @return (path, all)"""
    for root, mems in (("/sys/fs/cgroup/cpuset", True), ("/sys/fs/cgroup", False)):
        path = os.path.join(root, f"acceptd-test-{os.getpid()}")
        try:
            os.mkdir(path)
        except OSError:
            continue
        if os.path.exists(os.path.join(path, "cpuset.cpus")):
            break
        os.rmdir(path)
    else:
        pytest.skip("no control group for processors")
    every = sorted(os.sched_getaffinity(0))
    if len(every) < 2:
        os.rmdir(path)
        pytest.skip("one processor alone")
    write(path, "cpuset.cpus", ",".join(map(str, every)))
    if mems:
        with open(os.path.join(root, "cpuset.mems"), encoding="ascii") as file:
            write(path, "cpuset.mems", file.read())
    yield path, every
    wait_for("group empty", lambda: not open(os.path.join(path, "cgroup.procs"),
                                             encoding="ascii").read())
    os.rmdir(path)


def write(path, name, text):
    with open(os.path.join(path, name), "w", encoding="ascii") as file:
        file.write(text)


def pins(server):
    return {slot: os.sched_getaffinity(pid) for slot, pid in server.workers().items()}


@as_root
def test_processors_go_and_come_back(server, cpuset):
    """workers = "auto" follows at the next reload, and so do the workers' places. Nobody ends."""
    path, every = cpuset
    server.options.update(workers="auto", cpu_pinning=True)
    server.start(wrapper=("sh", "-c", f'echo $$ >{path}/cgroup.procs && exec "$@"', "-"))
    wait_for("one for each", lambda: len(server.workers()) == len(every))
    assert pins(server) == {slot: {core} for slot, core in enumerate(every)}
    held = client.Held(8)
    write(path, "cpuset.cpus", str(every[-1]))
    held.prove_all()
    assert len(server.workers()) == len(every)
    held.close()
    server.reload()
    wait_for("one worker", lambda: len(server.workers()) == 1)
    assert client.echoes()
    wait_for("its new place", lambda: pins(server) == {0: {every[-1]}})
    write(path, "cpuset.cpus", ",".join(map(str, every)))
    server.reload()
    wait_for("all again", lambda: len(server.workers()) == len(every))
    wait_for("their places", lambda: pins(server) == {s: {c} for s, c in enumerate(every)})
    assert client.echoes()
    server.settle()
    server.stop()
