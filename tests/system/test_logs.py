"""Where lines go, what happens when they cannot, and that nobody waits for them."""
import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios

import pytest

from harness import client, processes
from harness.namespace import can_mount, fill_up, with_mounts
from harness.waiting import PATIENCE, seconds, wait_for

with_mount_rights = pytest.mark.skipif(not can_mount(), reason="may not mount")


def content(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


@pytest.fixture
def to_file(server):
    """A server whose log is a file of its own; the harness reads that."""
    os.mkdir(server.path("logs"))
    server.log_path = server.path("logs/acceptd.log")
    server.options["log"] = server.log_path

    def launch(*arguments, **more):
        """Not through log_path: stderr is another file."""
        with open(server.path("stderr"), "ab") as stderr:
            server.process = subprocess.Popen(
                server.command(*arguments), env=server.environment(), stdin=subprocess.DEVNULL,
                stdout=stderr, stderr=stderr, **more)
        server.master = server.process.pid
        return server
    server.launch = launch_ignoring(launch)
    return server


def launch_ignoring(launch):
    return lambda *arguments, wrapper=(), env=None, **more: launch(*arguments, **more)


def test_file_holds_lines_of_master_and_workers(to_file):
    to_file.start()
    lines = content(to_file.log_path).splitlines()
    assert lines and all(line[0].isdigit() and "Z " in line for line in lines)
    assert os.stat(to_file.log_path).st_mode & 0o777 == 0o640


def test_rotation_loses_no_line_and_leaves_the_old_file_alone(to_file):
    """As logrotate does: rename, USR1. The workers write to the new file too."""
    to_file.start()
    old = to_file.log_path + ".1"
    os.rename(to_file.log_path, old)
    to_file.send(signal.SIGUSR1)
    wait_for("new file", lambda: os.path.exists(to_file.log_path))
    victim = to_file.workers()[0]
    to_file.expect_log("killed by SIGKILL")
    processes.kill(victim)
    to_file.wait_log(rf"pid {victim}\) killed by SIGKILL")
    assert "killed by SIGKILL" not in content(old)
    for pid in [to_file.master, *to_file.workers().values()]:
        open_files = os.listdir(f"/proc/{pid}/fd")
        links = []
        for name in open_files:
            try:
                links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
            except OSError:
                pass
        assert old not in links, f"pid {pid} holds the old log"
    to_file.wait_log("master")


def test_a_removed_log_is_made_again_without_a_signal(to_file):
    to_file.start()
    os.unlink(to_file.log_path)
    to_file.wait_log("was moved or removed; opened it anew")
    (victim, *_) = to_file.workers().values()
    processes.kill(victim)
    to_file.expect_log("killed by SIGKILL")
    to_file.wait_log(r"worker \d+ \(pid \d+\) serves")


def test_log_that_cannot_be_reopened_goes_on_in_the_old_one(to_file):
    to_file.start()
    old = to_file.log_path + ".1"
    os.rename(to_file.log_path, old)
    os.mkdir(to_file.log_path)
    to_file.send(signal.SIGUSR1)
    wait_for("complaint", lambda: "error" in content(old))
    assert client.echoes()
    os.rmdir(to_file.log_path)
    to_file.send(signal.SIGUSR1)
    wait_for("new file", lambda: os.path.isfile(to_file.log_path))
    to_file.expected.append("")
    to_file.reload()


def test_symbolic_link_as_log_is_refused(server):
    target = server.path("target")
    os.symlink(target, server.path("logfile"))
    server.options["log"] = server.path("logfile")
    server.write_config()
    for arguments in (("-t",), ()):
        result = server.run(*arguments)
        assert result.returncode == 3
        assert server.path("logfile") in result.stderr
    assert not os.path.exists(target)


def test_reload_moves_the_log(to_file):
    to_file.start()
    first = to_file.log_path
    second = to_file.path("logs/second.log")
    to_file.options["log"] = to_file.log_path = second
    to_file.write_config()
    to_file.send(signal.SIGHUP)
    to_file.wait_log("reload")
    size = os.path.getsize(first)
    to_file.reload(write=False)
    assert os.path.getsize(first) == size
    to_file.settle()


def syslog_server(path, size=None):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if size:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    sock.bind(path)
    os.chmod(path, 0o666)
    sock.settimeout(seconds(PATIENCE))
    return sock


def lines_until(sock, word):
    lines = []
    while not lines or word not in lines[-1]:
        lines.append(sock.recv(8192).decode())
    return lines


def start_with_syslog(server):
    server.options["log"] = "syslog:" + server.path("syslog")
    server.write_config()
    server.launch()
    wait_for("serving", lambda: serves())


def serves():
    try:
        return client.echoes()
    except (OSError, EOFError):
        return False


def test_syslog_gets_one_datagram_a_line_with_priority(server):
    with syslog_server(server.path("syslog")) as syslog:
        start_with_syslog(server)
        lines = lines_until(syslog, "serving")
        assert all(line.startswith("<") and f"acceptd[{server.master}]: " in line
                   for line in lines if "master" in line)
        assert lines[-1].startswith("<29>")  # daemon.notice
        assert server.stop() == 0


def test_syslog_that_is_not_there_or_full_delays_nobody(server):
    """No daemon at start, then one that reads nothing, then one that does: the lost are counted."""
    start_with_syslog(server)
    for _ in range(20):
        server.send(signal.SIGHUP)
        assert client.echoes()
    with syslog_server(server.path("syslog"), 1) as syslog:
        with client.Load() as load:
            for _ in range(50):
                server.send(signal.SIGHUP)
            wait_for("load", lambda: load.completed > 100)
        assert load.failures == []
        syslog.setblocking(False)
        seen = []

        def report():
            server.send(signal.SIGHUP)
            try:
                while True:
                    seen.append(syslog.recv(8192).decode())
            except BlockingIOError:
                pass
            return any("dropped" in line for line in seen)
        wait_for("the number of lost lines", report)
        assert server.stop() == 0


def test_stderr_that_nobody_reads_delays_nobody(server):
    """A full pipe: lines are dropped and counted, clients notice nothing."""
    server.write_config()
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    server.process = subprocess.Popen(server.command(), env=server.environment(), stderr=writer,
                                      stdout=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    server.master = server.process.pid
    wait_for("serving", serves)
    def is_full():
        server.send(signal.SIGHUP)
        waiting = bytearray(4)
        fcntl.ioctl(reader, termios.FIONREAD, waiting)
        return int.from_bytes(waiting, sys.byteorder) > 4000
    wait_for("full pipe", is_full)
    with client.Load() as load:
        for _ in range(20):
            server.send(signal.SIGHUP)
        wait_for("load", lambda: load.completed > 100)
    assert load.failures == []
    os.set_blocking(reader, False)
    seen = b""

    def report():
        nonlocal seen
        server.send(signal.SIGHUP)
        try:
            seen += os.read(reader, 65536)
        except BlockingIOError:
            pass
        return b"dropped" in seen
    wait_for("the number of lost lines", report)
    os.close(reader)
    assert client.echoes()  # and nobody dies of SIGPIPE
    assert server.stop() == 0


@with_mount_rights
def test_full_disk_delays_nobody_and_is_reported_after(server):
    """A log on a file system of 64 KiB, filled up by somebody else. The mount is the server's own."""
    server.options["log"] = server.path("small/acceptd.log")
    os.mkdir(server.path("small"))
    server.write_config()
    server.launch(wrapper=with_mounts(
        f'mount -t tmpfs -o size=64k,mode=755 none {server.path("small")}'))
    wait_for("serving", serves)
    inside = f"/proc/{server.master}/root{server.path('small')}"
    filler = fill_up(inside)

    def is_full():
        server.send(signal.SIGHUP)
        return os.path.getsize(f"{inside}/acceptd.log") % 4096 == 0
    wait_for("not one byte of room", is_full)
    with client.Load() as load:
        for _ in range(20):
            server.send(signal.SIGHUP)
        wait_for("load", lambda: load.completed > 50)
    assert load.failures == []
    os.unlink(filler)

    def report():
        server.send(signal.SIGHUP)
        return "dropped" in content(f"{inside}/acceptd.log")
    wait_for("the number of lost lines", report)
    assert server.stop() == 0
