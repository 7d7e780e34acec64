"""The proxy under load, while back ends and configurations come and go, and what is left of it
afterwards. ACCEPTD_SOAK_SESSIONS makes the soak as long as one likes."""
import os
import re
import selectors
import socket
import threading

import pytest

from harness import admin, client, processes, programs
from harness.backend import Backend, echo
from harness.backend_process import BackEndProcess
from harness.config import listener
from harness.kernel import nstat
from harness.waiting import PATIENCE, is_sanitized, seconds, wait_for

SPARE = ("127.0.0.1", 7101)


@pytest.fixture
def proxy(server):
    """Not started: one listener, one upstream with one server."""
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": "127.0.0.1:7100"}]}]
    return server


def upstream(proxy):
    return proxy.options["upstreams"][0]


def front(proxy):
    return admin.asked_json(proxy, "listeners")[0]


def servers(proxy):
    return {row["server"]: row for row in admin.asked_json(proxy, "upstreams")}


def settled(proxy):
    """{reason: count} when no session is left; every client that was accepted has one."""
    row = wait_for("all sessions over", lambda: (lambda row: row["open"] == 0 and row)(front(proxy)))
    assert row["accepted"] == sum(row["closed"].values())
    return {reason: count for reason, count in row["closed"].items() if count}


# -- the guard under a burst ----------------------------------------------------------------------

def burst(count):
    """So many clients connect at once, in order, each with its number as its word. Who has got it
    back goes at once, one of three with a reset.
    @return numbers of those that were served"""
    chooser, served = selectors.DefaultSelector(), []
    for number in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(client.ECHO)
        chooser.register(sock, selectors.EVENT_WRITE, number)
    while chooser.get_map():
        events = chooser.select(seconds(PATIENCE))
        assert events, f"nobody served any more, after {len(served)}"
        for key, event in events:
            if event & selectors.EVENT_WRITE:
                key.fileobj.send(b"%d" % key.data)
                chooser.modify(key.fileobj, selectors.EVENT_READ, key.data)
                continue
            assert key.fileobj.recv(100) == b"%d" % key.data
            served.append(key.data)
            chooser.unregister(key.fileobj)
            if key.data % 3:
                key.fileobj.close()
            else:
                client.reset(key.fileobj)
    return served


@pytest.mark.parametrize("limit", [1, 7])
def test_a_burst_over_several_workers_never_passes_the_limit_and_keeps_its_order(proxy, limit):
    """By the back end's own count; and who came first is served first, but for those that workers
    accepted at the same time."""
    count = 300
    proxy.options["workers"] = 4
    upstream(proxy)["servers"][0]["max_connections"] = limit
    with BackEndProcess(hold=0.001) as back:
        proxy.start()
        assert sorted(burst(count)) == list(range(count))
        reasons = settled(proxy)
        most, words = back.stop()
    assert most <= limit
    assert set(reasons) <= {"client", "reset"}
    assert sorted(map(int, words)) == list(range(count))
    moved = max(abs(place - int(word)) for place, word in enumerate(words))
    assert moved <= 4 * 16  # workers, and what each takes from the accept queue in one turn


# -- back ends that go ----------------------------------------------------------------------------

def test_a_killed_back_end_costs_its_sessions_and_its_clients_go_to_the_other(proxy):
    """Under load: each of the four clients may lose the session it is in, and no connect fails."""
    upstream(proxy)["servers"].append({"address": "127.0.0.1:7101"})
    upstream(proxy)["check"] = {"interval": "100ms"}
    proxy.start()
    with Backend(echo, SPARE), BackEndProcess() as back:
        with client.Load(threads=4, pause=0) as load:
            wait_for("both in use", lambda: all(
                row["sessions"] > 20 for row in servers(proxy).values()))
            back.kill()
            proxy.wait_log(r"back end be/127\.0\.0\.1:7100 is down")
            served = load.completed
            wait_for("the other serves", lambda: load.completed > served + 50)
            with BackEndProcess():
                proxy.wait_log(r"back end be/127\.0\.0\.1:7100 is up again")
                before = servers(proxy)["127.0.0.1:7100"]["connected"]
                wait_for("both again", lambda: (
                    servers(proxy)["127.0.0.1:7100"]["connected"] > before + 20))
                load.end()
        reasons = settled(proxy)
    assert len(load.failures) <= 4 and not any("connect" in text for text in load.failures)
    lost = sum(reasons.get(name, 0) for name in ("backend", "backend_reset"))
    assert lost >= len(load.failures)
    assert set(reasons) <= {"client", "backend", "backend_reset"}


def test_clients_of_a_stopped_back_end_wait_and_are_all_served(proxy):
    """The kernel goes on to accept for it, and the declared backlog keeps that queue from overrun."""
    count = 200
    upstream(proxy)["settle_time"] = "60s"
    upstream(proxy)["servers"][0]["backlog"] = 20
    proxy.start()
    with BackEndProcess(backlog=20) as back:
        assert client.echoes()
        before = nstat("TcpExtListenOverflows") + nstat("TcpExtTCPSynRetrans")
        back.pause()
        served = []
        thread = threading.Thread(target=lambda: served.append(client.crowd(count)[0]))
        thread.start()
        wait_for("everybody waiting", lambda: (
            lambda row: row["waiting"] + row["open"] == count)(servers(proxy)["127.0.0.1:7100"]))
        assert servers(proxy)["127.0.0.1:7100"]["open"] <= 20
        back.go_on()
        thread.join()
    assert served == [count]
    assert nstat("TcpExtListenOverflows") + nstat("TcpExtTCPSynRetrans") == before


def test_a_lack_of_ports_is_told_and_is_not_held_against_the_server(proxy):
    """A range of ten: the eleventh session at a time gets none. It has a name of its own, and with
    ten places declared nobody meets it."""
    proxy.start()
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("20000 20009")
    with Backend(echo):
        held = [from_port(30000 + number) for number in range(10)]
        for sock in held:
            assert client.ask(sock) == b"hello\n"
        for number in range(10, 15):
            with pytest.raises(ConnectionResetError), from_port(30000 + number) as sock:
                client.ask(sock)
        proxy.wait_log(r"warning master.* no local port was left for connections to back end "
                       r"be/127\.0\.0\.1:7100, \d times in \d+ s")
        row = servers(proxy)["127.0.0.1:7100"]
        assert (row["no_port"], row["connect_failures"], row["state"]) == (5, 0, "up")
        upstream(proxy)["servers"][0]["max_connections"] = 10
        proxy.reload()
        waiting = from_port(30020)
        waiting.sendall(b"hello\n")
        wait_for("it waits", lambda: servers(proxy)["127.0.0.1:7100"]["waiting"] == 1)
        client.reset(held.pop())  # a port that is free at once
        assert client.receive(waiting, 6) == b"hello\n"
        for sock in [waiting, *held]:
            sock.close()
    assert settled(proxy)["no_port"] == 5


def test_who_finds_no_port_to_one_server_goes_to_the_other(proxy):
    """The same ten ports serve for each of them."""
    upstream(proxy)["balance"] = "client_hash"  # all clients of one source: the same server
    upstream(proxy)["servers"].append({"address": "127.0.0.1:7101"})
    proxy.start()
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("20000 20009")
    with Backend(echo), Backend(echo, SPARE):
        held = [from_port(30000 + number) for number in range(20)]
        for sock in held:
            assert client.ask(sock) == b"hello\n"
        assert [row["open"] for row in servers(proxy).values()] == [10, 10]
        with pytest.raises(ConnectionResetError), from_port(30020) as sock:
            client.ask(sock)
        for sock in held:
            sock.close()
        assert settled(proxy) == {"client": 20, "no_port": 1}


def from_port(port):
    """A client that leaves the ten to the proxy."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(seconds(PATIENCE))
    sock.bind(("127.0.0.1", port))
    try:
        sock.connect(client.ECHO)
    except ConnectionResetError:
        sock.close()
        raise
    return sock


# -- reloads --------------------------------------------------------------------------------------

def test_fifty_reloads_under_load_lose_no_session(proxy):
    """Nobody refused, reset or short of a byte; and the counters know of each client."""
    proxy.start()
    with BackEndProcess(), client.Load() as load:
        held = client.Held(5)
        for number in range(50):
            upstream(proxy)["connect_timeout"] = f"{3 + number % 2}s"
            proxy.listeners[0]["idle_timeout"] = f"{100 + number}s"
            upstream(proxy)["servers"][0]["max_connections"] = 100 + number % 3
            proxy.reload()
        held.prove_all()
        held.close()
        load.end()
        assert settled(proxy) == {"client": load.completed + 5}
    assert load.failures == []


def test_a_server_that_a_reload_removes_keeps_its_sessions_and_gets_no_new_ones(proxy):
    """And one that it adds serves at once. Under load, nobody notices."""
    first, second = {"address": "127.0.0.1:7100"}, {"address": "127.0.0.1:7101"}
    proxy.start()
    with BackEndProcess(), BackEndProcess(7101), client.Load() as load:
        old = client.Held(5)
        upstream(proxy)["servers"] = [second]
        proxy.reload()
        wait_for("the load is over there", lambda: servers(proxy)["127.0.0.1:7100"]["open"] == 5)
        before = servers(proxy)
        assert before["127.0.0.1:7100"]["state"] == "removed"
        wait_for("sessions at the new one", lambda: (
            servers(proxy)["127.0.0.1:7101"]["connected"] > 50))
        assert servers(proxy)["127.0.0.1:7100"]["sessions"] == before["127.0.0.1:7100"]["sessions"]
        old.prove_all()
        upstream(proxy)["servers"] = [first, second]
        proxy.reload()
        wait_for("sessions at both", lambda: (
            servers(proxy)["127.0.0.1:7100"]["sessions"] >
            before["127.0.0.1:7100"]["sessions"] + 20))
        old.prove_all()
        old.close()
        load.end()
        assert settled(proxy) == {"client": load.completed + 5}
    assert load.failures == []


# -- the soak -------------------------------------------------------------------------------------

def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))


def gauges(proxy):
    """What counts what is there now: zero when nothing is."""
    stats = admin.asked_json(proxy, "stats")
    found = {name: value for name, value in stats.items()
             if re.fullmatch(r"(listener\.front|worker\.\d+)\.open", name)}
    row = servers(proxy)["127.0.0.1:7100"]
    return {**found, **{name: row[name] for name in ("open", "unproven", "waiting")}}


def at_rest(proxy):
    """Descriptors of each worker, when no session is left."""
    wait_for("every gauge at zero", lambda: not any(gauges(proxy).values()))
    return {slot: len(processes.descriptors(pid)) for slot, pid in proxy.workers().items()}


def short_sessions(count):
    """By redis-benchmark, which connects anew for each request, and some that it would not do."""
    for number in range(min(count // 20, 1000)):
        sock = client.connect()
        if number % 3:
            sock.sendall(b"PING\r\n")
        if number % 2:
            client.reset(sock)
        else:
            sock.close()
    programs.run("redis-benchmark", "-p", 7000, "-c", 20, "-k", 0, "-n", count, "-q", "ping",
                 limit=max(60.0, count / 250))


@pytest.mark.once
def test_a_soak_of_short_sessions_leaves_nothing_behind(proxy, directory, start_program):
    """No descriptor, no gauge and no memory: what a worker uses after the first thousands of sessions
    it uses after all of them."""
    programs.need("redis-server", "redis-benchmark", "redis-cli")
    count = int(os.environ.get("ACCEPTD_SOAK_SESSIONS", "15000"))
    upstream(proxy)["servers"][0]["max_connections"] = 15  # so that they also wait
    start_program(["redis-server", "--port", 7100, "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--dir", directory],
                  lambda _: programs.succeeds("redis-cli", "-p", 7100, "ping"))
    proxy.start()
    short_sessions(5000)
    descriptors = at_rest(proxy)
    memory = {slot: pss_kb(pid) for slot, pid in proxy.workers().items()}
    short_sessions(count)
    assert at_rest(proxy) == descriptors
    assert not proxy.log_lines("worker .* killed")
    grown = {slot: pss_kb(pid) - memory[slot] for slot, pid in proxy.workers().items()}
    print(f"{count} sessions: Pss of the workers was {memory} kB, has grown by {grown}")
    assert is_sanitized() or max(grown.values()) < 200, f"{grown} kB more after {count} sessions"
    assert front(proxy)["accepted"] >= count + 5000
