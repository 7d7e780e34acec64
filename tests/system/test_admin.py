"""The monitor, its admin socket and acceptctl, on a running server."""
import collections
import json
import os
import re
import signal
import stat
import subprocess
import threading

import pytest

from harness import client, config, processes
from harness.admin import (GOOD, NEGATIVE, REFUSED, UNREACHABLE, USAGE, Session, acceptctl, ask_as,
                           asked, asked_json)
from harness.waiting import PATIENCE, seconds, wait_for

NOBODY = 65534
STRANGER = 4711
READING = ["status", "listeners", "workers", "queue", "states", "kernel", "events", "stats",
           "connections", "version", "help"]


def monitor_of(server):
    found = [pid for pid in processes.children(server.master)
             if processes.title(pid) == "acceptd: monitor" and processes.is_running(pid)]
    return found[0] if found else None


def listener_row(server, name="echo"):
    return next(row for row in asked_json(server, "listeners") if row["name"] == name)


# -- reading --------------------------------------------------------------------------------------

@pytest.mark.parametrize("command", READING)
def test_every_command_answers_in_text_and_json(server, command):
    server.start()
    text = asked(server, command)
    assert text.endswith("\n") and "\x1b" not in text
    assert isinstance(asked_json(server, command), (dict, list))


@pytest.mark.smoke
def test_status_is_well_and_the_numbers_are_the_clients(server):
    server.start()
    held = client.Held(5)
    assert all(client.echoes() for _ in range(20))

    def is_counted():  # a client has its bytes a moment before they are counted
        row = listener_row(server)
        return (row["open"] == 5 and row["accepted"] == 25 and row["closed"]["client"] == 20
                and row["received_bytes"] == row["sent_bytes"] == 5 * 64 + 20 * 6)
    wait_for("all counted", is_counted)
    status = asked_json(server, "status")
    assert status["health"] == "well" and status["open"] == 5 and status["accepted"] == 25
    assert asked(server, "status").startswith("acceptd is well\n")
    assert len(asked_json(server, "workers")) == 2
    held.close()


def test_stats_in_the_form_of_nstat(server):
    server.start()
    assert client.echoes()
    lines = asked(server, "stats", "listener.echo.*").splitlines()
    assert lines and all(re.fullmatch(r"listener\.echo\.\w+ +\d+ +\d+\.\d", line) for line in lines)
    assert asked_json(server, "stats", "listener.echo.accepted") == {"listener.echo.accepted": 1}
    nothing = acceptctl(server, "stats", "accepted")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "no statistic is called 'accepted'; a pattern is as for file names: '*accepted*'" in \
        nothing.stderr


def test_kernel_counters_are_nstats(server):
    server.start()
    assert client.echoes()
    ours = wait_for("the kernel's counters to be read", lambda: (
        lambda known: known if known["is_known"] and known["PassiveOpens"]["now"] else None)(
            asked_json(server, "kernel")))
    theirs = subprocess.run(["nstat", "-asz", "TcpPassiveOpens"], capture_output=True, text=True,
                            check=False).stdout
    if theirs:
        assert ours["PassiveOpens"]["now"] == int(theirs.split("TcpPassiveOpens")[1].split()[0])


def test_states_agree_with_ss(server):
    server.start()
    held = client.Held(7)

    def by_ss():
        out = subprocess.run(["ss", "-Htan", "sport = :7000"], capture_output=True, text=True,
                             check=True).stdout
        return collections.Counter(line.split()[0] for line in out.splitlines())

    def agree():
        row, counted = asked_json(server, "states", "echo")[0], by_ss()
        return (row["established"] == counted["ESTAB"] == 7
                and row["listen"] == counted["LISTEN"] == 1
                and row["time_wait"] == counted["TIME-WAIT"]
                and row["close_wait"] == counted["CLOSE-WAIT"] == 0)
    wait_for("the same as ss says", agree)
    held.close()
    assert acceptctl(server, "states", "nobody").returncode == NEGATIVE


def test_events_tell_the_story_and_follow_it(server):
    server.start()
    assert "serving: 2 workers" in asked(server, "events")
    texts = [event["text"] for event in asked_json(server, "events")]
    assert any("serving: 2 workers" in text for text in texts)
    with Session(server.path("admin.sock")) as session:
        assert "serving" in session.ask("events")[2]
        mark, _, story = session.ask("events --after 0-0")[2].partition("\n")
        assert "serving" in story
        assert session.ask(f"events --after {mark}") == ("ok", 0, mark + "\n")
        server.reload()  # seen in the log, which is written before the board
        wait_for("the event", lambda: "is in force" in session.ask(f"events --after {mark}")[2])
        # a mark of another master, whose events had other numbers
        assert "serving" in session.ask(f"events --after {mark.partition('-')[0]}-1")[2]


def test_following_prints_what_comes(server):
    server.start()
    program = os.path.join(os.environ["ACCEPTD_BUILD"], "acceptctl")
    with subprocess.Popen([program, "-s", server.path("admin.sock"), "events", "-f"],
                          stdout=subprocess.PIPE, text=True) as follower:
        assert any("serving: 2 workers" in line for line in iter(follower.stdout.readline, None))
        server.reload()
        assert any("is in force" in line for line in iter(follower.stdout.readline, None))
        follower.terminate()


def test_a_follower_misses_nothing_while_the_monitor_is_replaced(server):
    """Killed while things happen; whoever follows is shown each event once, in order."""
    server.start()
    program = os.path.join(os.environ["ACCEPTD_BUILD"], "acceptctl")
    with subprocess.Popen([program, "-s", server.path("admin.sock"), "events", "-f"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as follower:
        seen = [follower.stdout.readline()]  # it follows
        for _ in range(3):
            monitor = wait_for("a monitor", lambda: monitor_of(server))
            server.reload()
            processes.kill(monitor)
            server.reload()
            wait_for("another", lambda old=monitor: monitor_of(server) not in (None, old))
            wait_for("its answer", lambda: acceptctl(server, "version").returncode == GOOD)
        story = wait_for("the story", lambda: asked(server, "events")).splitlines()
        seen += [follower.stdout.readline() for _ in story[1:]]
        assert [line.rstrip("\n") for line in seen] == story
        follower.terminate()


def test_health_names_the_trouble_and_the_cure(server):
    server.listeners[0]["backlog"] = 50000
    server.options["kernel"] = {"somaxconn": "keep"}
    server.start()
    wait_for("the first look at the queue", lambda: "degraded" in asked(server, "status"))
    assert "net.core.somaxconn=50000" in asked(server, "status")


# -- connections ----------------------------------------------------------------------------------

def test_connections_are_those_of_the_clients(server):
    server.start()
    held = client.Held(30)
    rows = asked_json(server, "connections")["connections"]
    peers = {"%s:%d" % sock.getsockname() for sock in held.socks}
    assert {row["peer"] for row in rows} == peers
    assert len({row["id"] for row in rows}) == 30
    assert all(row["state"] == "ESTABLISHED" and row["listener"] == "echo" for row in rows)
    assert asked_json(server, "connections", "--older", "1h")["connections"] == []
    assert asked_json(server, "connections", "--state", "CLOSE_WAIT")["connections"] == []
    assert len(asked_json(server, "connections", "--listener", "echo")["connections"]) == 30
    held.close()


def test_a_connection_knows_its_bytes(server):
    server.start()
    with client.connect() as sock:
        client.ask(sock, b"x" * 1000)
        row = asked_json(server, "connections")["connections"][0]
        assert row["received_bytes"] == row["sent_bytes"] == 1000
        assert asked_json(server, "connection", row["id"])["connections"][0]["peer"] == row["peer"]


def test_a_killed_connection_is_reset_and_counted(server):
    server.start()
    with client.connect() as one, client.connect() as other:
        client.ask(one)
        client.ask(other)
        peer = "%s:%d" % one.getsockname()
        rows = asked_json(server, "connections")["connections"]
        chosen = next(row["id"] for row in rows if row["peer"] == peer)
        assert "is closed" in asked(server, "kill", chosen)
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        assert client.ask(other) == b"hello\n"
        assert acceptctl(server, "kill", chosen).returncode == NEGATIVE
        assert acceptctl(server, "connection", chosen).returncode == NEGATIVE
        assert listener_row(server)["closed"]["killed"] == 1


def test_a_kill_is_answered_although_its_worker_dies_over_it(server):
    server.options["hang_timeout"] = "1s"
    server.expect_log(r"worker \d+ \(pid \d+\) (made no progress|killed by|stack)")
    server.start()
    with client.connect() as sock:
        client.ask(sock)
        chosen = asked_json(server, "connections")["connections"][0]["id"]
        processes.stop(server.worker_of(sock))
        result = acceptctl(server, "kill", chosen)
        assert result.returncode == NEGATIVE and "is not there (any more)" in result.stderr
        wait_for("both workers", lambda: len(server.workers()) == 2)


def test_numbers_of_connections_are_not_given_again(server):
    server.expect_log("SIGKILL")
    server.start()
    with client.connect() as sock:
        client.ask(sock)
        old = asked_json(server, "connections")["connections"][0]["id"]
        processes.kill(server.worker_of(sock))
        wait_for("both workers", lambda: len(server.workers()) == 2)
    held = client.Held(20)
    rows = wait_for("all listed", lambda: (lambda found: found if len(found) == 20 else None)(
        asked_json(server, "connections")["connections"]))
    assert old not in {row["id"] for row in rows}
    held.close()


def test_a_worker_that_stands_still_delays_the_list_and_is_named(server):
    server.start()
    stopped = server.workers()[0]
    processes.stop(stopped)
    try:
        result = acceptctl(server, "connections")
        assert result.returncode == GOOD and "1 workers did not answer" in result.stdout
    finally:
        os.kill(stopped, signal.SIGCONT)


# -- changing -------------------------------------------------------------------------------------

def test_reload_answers_when_it_is_done(server):
    server.start()
    server.listeners.append(config.listener("more", "127.0.0.1:7002"))
    server.write_config()
    assert "configuration 2 is in force in all 2 workers" in asked(server, "reload")
    assert client.echoes(("127.0.0.1", 7002))
    assert [row["name"] for row in asked_json(server, "listeners")] == ["echo", "more"]
    server.settle()


def test_a_refused_reload_says_what_the_test_says(server):
    server.start()
    server.write_config(open(server.config_path, encoding="utf-8").read() + "foo = 1;\nbar = 2;\n")
    said = server.run("-t").stderr.splitlines()
    server.expect_log("unknown setting")
    server.expect_log("reload refused")
    result = acceptctl(server, "reload")
    assert result.returncode == NEGATIVE
    assert all(line in result.stderr for line in said), (said, result.stderr)
    assert "nothing changed" in result.stderr
    assert asked_json(server, "status")["reloads_failed"] == 1
    server.write_config()


def test_many_reloads_at_the_same_time_are_all_answered(server):
    server.start()
    results = []
    threads = [threading.Thread(target=lambda: results.append(acceptctl(server, "reload")))
               for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [GOOD] * 10


def test_stop_returns_when_the_server_has_gone(server):
    server.start()
    assert asked(server, "stop") == "stopped; 0 connections were cut\n"
    assert server.wait_exit() == 0
    assert not os.path.exists(server.path("admin.sock"))
    result = acceptctl(server, "status")
    assert result.returncode == UNREACHABLE and "does not run" in result.stderr


def test_stop_now_counts_whom_it_cut(server):
    server.start()
    held = client.Held(3)
    assert asked(server, "stop", "now") == "stopped; 3 connections were cut\n"
    assert server.wait_exit() == 0
    held.close()


def test_a_drained_listener_keeps_its_clients_and_lets_others_in_later(server):
    server.start()
    held = client.Held(3)
    asked(server, "drain", "echo")
    assert listener_row(server)["drained"] == 1
    held.prove_all()
    waiting = []
    latecomer = threading.Thread(target=lambda: waiting.append(client.echoes()))
    latecomer.start()
    latecomer.join(0.5)
    assert latecomer.is_alive(), "a new client was let in"
    asked(server, "resume", "echo")
    latecomer.join(seconds(PATIENCE))
    assert waiting == [True] and listener_row(server)["drained"] == 0
    assert acceptctl(server, "drain", "nobody").returncode == NEGATIVE
    held.close()


def test_a_drained_listener_is_not_taken_for_a_damaged_one(server):
    server.start()
    asked(server, "drain", "echo")
    turns = asked_json(server, "workers")[0]["turns"]
    wait_for("some rounds of the healer", lambda: asked_json(server, "workers")[0]["turns"] > turns
             + 25, 10.0)
    assert listener_row(server)["drained"] == 1
    assert asked_json(server, "status")["listeners_healed"] == 0
    with pytest.raises(OSError):
        client.connect(limit=0.3)
    asked(server, "resume", "echo")


# -- the process ----------------------------------------------------------------------------------

def test_the_monitor_is_unprivileged_and_no_worker(server):
    server.start()
    pid = monitor_of(server)
    assert processes.status(pid, "Uid").split() == [str(NOBODY)] * 4
    assert processes.status(pid, "CapEff") == "0" * 16
    assert processes.status(pid, "NoNewPrivs") == "1"
    assert len(server.workers()) == 2


def test_a_killed_monitor_comes_back_and_costs_nothing(server):
    server.start()
    held = client.Held(5)
    for _ in range(3):
        pid = monitor_of(server)
        processes.kill(pid)
        wait_for("another monitor", lambda: monitor_of(server) not in (None, pid))
        assert asked_json(server, "status")["worker_crashes"] == 0
        held.prove_all()
    server.wait_log(r"the monitor \(pid \d+\) was killed by SIGKILL")
    held.close()


@pytest.mark.once
def test_a_monitor_that_stands_still_is_found_and_replaced(server):
    """Otherwise whoever asks would wait for ever: acceptctl, and a balancer that asks for /healthz."""
    server.options["hang_timeout"] = "5s"
    server.start()
    pid = monitor_of(server)
    processes.stop(pid)
    assert acceptctl(server, "status").returncode in (GOOD, UNREACHABLE)
    server.wait_log(rf"the monitor \(pid {pid}\) was killed by SIGKILL because it made no progress")
    assert acceptctl(server, "status").returncode == GOOD


def test_the_monitor_goes_with_a_killed_master(server):
    server.start()
    pid = monitor_of(server)
    server.note_children()
    processes.kill(server.master)
    wait_for("the monitor to end", lambda: not processes.is_running(pid))
    server.process.wait()
    server.check_nothing_left()


def test_no_door_no_monitor_and_a_reload_opens_one(server):
    server.options["admin"] = {"socket": ""}
    server.start()
    assert monitor_of(server) is None
    server.options["admin"] = {"socket": server.path("admin.sock")}
    server.reload()
    wait_for("an answer", lambda: acceptctl(server, "status").returncode == GOOD)
    server.settle()
    server.options["admin"] = {"socket": server.path("other.sock")}
    server.reload()
    assert not os.path.exists(server.path("admin.sock"))
    with Session(server.path("other.sock")) as session:
        assert session.ask("status")[0] == "ok"


def test_a_path_that_cannot_be_had_is_an_error_that_names_it(server):
    server.options["admin"] = {"socket": "/nowhere/at/all/admin.sock"}
    server.write_config()
    for arguments in ([], ["-t"]):
        result = server.run(*arguments)
        assert result.returncode == 3 and "admin.socket: cannot listen on unix:/nowhere" in \
            result.stderr and "its directory does not exist" in result.stderr


def test_a_web_address_in_use_is_told_with_its_owner(server, make_server):
    server.start()
    other = make_server(port=7005)
    other.options["admin"] = {"socket": other.path("admin.sock"), "web": "127.0.0.1:7000"}
    other.write_config()
    result = other.run("-t")
    assert result.returncode == 3
    assert f"admin.web: 127.0.0.1:7000 is in use by pid {server.master}" in result.stderr


# -- rights ---------------------------------------------------------------------------------------

def test_the_socket_is_for_root_and_the_workers_group(server):
    server.start()
    found = os.stat(server.path("admin.sock"))
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert (found.st_uid, found.st_gid) == (0, NOBODY)
    assert ask_as(STRANGER, STRANGER, server.path("admin.sock"), "status") == 13  # EACCES


@pytest.mark.parametrize("uid,command,code", [
    (STRANGER, "status", "OK"), (STRANGER, "connections", "OK"),
    (STRANGER, "drain echo", "ERROR refused"), (STRANGER, "kill 0-1", "ERROR refused"),
    (STRANGER, "reload", "ERROR refused"), (STRANGER, "stop", "ERROR refused"),
    (NOBODY, "kill 0-1", "ERROR failed"), (NOBODY, "drain echo", "OK"),
    (NOBODY, "reload", "ERROR refused"), (NOBODY, "stop now", "ERROR refused"),
])
def test_who_may_do_what(server, uid, command, code):
    """Members of the socket's group read, the workers' user operates, root administers."""
    server.start()
    answer = ask_as(uid, NOBODY, server.path("admin.sock"), command)
    assert answer.startswith(code), answer
    if "refused" in code:
        server.wait_log(rf"{command.split()[0]} denied to uid {uid} \(pid \d+\)")
    assert server.is_running()


def test_exit_status_tells_a_refusal(server):
    server.start()
    program = os.path.join(os.environ["ACCEPTD_BUILD"], "acceptctl")
    assert acceptctl(server, "frobnicate").returncode == USAGE
    assert "did you mean 'status'" in acceptctl(server, "statsu").stderr
    copy = server.path("acceptctl")
    with open(program, "rb") as source, open(copy, "wb") as target:
        target.write(source.read())
    os.chmod(copy, 0o755)
    result = subprocess.run([copy, "-s", server.path("admin.sock"), "reload"], user=NOBODY,
                            group=NOBODY, extra_groups=[], capture_output=True, text=True,
                            check=False, cwd="/")
    assert result.returncode == REFUSED and "may not reload" in result.stderr


def test_never_connectable_by_others(server):
    """A1: tried all the time, over many openings of the socket."""
    server.start()
    script = ("import socket, sys, os\n"
              "results = set()\n"
              "while not os.path.exists(sys.argv[2]):\n"
              "    s = socket.socket(socket.AF_UNIX)\n"
              "    results.add(s.connect_ex(sys.argv[1])); s.close()\n"
              "print(sorted(results))\n")
    end = server.path("end")
    with subprocess.Popen([os.path.realpath("/usr/bin/python3"), "-c", script,
                           server.path("admin.sock"), end], stdout=subprocess.PIPE, text=True,
                          user=STRANGER, group=STRANGER, extra_groups=[], cwd="/") as stranger:
        for _ in range(20):
            for name in ("other.sock", "admin.sock"):
                server.options["admin"] = {"socket": server.path(name)}
                server.reload()
        open(end, "w", encoding="utf-8").close()
        results = set(json.loads(stranger.stdout.readline()))
    assert results <= {2, 13} and 13 in results, results  # ENOENT, EACCES


# -- doctor ---------------------------------------------------------------------------------------

def test_doctor_judges_and_writes(server):
    server.start()
    result = acceptctl(server, "doctor")
    assert result.returncode in (0, 1, 2) and "net.core.somaxconn" in result.stdout
    report = json.loads(acceptctl(server, "doctor", "--json").stdout)
    assert report
    path = server.path("sysctl.conf")
    assert acceptctl(server, "doctor", "--write", path).returncode == result.returncode
    with open(path, encoding="utf-8") as file:
        assert all(re.match(r"#|$|[\w.]+ = ", line) for line in file.read().splitlines())


def test_doctor_says_what_will_not_hold(server):
    server.listeners[0]["backlog"] = 60000
    server.options["kernel"] = {"somaxconn": "keep"}
    server.start()
    result = acceptctl(server, "doctor")
    assert result.returncode in (1, 2) and 'sysctl -w net.core.somaxconn="60000"' in result.stdout


def test_the_program_has_a_doctor_before_anything_runs(server):
    server.listeners[0]["backlog"] = 60000
    server.options["kernel"] = {"somaxconn": "keep"}
    server.write_config()
    result = server.run("-t", "--doctor")
    assert result.returncode in (1, 2)
    assert "net.core.somaxconn" in result.stdout and "connections of this configuration" in result.stdout
    assert server.run("--doctor").returncode == 2
    server.write_config("foo = 1;")
    assert server.run("-t", "--doctor").returncode == 2
