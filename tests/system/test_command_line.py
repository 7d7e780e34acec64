"""The command line: options, exit status, checks, dumps, the way to the background."""
import os
import re
import signal
import socket
import subprocess

import pytest

from harness import client, config, processes
from harness.acceptd import SANITIZER
from harness.waiting import PATIENCE, seconds, wait_for

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def acceptd(binary, *arguments):
    return subprocess.run([binary, *arguments], capture_output=True, text=True,
                          timeout=seconds(PATIENCE), check=False)


@pytest.mark.smoke
def test_version_names_program_and_features(acceptd_binary):
    result = acceptd(acceptd_binary, "-V")
    assert result.returncode == 0
    assert re.match(r"acceptd \d+\.\d+\.\d+\n", result.stdout)
    assert "libev" in result.stdout and "sanitizer=" in result.stdout


def test_help_lists_every_option(acceptd_binary):
    result = acceptd(acceptd_binary, "-h")
    assert result.returncode == 0
    for option in "fdtTVh":
        assert f"-{option}" in result.stdout


@pytest.mark.parametrize("arguments", [("-x",), ("-f",), ("surplus",), ("-t", "-T"), ("-d", "-t"),
                                       ("-f", "")])
def test_wrong_usage_is_refused_with_one_line(acceptd_binary, arguments):
    result = acceptd(acceptd_binary, *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("acceptd: ")


def test_missing_configuration_names_the_file(acceptd_binary):
    result = acceptd(acceptd_binary, "-t", "-f", "/no/such/file")
    assert result.returncode == 2
    assert "/no/such/file" in result.stderr and "No such file" in result.stderr


def test_check_of_a_good_file(server):
    server.write_config()
    result = server.run("-t")
    assert result.returncode == 0, result.stderr
    assert client.refuses()
    assert not os.path.exists(server.pid_path)


def test_check_does_not_touch_the_machine(server):
    server.listeners[0]["backlog"] = 30000
    server.write_config()
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        before = file.read()
        assert server.run("-t").returncode == 0
        file.seek(0)
        assert file.read() == before


@pytest.mark.parametrize("change", [
    {"user": "no_such_user_here"}, {"log": "/no/such/directory/log"}])
@as_root
def test_check_finds_what_the_world_does_not_allow(server, change):
    server.options.update(change)
    server.write_config()
    result = server.run("-t")
    assert result.returncode == 3
    assert list(change.values())[0].rsplit("/", 1)[0] in result.stderr


def test_check_finds_ports_in_use_and_their_owner(server):
    with socket.create_server(("127.0.0.1", 7000)):
        server.write_config()
        result = server.run("-t")
    assert result.returncode == 3
    assert "127.0.0.1:7000" in result.stderr and f"pid {os.getpid()}" in result.stderr


def test_check_finds_too_few_descriptors(server):
    server.options.update(max_connections=5000, workers=2)
    server.write_config()
    result = server.run("-t", wrapper=("prlimit", "--nofile=200"))
    assert "200" in result.stderr and "5000" in result.stderr


def test_all_errors_in_one_run(server):
    server.write_config('workers = -1;\nuserr = "x";\nlisteners = (\n'
                        '  { name = "a"; address = "127.0.0.1:70000"; protocol = "echo"; },\n'
                        '  { name = "a b"; address = "127.0.0.1:1"; protocol = "ecco"; }\n);\n')
    result = server.run("-t")
    assert result.returncode == 2
    for line, word in ((1, "workers"), (2, "userr"), (4, "70000"), (5, "ecco")):
        assert re.search(rf"acceptd\.conf:{line}: error: .*{word}", result.stderr), result.stderr
    assert "did you mean" in result.stderr


def without_origins(text):
    return [line for line in (re.sub(r"\s*(#|//).*$", "", line) for line in text.splitlines()) if line]


def test_dump_is_a_configuration_and_stays_the_same(server):
    server.listeners.append(config.listener(
        "other", ["127.0.0.1:7002", "[::1]:7002", "*:7003", "unix:/tmp/x"], on_limit="refuse",
        keepalive={"idle": "none"}, lifetime="90m", max_connections=77, max_pending="1M"))
    del server.options["hang_timeout"]
    server.write_config()
    first = server.run("-T")
    assert first.returncode == 0, first.stderr
    assert re.search(r'drain_timeout = "5s";.*acceptd\.conf:\d+', first.stdout)
    assert re.search(r'hang_timeout = "5s";.*default', first.stdout)
    server.write_config(first.stdout)
    second = server.run("-T")
    assert second.returncode == 0, second.stderr
    assert without_origins(second.stdout) == without_origins(first.stdout)
    server.start_text = first.stdout
    assert server.run("-t").returncode == 0


@pytest.fixture
def daemon(server):
    """Runs acceptd -d with the log in a file; the harness learns the master from the pid file."""
    server.options["log"] = server.log_path

    def start():
        server.write_config()
        result = server.run("-d")
        if result.returncode == 0:
            with open(server.pid_path, encoding="ascii") as file:
                server.master = int(file.read())
            server.settle()
        return result
    server.start_daemon = start
    yield server


def stop_daemon(server):
    server.note_children()
    server.send(signal.SIGTERM)
    wait_for("end", lambda: not processes.is_running(server.master))
    server.check_nothing_left()


def test_daemon_serves_when_the_command_returns(daemon):
    result = daemon.start_daemon()
    assert result.returncode == 0, result.stderr
    assert client.echoes()
    with open(f"/proc/{daemon.master}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    assert fields[1] == "1" or processes.parent(daemon.master) != os.getpid()
    assert int(fields[3]) != os.getsid(0), "a session of its own"
    assert fields[4] == "0", "no terminal"
    assert os.readlink(f"/proc/{daemon.master}/cwd") == "/"
    assert daemon.expected == []
    stop_daemon(daemon)


@pytest.mark.parametrize("break_it", ["port", "file", "user"])
def test_daemon_that_cannot_serve_says_why_and_leaves_nothing(daemon, break_it):
    blocker = None
    if break_it == "port":
        blocker = socket.create_server(("127.0.0.1", 7000))
    elif break_it == "file":
        daemon.options["no_such_option"] = 1
    else:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        daemon.options["user"] = "no_such_user_here"
    result = daemon.start_daemon()
    if blocker:
        blocker.close()
    assert result.returncode == (2 if break_it == "file" else 3)
    assert {"port": "7000", "file": "no_such_option", "user": "no_such_user_here"}[break_it] \
        in result.stderr
    assert not re.search(SANITIZER, result.stderr)
    assert not os.path.exists(daemon.pid_path)


def test_second_daemon_is_refused(daemon):
    assert daemon.start_daemon().returncode == 0
    again = daemon.run("-d")
    assert again.returncode == 3
    assert f"already running: pid {daemon.master}" in again.stderr
    stop_daemon(daemon)
