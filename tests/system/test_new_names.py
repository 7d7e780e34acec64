"""Deployments that write other addresses into the file each time: names come and go for as long as
one master lives, and what they counted goes with them."""
import socket
import struct

import pytest

from harness import admin, client, upgrade
from harness.backend import Backend, echo
from harness.config import listener
from harness.waiting import wait_for

ROWS = 512  # names of servers that the statistics have room for
EACH = 60  # servers of an upstream


def back_address(number):
    """All of 127.0.0.0/8 is this host's; the back end there listens on the port only."""
    return socket.inet_ntoa(struct.pack(">I", 0x7F010000 + number))


def deployment(first, count=2 * EACH):
    """Two upstreams with `count` servers together, none of which was there before."""
    addresses = [f"{back_address(number)}:7100" for number in range(first, first + count)]
    return [{"name": name, "servers": [{"address": address} for address in part]}
            for name, part in (("be", addresses[:count // 2]), ("other", addresses[count // 2:]))]


@pytest.fixture
def proxy(server):
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    return server


def rows_of(server):
    """{address: row}, of every server that has one."""
    return {row["server"]: row for row in admin.asked_json(server, "upstreams")}


def visit():
    sock = client.connect()
    client.ask(sock)
    return sock


def test_new_addresses_with_each_reload_never_need_a_restart(proxy):
    """A session at one of the first goes on, with all that is counted of it."""
    proxy.options["upstreams"] = deployment(0)
    proxy.start()
    workers = proxy.workers()
    with Backend(echo, ("0.0.0.0", 7100)):
        with visit() as held:
            kept = next(name for name, row in rows_of(proxy).items() if row["open"] == 1)
            for turn in range(1, 2 * ROWS // (2 * EACH) + 2):
                proxy.options["upstreams"] = deployment(turn * 2 * EACH)
                proxy.reload()
                before = rows_of(proxy)
                fresh = [before[f"{back_address(turn * 2 * EACH + i)}:7100"]
                         for i in range(2 * EACH)]
                assert {(row["state"], row["sessions"], row["connected"]) for row in fresh} == {
                    ("up", 0, 0)}
                for _ in range(EACH // 4):
                    visit().close()
                client.ask(held)
            after = rows_of(proxy)
            assert len(after) <= ROWS
            assert after[kept]["state"] == "removed"
            assert (after[kept]["sessions"], after[kept]["open"]) == (1, 1)
            assert after[kept]["to_server_bytes"] == (turn + 1) * len(b"hello\n")
        wait_for("its place is free", lambda: rows_of(proxy)[kept]["open"] == 0)
        served = sum(rows_of(proxy)[f"{back_address(turn * 2 * EACH + i)}:7100"]["sessions"]
                     for i in range(EACH))
        assert served == EACH // 4
    assert proxy.workers() == workers


def test_upstreams_come_and_go_for_ever(proxy):
    proxy.options["upstreams"] = deployment(0)
    proxy.start()
    with Backend(echo, ("0.0.0.0", 7100)):
        for turn in range(4):
            proxy.options["upstreams"] = [
                {"name": f"u{turn}-{i}", "servers": [{"address": f"{back_address(turn)}:7100"}]}
                for i in range(30)]
            proxy.listeners[0]["upstream"] = f"u{turn}-7"
            proxy.reload()
            visit().close()
            wait_for("it is counted for the new one", lambda: [
                row["sessions"] for row in admin.asked_json(proxy, "upstreams")
                if row["upstream"] == f"u{turn}-7"] == [1])


def test_more_than_there_is_room_for_is_refused_and_who_holds_it_is_told(proxy):
    """What is in force stays until the reload is; a connection keeps all servers of an upstream
    that was removed under it, as it may still need them."""
    big = [{"name": f"big{i}", "servers": deployment(i * EACH, 2 * EACH)[0]["servers"]}
           for i in range(7)]
    front = {"name": "be", "servers": [{"address": f"{back_address(9999)}:7100"}]}
    proxy.options["upstreams"] = [front, *big]
    proxy.start()
    fresh = [{"name": f"fresh{i}", "servers": deployment(10000 + i * EACH)[0]["servers"]}
             for i in range(7)]
    proxy.options["upstreams"] = [front, *fresh]
    said = proxy.reload_fails()
    assert "have room for 512 names of servers" in said
    assert f"this configuration has {7 * EACH + 1}; {7 * EACH} more are in the one in force" in said
    assert len(rows_of(proxy)) == 7 * EACH + 1
    with Backend(echo, ("0.0.0.0", 7100)):
        proxy.options["upstreams"] = [front, *big]
        proxy.listeners[0]["upstream"] = "big0"
        proxy.reload()
        with visit() as held:
            proxy.listeners[0]["upstream"] = "be"
            proxy.options["upstreams"] = [front]
            proxy.reload()
            proxy.options["upstreams"] = [front, *fresh, {
                "name": "last", "servers": deployment(20000)[0]["servers"]}]
            said = proxy.reload_fails()
            assert f"{EACH} are in neither, but connections that came under an earlier one" in said
            client.ask(held)
        wait_for("its place is free", lambda: all(
            row["open"] == 0 for row in rows_of(proxy).values()))
        admin.asked(proxy, "connections")  # each worker answers: the turn that freed it is over
        proxy.reload()
        assert rows_of(proxy)[f"{back_address(20000)}:7100"]["state"] == "up"


def test_an_upgrade_takes_over_who_has_which_row(proxy):
    """A worker of before that still serves a session knows only the servers of its time, and those
    wait for it."""
    upgrade.install(proxy)
    proxy.options["upstreams"] = deployment(0)
    proxy.start()
    workers = len(proxy.workers())
    with Backend(echo, ("0.0.0.0", 7100)):
        with visit() as held:
            for turn in range(1, 6):
                proxy.options["upstreams"] = deployment(turn * 2 * EACH)
                proxy.reload()
            visit().close()
            before = {name: row["sessions"] for name, row in rows_of(proxy).items()}
            assert sum(before.values()) == 2
            upgrade.upgrade(proxy)
            assert {name: row["sessions"] for name, row in rows_of(proxy).items()} == before
            for turn in range(6, 9):
                proxy.options["upstreams"] = deployment(turn * 2 * EACH)
                proxy.reload()
            assert [row["sessions"] for row in rows_of(proxy).values() if row["open"]] == [1]
            proxy.options["upstreams"] = deployment(9 * 2 * EACH)
            said = proxy.reload_fails()
            assert f"{3 * 2 * EACH} wait for a worker that" in said
            client.ask(held)
        wait_for("those of before have gone", lambda: {
            row["state"] for row in admin.asked_json(proxy, "workers")} <= {"serving", "empty"})
        proxy.reload()
        assert rows_of(proxy)[f"{back_address(9 * 2 * EACH)}:7100"]["sessions"] == 0
    upgrade.settle(proxy, workers)
