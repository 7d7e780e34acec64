"""Another program takes the master's place: same process, same sockets, nobody lost."""
import os
import signal
import socket
import threading

import pytest

from harness import admin, client, config, processes, upgrade
from harness.acceptd import READY, RELOADED
from harness.backend import BACK, Backend, echo
from harness.waiting import PATIENCE, holds_for, seconds, wait_for

UPGRADES = 20
PROXY = ("127.0.0.1", 7002)


@pytest.fixture
def installed(server):
    """Not started: its program is a file of its own, so that another can take the name."""
    upgrade.install(server)
    return server


def listening_inode(port):
    """Of the one listening socket of a port, as the kernel numbers it."""
    with open(f"/proc/{os.getpid()}/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    found = [row[9] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port]
    assert len(found) == 1, found
    return found[0]


def totals(server):
    """{name: value} of every counter of listeners and master that is never to go back."""
    rows = {f"{row['name']}.{key}": value for row in admin.asked_json(server, "listeners")
            for key, value in [("accepted", row["accepted"]), *row["closed"].items()]}
    status = admin.asked_json(server, "status")
    return {**rows, **{key: status[key] for key in ("upgrades", "reloads", "worker_crashes")}}


class Talkers:
    """Sessions that never stop: each sends a piece and waits for it, again and again."""

    def __init__(self, count, address):
        self.rounds, self.failures = [0] * count, []
        self._end = threading.Event()
        self.socks = [client.connect(address, 30.0) for _ in range(count)]
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                        for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        try:
            while not self._end.wait(0.005):
                data = client.pattern(3000, self.rounds[number])
                assert client.ask(self.socks[number], data) == data
                self.rounds[number] += 1
        except (OSError, EOFError, AssertionError) as error:
            self.failures.append(f"session {number}: {type(error).__name__}: {error}")

    def prove_alive(self):
        """Each says something more from now on."""
        before = list(self.rounds)
        wait_for("every session talks", lambda: self.failures or all(
            now > then for now, then in zip(self.rounds, before)))
        assert not self.failures, self.failures

    def end(self):
        self._end.set()
        for thread in self.threads:
            thread.join()
        for sock in self.socks:
            sock.close()


def test_twenty_upgrades_under_load_lose_nobody(installed):
    server = installed
    server.listeners.append(config.listener("front", "127.0.0.1:7002", "proxy", upstream="be"))
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": "127.0.0.1:7100"}]}]
    server.start()
    master, inode, started = server.master, listening_inode(7000), processes.start_ticks(server.master)
    with Backend(echo, BACK):
        held, talkers = client.Held(8), Talkers(6, PROXY)
        with client.Load(threads=3) as load, client.Load(PROXY, threads=2) as through:
            before = totals(server)
            for number in range(UPGRADES):
                wanted = upgrade.install(server)
                if number % 2:
                    upgrade.upgrade_by_signal(server, number + 1)
                else:
                    upgrade.upgrade(server)
                assert upgrade.program_of(master) == wanted
                talkers.prove_alive()
                now = totals(server)
                assert now["upgrades"] == number + 1
                assert all(now[key] >= before[key] for key in before)
                before = now
            done = load.completed + through.completed
            wait_for("more short sessions",
                     lambda: load.completed + through.completed > done + 20)
        held.prove_all()
        talkers.prove_alive()
        assert load.failures == [] and through.failures == []
        assert load.completed > UPGRADES and through.completed > UPGRADES
        assert (master, started) == (server.master, processes.start_ticks(server.master))
        assert listening_inode(7000) == inode
        # workers of before are there for who came before, and for nobody else
        status = admin.asked_json(server, "status")
        assert status["workers_serving"] == 2
        assert status["open_in_finishing"] == len(held.socks) + len(talkers.socks)
        held.close()
        talkers.end()
    upgrade.settle(server)
    for row in admin.asked_json(server, "listeners"):
        lost = {key: row["closed"][key] for key in ("lost_in_crash", "drain", "protocol_error")
                if key in row["closed"]}
        assert not any(lost.values()), lost


def test_a_thousand_idle_and_fifty_busy_sessions_stay_where_they_are(installed):
    server = installed
    server.start()
    old = server.workers()
    idle, busy = client.Held(1000), Talkers(50, client.ECHO)
    upgrade.install(server)
    said = upgrade.upgrade(server)
    assert "serves with 2 workers; 2 of before finish 1050 connections" in said
    busy.prove_alive()
    assert client.echoes()
    assert set(old.values()) <= set(server.workers().values())
    rows = admin.asked_json(server, "connections")
    ages = [row["age_ms"] for row in (rows if isinstance(rows, list) else rows["connections"])]
    assert len(ages) == 1050
    assert "finishing: 2 workers with 1050 connections" in admin.asked(server, "status")
    assert admin.asked(server, "status").startswith("acceptd is well")
    idle.prove_all()
    idle.close()
    busy.end()
    workers = upgrade.settle(server)
    assert not set(workers.values()) & set(old.values())


def test_old_sessions_end_in_time_when_a_time_is_set(installed):
    server = installed
    server.options["upgrade_drain_timeout"] = "1s"
    server.start()
    held = client.Held(3)
    upgrade.install(server)
    assert "finish 3 connections, at most within 1s" in upgrade.upgrade(server)
    young = client.Held(2)
    wait_for("the old ones ended", lambda: held.lost() == 3)
    upgrade.wait_old_gone(server, 2)
    young.prove_all()
    assert admin.asked_json(server, "listeners")[0]["closed"]["drain"] == 3
    held.close()
    young.close()
    upgrade.settle(server)


def test_a_new_configuration_comes_with_the_program(installed):
    """Packages bring both: what the check has read is in force afterwards."""
    server = installed
    server.start()
    held = client.Held(2)
    server.options["workers"] = 3
    server.listeners.append(config.listener("second", "127.0.0.1:7003"))
    server.write_config()
    upgrade.install(server)
    upgrade.upgrade(server)
    server.wait_log(RELOADED)
    assert client.echoes(("127.0.0.1", 7003))
    held.prove_all()
    held.close()
    upgrade.settle(server, 3)


def test_a_killed_old_worker_costs_its_sessions_and_nothing_else(installed):
    server = installed
    server.options["workers"] = 1
    server.start()
    old = server.workers()[0]
    lost = client.Held(3)
    upgrade.install(server)
    upgrade.upgrade(server)
    young = client.Held(3)
    os.kill(old, signal.SIGKILL)
    server.expected.append(r"worker 0 .*SIGKILL")
    wait_for("its sessions lost", lambda: lost.lost() == 3)
    young.prove_all()
    assert client.echoes()
    wait_for("they are counted", lambda: admin.asked_json(
        server, "listeners")[0]["closed"]["lost_in_crash"] == 3)
    holds_for("one worker", lambda: len(server.workers()) == 1, 0.3)
    lost.close()
    young.close()
    upgrade.settle(server, 1)


def test_a_killed_new_worker_is_replaced_by_one_of_the_new_program(installed):
    server = installed
    server.options["workers"] = 1
    server.start()
    program = upgrade.install(server)
    upgrade.upgrade(server)
    first = upgrade.wait_old_gone(server, 1)
    server.expected.append(r"worker \d+ .*SIGKILL")
    os.kill(list(first.values())[0], signal.SIGKILL)
    second = wait_for("another", lambda: (
        lambda now: now and now != first and now)(server.workers()))
    assert upgrade.program_of(list(second.values())[0]) == program
    assert client.echoes()
    upgrade.settle(server, 1)


def test_what_operators_ordered_outlives_the_program(installed):
    server = installed
    server.listeners += [config.listener("front", "127.0.0.1:7002", "proxy", upstream="be"),
                         config.listener("shut", "127.0.0.1:7003")]
    server.options["upstreams"] = [{"name": "be", "servers": [
        {"name": "one", "address": "127.0.0.1:7100"}, {"name": "two", "address": "127.0.0.1:7101"}]}]
    server.start()
    admin.asked(server, "server", "one", "drain")
    admin.asked(server, "server", "two", "max", "7")
    admin.asked(server, "drain", "shut")
    server.send(signal.SIGTTIN)
    wait_for("a third worker", lambda: len(server.workers()) == 3)
    accepted = admin.asked_json(server, "listeners")[0]["accepted"]
    upgrade.install(server)
    upgrade.upgrade(server)
    server.wait_log(RELOADED)
    upgrade.wait_old_gone(server, 3)
    rows = {row["server"]: row for row in admin.asked_json(server, "upstreams")}
    assert rows["one"]["state"] == "drained" and rows["two"]["max_connections"] == 7
    shut = [row for row in admin.asked_json(server, "listeners") if row["name"] == "shut"][0]
    assert shut["drained"] == 1
    assert admin.asked_json(server, "listeners")[0]["accepted"] >= accepted
    admin.asked(server, "resume", "shut")
    assert client.echoes(("127.0.0.1", 7003))
    upgrade.settle(server, 3)


def test_an_upgrade_waits_for_the_queue_of_a_listener_on_its_way_out(installed):
    """The workers that have it empty it; those of the next program never knew the listener."""
    server = installed
    server.listeners.append(config.listener("leaving", "127.0.0.1:7003"))
    server.start()
    held = client.Held(2, ("127.0.0.1", 7003))
    del server.listeners[1]
    server.reload()
    upgrade.install(server)
    upgrade.upgrade(server)
    lines = server.log()
    assert lines.index("leaving: 127.0.0.1:7003 is closed") < lines.index("upgrade: checking")
    held.prove_all()
    assert client.refuses(("127.0.0.1", 7003))
    held.close()
    upgrade.settle(server)


def test_the_log_goes_on_and_follows_a_rotation(installed):
    """A daemon with a log file, a session log and a pid file, all three in the program after."""
    server = installed
    path, sessions = server.path("acceptd.log"), server.path("sessions")
    for name in (path, sessions):
        open(name, "a", encoding="ascii").close()
    server.options.update(log=path, session_log=sessions)
    server.log_path = path
    server.start()
    upgrade.install(server)
    upgrade.upgrade(server)
    assert client.echoes()
    wait_for("its line", lambda: os.path.getsize(sessions) > 0)
    os.rename(path, path + ".1")
    os.rename(sessions, sessions + ".1")
    server.send(signal.SIGUSR1)
    server.wait_log(r"SIGUSR1: log opened again")
    assert client.echoes()
    wait_for("its line", lambda: os.path.getsize(sessions) > 0)
    with open(server.pid_path, encoding="ascii") as file:
        assert int(file.read()) == server.master
    second = server.run()
    assert second.returncode == 3 and "already running" in second.stderr
    upgrade.settle(server)


def test_nothing_is_left_after_a_stop(installed):
    server = installed
    server.start()
    held = client.Held(2)
    upgrade.install(server)
    upgrade.upgrade(server)
    server.options["drain_timeout"] = "200ms"
    server.reload()
    assert server.stop() == 0
    assert held.lost() == 2
    held.close()
    assert not os.path.exists(server.pid_path)
    assert not os.path.exists(server.path("admin.sock"))
    assert client.refuses()


def test_a_killed_master_loses_no_session_after_an_upgrade(installed):
    """Old and new workers finish what they have, as if there had been no upgrade."""
    server = installed
    server.options["drain_timeout"] = "60s"
    server.start()
    old = client.Held(2)
    upgrade.install(server)
    upgrade.upgrade(server)
    young = client.Held(2)
    server.note_children()
    server.send(signal.SIGKILL)
    server.wait_exit()
    old.prove_all()
    young.prove_all()
    old.close()
    young.close()
    server.check_nothing_left()


def test_the_service_manager_hears_of_it_and_its_sockets_stay(installed):
    server = installed
    address = server.path("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(seconds(PATIENCE))

        def wait(word):
            while True:
                lines = manager.recv(4096).decode().splitlines()
                if word in lines:
                    return lines
        server.start(env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3600000000"})
        wait("READY=1")
        upgrade.install(server)
        upgrade.upgrade(server)
        assert any(line.startswith("MONOTONIC_USEC=") for line in wait("RELOADING=1"))
        wait("WATCHDOG=1")  # at once: the one of before may have been just about to give its own
        assert f"MAINPID={server.master}" in wait("READY=1")
        server.wait_log(RELOADED)
        upgrade.settle(server)
        assert server.stop() == 0
        wait("STOPPING=1")


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_stop_beside_an_upgrade_is_a_stop(installed, order):
    server = installed
    server.start()
    server.note_children()
    signals = [signal.SIGTERM, signal.SIGUSR2]
    for number in signals if order == "before" else reversed(signals):
        server.send(number)
    assert server.wait_exit() == 0
    assert not os.path.exists(server.pid_path)
    server.check_nothing_left()


def test_a_storm_of_signals_ends_where_it_began(installed):
    """Each upgrade is whole, requests beside one are none, and the last reload takes effect."""
    server = installed
    server.start()
    held = client.Held(4)
    for number in [signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD] * 30:
        server.send(number)
        held.prove_all()
    server.options["workers"] = 1
    server.write_config()
    server.send(signal.SIGHUP)
    # who asks while a monitor is replaced may have to ask again; after this one nothing is left to do
    def is_upgraded():
        old = processes.children(server.master)
        if admin.acceptctl(server, "upgrade").returncode != admin.GOOD:
            return False
        upgrade.wait_settled(server, old)
        return True
    wait_for("an upgrade of our own", is_upgraded)
    held.prove_all()
    held.close()
    upgrade.settle(server, 1)
    assert client.echoes()
    assert admin.asked_json(server, "status")["upgrades"] >= 1


def test_a_daemon_is_upgraded_in_the_background(installed):
    server = installed
    path = server.path("acceptd.log")
    server.options["log"] = path
    server.log_path = path
    server.write_config()
    assert server.run("-d").returncode == 0
    wait_for("ready", lambda: server.log_lines(READY))
    with open(server.pid_path, encoding="ascii") as file:
        server.master = int(file.read())
    server.note_children()
    wanted = upgrade.install(server)
    upgrade.upgrade(server)
    assert upgrade.program_of(server.master) == wanted
    assert client.echoes()
    server.note_children()
    server.send(signal.SIGTERM)
    wait_for("its end", lambda: not processes.is_running(server.master))
    server.check_nothing_left()
