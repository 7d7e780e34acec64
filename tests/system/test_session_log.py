"""One line for each connection that ended: complete, once, and nobody waits for it."""
import os
import signal
import subprocess

import pytest

from harness import client, processes, sessions
from harness.admin import asked_json
from harness.backend import Backend, echo
from harness.config import listener
from harness.namespace import can_mount, fill_up, with_mounts
from harness.waiting import wait_for

FRONT = ("127.0.0.1", 7001)


@pytest.fixture
def logging(server):
    """Not started: echo, and a proxy to it or to a back end of the test."""
    server.options["session_log"] = server.path("sessions")
    server.listeners.append(listener("front", "127.0.0.1:7001", "proxy", upstream="be"))
    server.options["upstreams"] = [{"name": "be", "connect_timeout": "1s", "servers": [
        {"name": "one", "address": "127.0.0.1:7100"}]}]
    return server


def lines(server):
    return sessions.lines(server.path("sessions.2"), server.path("sessions.1"),
                          server.path("sessions"))


def last(server, count):
    """The last line, once there are `count`."""
    return wait_for(f"{count} lines", lambda: lines(server)[count - 1:])[-1]


def closed(server):
    """{(listener, reason): how many ended}, as the statistics say."""
    return {(row["name"], reason): count for row in asked_json(server, "listeners")
            for reason, count in row["closed"].items() if count}


def logged(server):
    counts = {}
    for line in lines(server):
        key = line["listener"], line["reason"]
        counts[key] = counts.get(key, 0) + 1
    return counts


def rotate(server, number):
    """As logrotate does."""
    os.rename(server.path("sessions"), server.path(f"sessions.{number}"))
    said = len(server.log_lines("SIGUSR1: log opened again"))
    server.send(signal.SIGUSR1)
    server.wait_log("SIGUSR1: log opened again", count=said + 1)


@pytest.mark.smoke
def test_a_line_has_both_sides_of_a_proxied_session(logging):
    logging.start()

    def serve(sock):
        with sock:
            sock.recv(5)
            sock.sendall(b"x" * 1000)
            sock.recv(1)
    with Backend(serve), client.connect(FRONT) as sock:
        sock.sendall(b"hello")
        client.receive(sock, 1000)
        host, port = sock.getsockname()
        sock.close()
        line = last(logging, 1)
    assert line["client"] == f"{host}:{port}"
    assert {key: line[key] for key in (
        "listener", "reason", "received_bytes", "sent_bytes", "upstream", "server",
        "server_address", "connects", "to_server_bytes", "from_server_bytes")} == {
            "listener": "front", "reason": "client", "received_bytes": "5", "sent_bytes": "1000",
            "upstream": "be", "server": "one", "server_address": "127.0.0.1:7100",
            "connects": "1", "to_server_bytes": "5", "from_server_bytes": "1000"}
    assert int(line["place_ms"]) + int(line["connect_ms"]) <= int(line["duration_ms"])
    assert line["id"].split("-")[0] in {str(slot) for slot in logging.workers()}


def test_a_session_without_a_back_end_says_how_far_it_came(logging):
    logging.options["upstreams"][0]["on_down"] = "refuse"
    logging.start()
    with pytest.raises((ConnectionResetError, EOFError)), client.connect(FRONT) as sock:
        client.receive(sock, 1)
    line = last(logging, 1)
    assert (line["reason"], line["server"], line["connects"], line["connect_ms"]) == (
        "connect_refused", "one", "1", "-")


def test_the_client_is_the_real_one_and_who_spoke_for_it_is_told(logging):
    logging.listeners[1].update(accept_proxy=True, trusted="127.0.0.1")
    logging.start()
    with Backend(echo), client.connect(FRONT) as sock:
        sock.sendall(b"PROXY TCP4 198.51.100.7 203.0.113.1 12345 80\r\n")
        client.ask(sock)
        sender = "{}:{}".format(*sock.getsockname())
        sock.close()
        line = last(logging, 1)
    assert (line["client"], line["via"], line["received_bytes"], line["to_server_bytes"]) == (
        "198.51.100.7:12345", sender, "6", "6")


def test_a_wait_for_a_place_is_in_the_line(logging):
    logging.options["upstreams"][0]["servers"][0]["max_connections"] = 1
    logging.start()
    with Backend(echo):
        first = client.connect(FRONT)
        client.ask(first)  # the place is his, whichever worker is faster
        second = client.connect(FRONT)
        wait_for("it waits", lambda: asked_json(logging, "upstreams")[0]["waiting"] == 1)
        first.close()
        client.ask(second)
        second.close()
        found = wait_for("two lines", lambda: lines(logging)[1:] and lines(logging))
    waits = sorted(int(line["place_ms"]) for line in found)
    assert waits[0] <= waits[1] <= max(int(line["duration_ms"]) for line in found)


def test_every_session_is_there_once_under_load_reloads_and_rotations(logging):
    """Also those of a killed worker but for its last turn, and those that it held, which are
    lost_in_crash."""
    logging.start()
    with Backend(echo), client.Load() as load, client.Load(FRONT) as front:
        held = client.Held(4)
        for step in range(1, 3):
            before = load.completed + front.completed
            rotate(logging, step)
            logging.reload()
            wait_for("load", lambda: load.completed + front.completed > before + 200)
        victim = logging.worker_of(held.socks[0])
        processes.kill(victim)
        logging.expect_log("killed by SIGKILL")
        logging.wait_log("killed by SIGKILL")
        before = load.completed + front.completed
        wait_for("load", lambda: load.completed + front.completed > before + 200)
    held.close()

    def is_over():
        return all(row["open"] == 0 for row in asked_json(logging, "listeners"))
    wait_for("all ended", is_over)
    counts = closed(logging)
    lost = sum(count for (_, reason), count in counts.items() if reason == "lost_in_crash")
    assert lost >= 1
    counts = {key: count for key, count in counts.items() if key[1] != "lost_in_crash"}
    wait_for("the last lines", lambda: sum(logged(logging).values()) >= sum(counts.values()) - 16)
    found = logged(logging)
    missing = {key: counts[key] - found.get(key, 0) for key in counts}
    assert set(found) <= set(counts)
    assert all(count >= 0 for count in missing.values()) and sum(missing.values()) <= 16, missing
    ids = [line["id"] for line in lines(logging)]
    assert len(ids) == len(set(ids))


def test_without_a_crash_not_one_line_is_missing(logging):
    logging.start()
    with Backend(echo), client.Load(pause=0) as load, client.Load(FRONT, pause=0) as front:
        wait_for("load", lambda: load.completed > 500 and front.completed > 500)
        rotate(logging, 1)
        logging.reload()
        wait_for("load", lambda: load.completed > 1000 and front.completed > 1000)
    assert load.failures == front.failures == []
    wait_for("as many lines", lambda: logged(logging) == closed(logging))
    assert sum(logged(logging).values()) == load.completed + front.completed


def test_reload_turns_it_on_and_off(logging):
    path = logging.options.pop("session_log")
    logging.start()
    assert client.echoes()
    logging.options["session_log"] = path
    logging.reload()
    assert client.echoes()
    last(logging, 1)
    logging.listeners[0]["session_log"] = False
    logging.reload()
    assert client.echoes()
    del logging.listeners[0]["session_log"]
    logging.options["session_log"] = path + ".other"
    logging.reload()
    assert client.echoes()
    wait_for("a line in the other", lambda: len(sessions.lines(path + ".other")) == 1)
    logging.settle()  # the master holds that file
    assert len(lines(logging)) == 1
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_a_removed_file_is_made_again_without_a_signal(logging):
    logging.start()
    os.unlink(logging.path("sessions"))
    logging.wait_log("session_log: .* was moved or removed; opened it anew")
    wait_for("a line in the new one", lambda: client.echoes() and lines(logging))


def test_a_file_that_is_not_to_be_had_refuses_start_and_reload(logging):
    os.symlink(logging.path("target"), logging.path("sessions"))
    logging.write_config()
    for arguments in (("-t",), ()):
        result = logging.run(*arguments)
        assert result.returncode == 3
        assert f"session_log: cannot write {logging.path('sessions')}: it is a symbolic link" \
            in result.stderr
    os.unlink(logging.path("sessions"))
    logging.start()
    logging.options["session_log"] = logging.path("missing/sessions")
    assert "session_log: cannot write" in logging.reload_fails()
    assert client.echoes()
    last(logging, 1)
    assert not os.path.exists(logging.path("target"))


@pytest.mark.skipif(not can_mount(), reason="may not mount")
def test_a_full_disk_delays_nobody_and_what_it_costs_is_counted(server):
    """A file system of 1 MiB of its own, filled up by somebody else."""
    server.options["session_log"] = server.path("small/sessions")
    os.mkdir(server.path("small"))
    server.start(wrapper=with_mounts(
        f'mount -t tmpfs -o size=1m,mode=755 none {server.path("small")}'))
    inside = f"/proc/{server.master}/root{server.path('small')}"
    filler = fill_up(inside)

    def dropped():
        return sum(row["session_lines_dropped"] for row in asked_json(server, "workers"))
    with client.Load(threads=8, pause=0) as load:
        wait_for("lines dropped", lambda: dropped() > 100)
        server.wait_log("session log: cannot write: No space left on device")
    assert load.failures == []
    os.unlink(filler)

    def is_settled():
        with open(f"{inside}/sessions", encoding="ascii") as file:
            whole = [line for line in file.read().splitlines() if sessions.LINE.fullmatch(line)
                     and "sent_bytes=" in line]
        return len(whole) + dropped() == sum(
            count for (name, _), count in closed(server).items() if name == "echo")
    wait_for("every session in a line or dropped", is_settled)
    assert 1 <= len(server.log_lines("session log: cannot write")) <= 2  # a worker tells it once
    server.wait_log("session log: written again after .*; [0-9]+ lines were dropped")


def test_the_example_of_the_manual_works(logging):
    logging.start()
    for _ in range(3):
        assert client.echoes()
    last(logging, 3)
    program = ('{ for (i = 1; i <= NF; i++) { split($i, f, "="); v[f[1]] = f[2] } '
               'n[v["listener"] " " v["reason"]]++ } END { for (k in n) print n[k], k }')
    result = subprocess.run(["awk", program, logging.path("sessions")], capture_output=True,
                            text=True, check=True)
    assert result.stdout == "3 echo client\n"
