"""Limits by source: how many connections an address may have and how fast they may come, exact over
all workers, and what they cost."""
import re
import shutil
import time

import pytest

from harness import client, config, processes, source
from harness.admin import acceptctl, asked, asked_json
from harness.source import close_all, is_served, knock, try_many, verdict
from harness.waiting import seconds, wait_for

pytestmark = pytest.mark.skipif(not shutil.which("ip"), reason="no iproute2")
ONE, OTHER = "10.9.0.5", "10.9.0.6"


@pytest.fixture
def limited(server, namespace):
    """limited(workers, **options of the listener) starts the server on an address of 10.9.0.0/16."""
    source.own_networks()

    def start(workers=4, address="10.9.0.1:7000", **options):
        server.options["workers"] = workers
        server.listeners = [config.listener(address=address, **options)]
        return server.start()
    return start


def listener_of(server, name="echo"):
    return next(row for row in asked_json(server, "listeners") if row["name"] == name)


def closed(server, reason):
    return listener_of(server)["closed"][reason]


def source_row(server, wanted):
    return next((row for row in asked_json(server, "sources") if row["source"] == wanted), None)


def stat(server, name):
    return sum(row[name] for row in asked_json(server, "workers"))


def board_resident(pid):
    """Kilobytes of the board that a process has touched."""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        text = file.read()
    areas = re.findall(r"memfd:acceptd board.*?\nRss: +(\d+) kB", text, re.DOTALL)
    assert areas
    return sum(int(area) for area in areas)


# -- connections ----------------------------------------------------------------------------------

def test_one_source_cannot_take_every_place(limited):
    """It opens until it is refused; another one is served meanwhile, and every refusal is counted
    once and told with its source."""
    server = limited(max_connections=60, max_connections_per_source=40)
    held = try_many(ONE, 150)
    assert len(held) == 40
    others = try_many(OTHER, 10)
    assert len(others) == 10
    row = wait_for("all ends counted", lambda: (
        lambda row: row["accepted"] == 160 and row["open"] == 50 and row)(listener_of(server)))
    assert {name: n for name, n in row["closed"].items() if n} == {"source_limit": 110}
    line = server.wait_log(r"listener echo: \d+ clients? refused in .*max_connections_per_source")
    assert "(40); most often 10.9.0.5: " in line and "it has 40 connections" in line
    assert "refused in" in asked(server, "events")
    close_all(held + others)


def test_a_place_is_free_again_when_a_connection_ends(limited):
    server = limited(max_connections_per_source=3)
    held = try_many(ONE, 5)
    assert len(held) == 3
    client.reset(held.pop())
    wait_for("a free place", lambda: source_row(server, ONE)["open"] == 2)
    held.pop().close()
    wait_for("two free places", lambda: source_row(server, ONE)["open"] == 1)
    held += try_many(ONE, 5)
    assert len(held) == 3
    close_all(held)


def test_a_burst_fills_the_limit_exactly_over_all_workers(limited):
    """All at once, to four workers that race for the last places."""
    server = limited(workers=4, backlog=1000, max_connections_per_source=50)
    for _ in range(5):
        crowd = [knock(ONE) for _ in range(300)]
        served = [sock for sock in crowd if verdict(sock) == source.SERVED]
        assert len(served) == 50
        assert source_row(server, ONE)["open"] == 50
        close_all(crowd)
        wait_for("everybody gone", lambda: listener_of(server)["open"] == 0)
    assert closed(server, "source_limit") == 5 * 250


def test_a_killed_worker_leaks_no_count(limited):
    """What it held is free again, and no more than that."""
    server = limited(workers=3, max_connections_per_source=60)
    server.expect_log(r"killed by SIGKILL")
    held = try_many(ONE, 70)
    assert len(held) == 60
    for _ in range(3):
        pid = server.worker_of(held[0])
        slot, = (slot for slot, worker in server.workers().items() if worker == pid)
        processes.kill(pid)
        wait_for("its successor", lambda: server.workers().get(slot, pid) != pid
                 and len(server.workers()) == 3)
        held = [sock for sock in held if not client.is_ended(sock)]
        assert len(held) < 60
        wait_for("its places free", lambda: source_row(server, ONE)["open"] == len(held))
        held += try_many(ONE, 70)
        assert len(held) == 60
        assert source_row(server, ONE)["open"] == 60
    close_all(held)


def test_reloads_change_the_limits_for_who_is_there_already(limited):
    """Connections from before the limit count too."""
    server = limited(workers=3)
    held = try_many(ONE, 12)
    assert len(held) == 12
    assert asked_json(server, "sources") == []
    for limit, room in ((12, 0), (15, 3), (5, 0), (20, 5)):
        server.listeners[0]["max_connections_per_source"] = limit
        server.reload()
        more = try_many(ONE, room + 5)
        assert len(more) == room, limit
        held += more
    del server.listeners[0]["max_connections_per_source"]
    server.reload()
    held += try_many(ONE, 10)
    assert len(held) == 30
    close_all(held)
    wait_for("everybody gone", lambda: listener_of(server)["open"] == 0)
    assert asked_json(server, "sources") == [] or source_row(server, ONE)["open"] == 0


def test_ipv6_clients_of_one_64_are_one_source_and_mapped_ones_are_ipv4(limited):
    server = limited(address=["*:7000"], max_connections_per_source=4)
    held = []
    for host in range(2, 8):
        held += try_many(f"2001:db8:0:7::{host:x}", 1, source.SERVER6)
    assert len(held) == 4
    assert len(try_many("2001:db8:0:8::2", 2, source.SERVER6)) == 2
    mapped = try_many(ONE, 6)  # IPv4 at a socket of both families
    assert len(mapped) == 4
    assert len(try_many(OTHER, 2)) == 2
    rows = {row["source"]: row["open"] for row in asked_json(server, "sources")}
    assert rows["2001:db8:0:7::/64"] == 4 and rows[ONE] == 4
    close_all(held + mapped)


def test_limits_are_each_listeners_own_and_unix_clients_have_none(server, namespace):
    source.own_networks()
    path = server.path("echo.sock")
    server.listeners = [
        config.listener("a", ["10.9.0.1:7000", f"unix:{path}"], max_connections_per_source=2,
                        connection_rate_per_source=1000, unix_mode="0666"),
        config.listener("b", "10.9.0.1:7002", max_connections_per_source=3)]
    server.start()
    at_a, at_b = try_many(ONE, 5), try_many(ONE, 5, ("10.9.0.1", 7002))
    assert (len(at_a), len(at_b)) == (2, 3)
    local = [client.connect(path) for _ in range(10)]
    for sock in local:
        assert client.ask(sock) == b"hello\n"
    close_all(at_a + at_b + local)


def told(who, what=b"hello\n", port=7000):
    """A connection of a balancer on loopback that says who its client is. @return what came back"""
    with client.connect(("127.0.0.1", port)) as sock:
        try:
            sock.sendall(f"PROXY TCP4 {who} 192.0.2.1 4000 80\r\n".encode() + what)
            return sock.recv(100)
        except OSError as error:
            assert not isinstance(error, TimeoutError)
            return None


def test_behind_a_balancer_the_client_that_it_names_is_limited_and_penalised(server, namespace):
    behind = {"accept_proxy": True, "trusted": ["127.0.0.1"]}
    server.listeners = [
        config.listener(max_connections_per_source=1, **behind),
        config.listener("fault", "127.0.0.1:7001", "fault", **behind)]
    server.expect_log(r"killed by SIGABRT")
    server.expect_log(r"stack #")
    server.start()
    with client.connect() as sock:
        sock.sendall(f"PROXY TCP4 {ONE} 192.0.2.1 4000 80\r\nhello\n".encode())
        assert client.receive(sock, 6) == b"hello\n"
        assert told(ONE) is None
        assert told(OTHER) == b"hello\n"
        assert source_row(server, ONE)["open"] == 1
    wait_for("its place free", lambda: told(ONE) == b"hello\n")
    told(ONE, b"abort\n", 7001)
    server.wait_log(r"listener fault: clients of 10\.9\.0\.5 are refused")
    assert told(ONE, b"?\n", 7001) is None
    assert told(OTHER, b"?\n", 7001) == b"unknown\n"
    wait_for("all workers", lambda: len(server.workers()) == 2)


# -- rate -----------------------------------------------------------------------------------------

def test_a_rate_lets_in_so_many_a_second_and_refuses_the_rest(limited):
    """Over any time no more than the rate for each second and once more; another source passes, and
    the same one after a second."""
    server = limited(connection_rate_per_source=20)
    began = time.monotonic()
    attempts, served = 0, 0
    while time.monotonic() - began < 2.5 or attempts < 30:
        served += is_served(ONE)
        attempts += 1
    took = time.monotonic() - began
    assert 20 <= served <= 20 * (took + 1) + 1, (served, attempts, took)
    assert is_served(OTHER)
    if attempts > served:  # a slow machine may not be able to come faster than the limit
        assert closed(server, "source_rate") == attempts - served
        server.wait_log(r"refused in .*at connection_rate_per_source \(20\); most often 10\.9\.0\.5")
    wait_for("served again", lambda: is_served(ONE))


def test_a_refused_client_is_reset_before_a_byte_is_read(limited):
    server = limited(max_connections_per_source=1)
    held = try_many(ONE, 1)
    for _ in range(20):
        with knock(ONE) as sock:
            with pytest.raises(OSError) as error:
                sock.sendall(b"x" * 100)
                assert sock.recv(1) == b"never"
            assert not isinstance(error.value, TimeoutError)
    row = listener_of(server)
    assert row["received_bytes"] == len(b"hello\n")
    assert row["closed"]["source_limit"] == 20
    close_all(held)


# -- bounds ---------------------------------------------------------------------------------------

def test_more_sources_than_the_table_holds_cost_no_more_memory_and_are_let_in(limited, server):
    """64 entries a worker, 300 sources with a connection each, then thousands that come and go."""
    server.options["source_table"] = 64
    limited(workers=2, max_connections_per_source=2, connection_rate_per_source=1000)
    held = [knock(f"10.9.1.{i}") for i in range(1, 251)]
    held += [knock(f"10.9.2.{i}") for i in range(1, 51)]
    assert [verdict(sock) for sock in held] == [source.SERVED] * 300
    untracked = wait_for("some untracked", lambda: stat(server, "sources_untracked"))
    assert 300 - 2 * 64 <= untracked < 300
    server.wait_log(r"clients were let in without being counted.*raise source_table \(64\)")
    close_all(held)
    wait_for("everybody gone", lambda: listener_of(server)["open"] == 0)
    before = sum(board_resident(pid) for pid in server.workers().values())
    for number in range(1500):
        assert is_served(f"10.9.{3 + number // 250}.{1 + number % 250}")
    after = sum(board_resident(pid) for pid in server.workers().values())
    assert after - before <= 64  # other statistics, not one source each
    assert len(asked_json(server, "sources")) <= 20
    held = try_many(ONE, 5)  # there is room: the limit holds
    assert len(held) == 2
    close_all(held)


def test_a_reload_cannot_change_the_size_of_the_table(limited):
    server = limited(max_connections_per_source=5)
    server.options["source_table"] = 128
    assert "source_table" in server.reload_fails()


# -- what is shown --------------------------------------------------------------------------------

def test_the_fullest_sources_are_shown(limited):
    server = limited(max_connections_per_source=10, connection_rate_per_source=1000)
    held = try_many(ONE, 12)
    for number in range(1, 31):
        held += try_many(f"10.9.7.{number}", 1 + number // 10)
    rows = asked_json(server, "sources")
    assert len(rows) == 20
    assert rows[0]["source"] == ONE and rows[0]["open"] == 10
    assert rows[0]["max_connections_per_source"] == 10
    assert rows[0]["connection_rate_per_source"] == 1000
    assert rows[0]["refused_in_10_s"] <= 2 and rows[0]["listener"] == "echo"
    assert [row["open"] for row in rows] == sorted((row["open"] for row in rows), reverse=True)
    text = asked(server, "sources", "echo")
    assert re.search(r"^echo +10\.9\.0\.5 +10 +10 ", text, re.MULTILINE), text
    wrong = acceptctl(server, "sources", "nobody")
    assert wrong.returncode != 0 and "no listener 'nobody'" in wrong.stderr
    close_all(held)


# -- the penalty ----------------------------------------------------------------------------------

FAULT = ("10.9.0.1", 7001)
HARMLESS = b"unknown\n"  # what the protocol answers to it


def kill_by_message(address=FAULT, who=ONE):
    """Send what ends the worker that reads it. @return whether the server took the connection"""
    with knock(who, address) as sock:
        try:
            sock.sendall(b"abort\n")
            return sock.recv(1) == b""  # the end of a process is a clean end, or a reset
        except OSError as error:
            assert not isinstance(error, TimeoutError)
            return False


def lets_in(who, address=FAULT):
    with knock(who, address) as sock:
        try:
            return client.ask(sock, HARMLESS) == HARMLESS
        except (OSError, EOFError) as error:
            assert not isinstance(error, TimeoutError)
            return False


@pytest.fixture
def fragile(server, namespace):
    """fragile(workers, **options of the server): a listener whose clients can kill a worker."""
    source.own_networks()

    def start(workers=2, address="10.9.0.1:7001", **options):
        server.options.update(options, workers=workers)
        server.listeners = [config.listener("fault", address, "fault"),
                            config.listener("echo", "10.9.0.1:7000")]
        server.expect_log(r"killed by SIGABRT")
        server.expect_log(r"stack #")
        return server.start()
    return start


def crash(server, address=FAULT, who=ONE):
    """One worker dies of a message, and has a successor."""
    before = server.workers()
    dead = len(server.log_lines(r"killed by SIGABRT"))
    kill_by_message(address, who)
    server.wait_log(r"killed by SIGABRT", count=dead + 1)
    wait_for("its successor", lambda: len(server.workers()) == len(before)
             and server.workers() != before)


@pytest.mark.once
def test_a_message_that_kills_cannot_be_repeated(fragile):
    """A client repeats it a hundred times a second: the others are served."""
    server = fragile(workers=4)
    began, cpu = time.monotonic(), processes.cpu_seconds(server.master)
    tried = 0
    others = [f"10.9.4.{number}" for number in range(1, 5)]
    with source.Visitors(others, FAULT, data=HARMLESS) as visitors:
        wait_for("visitors served", lambda: visitors.served > 20)
        while time.monotonic() - began < 6.0 or visitors.served < 400 or tried <= 50:
            kill_by_message()
            tried += 1
            time.sleep(0.01)  # the pace of the attack
    took = time.monotonic() - began
    # what was on its way to other workers when the first one died may kill these
    crashes = len(server.log_lines(r"killed by SIGABRT"))
    assert 1 <= crashes <= 4, crashes
    assert len(visitors.failures) <= crashes * len(others), visitors.failures  # those in hand
    assert processes.cpu_seconds(server.master) - cpu <= 0.02 * took + seconds(0.3)
    row = listener_of(server, "fault")
    assert row["closed"]["source_penalty"] >= tried - crashes - 4
    server.wait_log(r"listener fault: clients of 10\.9\.0\.5 are refused for 90s")
    server.wait_log(r"listener fault: \d+ clients? refused in .*because a worker crashed")
    assert "clients of 10.9.0.5 are refused" in asked(server, "events")
    assert source_row(server, ONE)["penalty_ms"] <= 90000
    wait_for("all workers", lambda: len(server.workers()) == 4)


def test_only_the_client_in_hand_is_penalised_and_only_there(fragile):
    """Not who had a connection open in the worker that crashed, not at other listeners."""
    server = fragile(workers=1)
    bystander = knock(OTHER, FAULT)
    assert client.ask(bystander, HARMLESS) == HARMLESS
    crash(server)
    assert client.is_ended(bystander)
    assert not lets_in(ONE)
    assert lets_in(OTHER)
    assert is_served(ONE)  # at listener echo
    row = listener_of(server, "fault")
    assert row["closed"]["source_penalty"] == 1
    assert row["accepted"] == row["open"] + sum(row["closed"].values())


def test_a_penalty_ends(fragile):
    server = fragile(crash_penalty="2s")
    crash(server)
    assert not lets_in(ONE)
    wait_for("let in again", lambda: lets_in(ONE))
    assert source_row(server, ONE) is None
    crash(server)
    assert not lets_in(ONE)


@pytest.mark.parametrize("options,who,address", [
    ({"crash_penalty": "none"}, ONE, FAULT),
    ({"crash_penalty_exempt": ["192.0.2.0/24", "10.9.0.0/28"]}, ONE, FAULT),
    ({}, "127.0.0.1", ("127.0.0.1", 7001)),
    ({}, "::1", ("::1", 7001)),
], ids=["none", "exempt", "loopback", "loopback6"])
def test_who_is_not_penalised(fragile, options, who, address):
    server = fragile(address=["10.9.0.1:7001", "127.0.0.1:7001", "[::1]:7001"], **options)
    crash(server, address, who)
    assert lets_in(who, address)
    assert listener_of(server, "fault")["closed"]["source_penalty"] == 0


def test_a_penalty_outlives_a_reload_and_a_killed_worker(fragile):
    server = fragile(workers=1)
    server.expect_log(r"killed by SIGKILL")
    crash(server)
    server.reload()
    assert not lets_in(ONE)
    old = server.workers()
    processes.kill(old[0])
    wait_for("its successor", lambda: server.workers() and server.workers() != old)
    assert not lets_in(ONE)


@pytest.mark.parametrize("cure", [{"crash_penalty": "none"},
                                  {"crash_penalty_exempt": ONE}], ids=["none", "exempt"])
def test_a_reload_lifts_a_penalty_at_once(fragile, cure):
    """For whom it was a balancer, and the service is gone."""
    server = fragile()
    crash(server)
    assert not lets_in(ONE)
    server.options.update(cure)
    server.reload()
    assert lets_in(ONE)
    assert source_row(server, ONE) is None
