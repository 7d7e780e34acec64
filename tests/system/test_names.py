"""Back ends that are given by name: DNS is asked again and again, its answers are followed without
a reload, and its failures cost nobody anything."""
import contextlib
import os
import re
import socket
import subprocess

import pytest

from harness import admin, client, processes
from harness.backend import Backend, echo
from harness.config import listener
from harness.dns import AAAA, NO_NAME, REFUSED, SERVER_FAILED, Dns
from harness.namespace import can_mount, with_mounts
from harness.waiting import holds_for, wait_for


def built_with_cares():
    binary = os.path.join(os.environ["ACCEPTD_BUILD"], "acceptd")
    return "c-ares=yes" in subprocess.run([binary, "-V"], capture_output=True, text=True,
                                          check=True).stdout


needs_cares = pytest.mark.skipif(not built_with_cares(), reason="built without c-ares")
NAME = "java.internal"


@pytest.fixture
def dns(namespace):
    with Dns() as server:
        yield server


def configure(server, *servers, dns=None, **options):
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["dns"] = {"servers": "127.0.0.1:53", "timeout": "1s", **(dns or {})}
    server.options["upstreams"] = [{"name": "be", **options, "servers": list(servers)}]
    return server


@pytest.fixture
def proxy(server):
    """Not started: an upstream with the name java.internal, port 7100."""
    return configure(server, {"name": "java", "address": f"{NAME}:7100"})


@contextlib.contextmanager
def backends(*addresses, port=7100):
    """Echo servers; each says first which address it has."""
    def serve(sock):
        sock.sendall(sock.getsockname()[0].encode().rjust(16))
        echo(sock)

    with contextlib.ExitStack() as stack:
        for address in addresses:
            if ":" in address:
                back = Backend.__new__(Backend)
                back.serve, back.accepted, back.address = serve, [], (address, port)
                back.listener = socket.create_server((address, port), family=socket.AF_INET6)
            else:
                back = Backend(serve, (address, port))
            stack.enter_context(back)
        yield


def visit():
    """A session, and who serves it."""
    sock = client.connect()
    return sock, client.receive(sock, 16).decode().strip()


def served_by():
    sock, who = visit()
    sock.close()
    return who


def all_served_by(times=8):
    return {served_by() for _ in range(times)}


def places(server):
    """{place: row} of the places that were ever used."""
    return {row["server"]: row for row in admin.asked_json(server, "upstreams")}


def held(server):
    return {row["address"] for row in places(server).values() if row["state"] == "up"}


def counted(server, name):
    return admin.asked_json(server, "stats", f"master.{name}")[f"master.{name}"]


@needs_cares
@pytest.mark.smoke
def test_a_changed_answer_is_followed_without_reload_and_costs_no_session(proxy, dns):
    dns.names[NAME] = ["127.0.0.2"]
    proxy.start()
    with backends("127.0.0.2", "127.0.0.3"):
        sock, who = visit()
        assert who == "127.0.0.2"
        dns.names[NAME] = ["127.0.0.3"]
        proxy.wait_log(r"java\.internal:7100 is now 127\.0\.0\.3:7100; no more clients for "
                       r"127\.0\.0\.2:7100")
        assert all_served_by() == {"127.0.0.3"}
        assert client.ask(sock) == b"hello\n"  # who is there goes on
        assert places(proxy)["java/1"]["state"] == "leaving"
        sock.close()
        wait_for("the place left", lambda: places(proxy)["java/1"]["state"] == "left")
        dns.names[NAME] = ["127.0.0.2", "127.0.0.3"]  # it comes back to its own place
        wait_for("both", lambda: held(proxy) == {"127.0.0.2:7100", "127.0.0.3:7100"})
        assert places(proxy)["java/1"]["address"] == "127.0.0.2:7100"
        assert all_served_by() == {"127.0.0.2", "127.0.0.3"}
        shown = admin.asked(proxy, "upstreams")
        assert re.search(r"^be/java/1 +127\.0\.0\.2:7100 +up ", shown, re.MULTILINE)
        assert re.search(r"^be/java\.internal:7100 +answered +2 of 2 ", shown, re.MULTILINE)


@needs_cares
@pytest.mark.parametrize("failure", [NO_NAME, SERVER_FAILED, REFUSED, "silent", "garbage"])
def test_a_failed_lookup_keeps_the_last_answer(proxy, dns, failure):
    dns.names[NAME] = ["127.0.0.2"]
    proxy.start()
    with backends("127.0.0.2", "127.0.0.3"):
        assert served_by() == "127.0.0.2"
        dns.fails = failure
        proxy.wait_log(r"warning .*cannot look up java\.internal:7100: .*asked: 127\.0\.0\.1:53.*"
                       r"in use stays 127\.0\.0\.2:7100, the answer of")
        wait_for("more failures", lambda: counted(proxy, "lookups_failed") >= 2)
        row = places(proxy)["java/1"]
        assert (row["state"], row["lookup"]) == ("up", "failing")
        assert row["lookup_failing_ms"] >= 0 and row["answer_age_ms"] > row["lookup_failing_ms"]
        assert f"{NAME}:7100 cannot be looked up for" in admin.asked(proxy, "status")
        assert served_by() == "127.0.0.2"
        dns.names[NAME], dns.fails = ["127.0.0.3"], None
        proxy.wait_log(r"notice .*java\.internal:7100 can be looked up again")
        assert all_served_by() == {"127.0.0.3"}
        assert len(proxy.log_lines("cannot look up")) == 1


@needs_cares
def test_dns_that_is_down_at_the_start_delays_clients_and_fails_nobody(proxy):
    proxy.start()
    proxy.wait_log(r"warning .*cannot look up java\.internal:7100: no DNS server can be reached "
                   r"there.*it has no address yet and gets no clients")
    with backends("127.0.0.2"), client.connect() as sock:
        wait_for("who waits", lambda: places(proxy)["java/1"]["waiting"] == 1)
        assert places(proxy)["java/1"]["state"] == "unresolved"
        with Dns() as dns:
            dns.names[NAME] = ["127.0.0.2"]
            assert client.receive(sock, 16).strip() == b"127.0.0.2"
            proxy.wait_log("can be looked up again")


@needs_cares
def test_who_may_not_wait_for_an_address_is_refused_with_that_reason(proxy):
    proxy.options["upstreams"][0]["on_down"] = "refuse"
    proxy.start()
    proxy.wait_log("cannot look up")
    with pytest.raises(ConnectionResetError), client.connect() as sock:
        sock.recv(1)
    wait_for("the reason", lambda: admin.asked_json(
        proxy, "stats", "listener.front.closed_no_*") ==
        {"listener.front.closed_no_memory": 0, "listener.front.closed_no_port": 0,
         "listener.front.closed_no_server": 0, "listener.front.closed_no_address": 1})


@needs_cares
def test_srv_records_say_ports_weights_and_backups(server, dns):
    configure(server, {"name": "web", "address": "srv:_http._tcp.internal"})
    dns.names.update({"one.internal": ["127.0.0.2"], "two.internal": ["127.0.0.3"],
                      "spare.internal": ["127.0.0.4"]})
    dns.services["_http._tcp.internal"] = [(20, 1, 7100, "spare.internal"),
                                           (10, 3, 7101, "one.internal"),
                                           (10, 1, 7102, "two.internal")]
    server.start()
    with backends("127.0.0.2", port=7101), backends("127.0.0.3", port=7102), \
            backends("127.0.0.4"):
        wait_for("three places", lambda: len(held(server)) == 3)
        shown = {row["address"]: row["weight"] for row in places(server).values()}
        assert shown == {"127.0.0.2:7101": 3, "127.0.0.3:7102": 1, "127.0.0.4:7100": 1}
        visits = [served_by() for _ in range(16)]
        assert visits.count("127.0.0.4") == 0
        assert 10 <= visits.count("127.0.0.2") <= 14  # 12, and each of two workers its own turn
        dns.services["_http._tcp.internal"] = [(20, 1, 7100, "spare.internal")]
        wait_for("the spare alone", lambda: held(server) == {"127.0.0.4:7100"})
        assert all_served_by() == {"127.0.0.4"}


@needs_cares
def test_both_families_are_used_or_one_if_wanted(proxy, dns):
    dns.names[NAME] = ["127.0.0.2", "::1"]
    proxy.start()
    with backends("127.0.0.2", "::1"):
        wait_for("both", lambda: held(proxy) == {"127.0.0.2:7100", "[::1]:7100"})
        assert all_served_by() == {"127.0.0.2", "::1"}
        dns.fails = {AAAA: SERVER_FAILED}  # what is not known stays as it is
        proxy.wait_log(r"a part of the answer for java\.internal:7100 is missing: ")
        assert held(proxy) == {"127.0.0.2:7100", "[::1]:7100"}
        assert not proxy.log_lines("cannot look up")
        dns.names[NAME] = ["127.0.0.3"]
        wait_for("the new one", lambda: held(proxy) == {"127.0.0.3:7100", "[::1]:7100"})
        proxy.options["dns"]["family"] = "ipv4"
        proxy.reload()
        wait_for("IPv4 only", lambda: held(proxy) == {"127.0.0.3:7100"})


@needs_cares
def test_changing_answers_under_load_lose_no_session(proxy, dns):
    proxy.options["upstreams"][0]["servers"][0]["addresses"] = 2
    dns.names[NAME] = ["127.0.0.2", "127.0.0.3"]
    proxy.start()
    with contextlib.ExitStack() as stack:
        for last in range(2, 6):
            stack.enter_context(Backend(echo, (f"127.0.0.{last}", 7100)))
        with client.Load() as load:
            for first in (3, 4, 2, 3, 4):
                dns.names[NAME] = [f"127.0.0.{first + 1}", f"127.0.0.{first}"]
                wait_for("the change", lambda: held(proxy) == {
                    f"127.0.0.{first}:7100", f"127.0.0.{first + 1}:7100"})
                done = load.completed
                wait_for("clients", lambda: load.completed > done + 20)
        assert load.failures == []


def monitor(server):
    return [pid for pid in processes.children(server.master)
            if processes.title(pid) == "acceptd: monitor"]


@needs_cares
def test_a_killed_monitor_costs_nothing_and_its_successor_goes_on(proxy, dns):
    dns.names[NAME] = ["127.0.0.2"]
    proxy.start()
    with backends("127.0.0.2", "127.0.0.3"):
        sock, who = visit()
        assert who == "127.0.0.2"
        dns.fails = "silent"
        for _ in range(3):
            before, = wait_for("a monitor", lambda: monitor(proxy))
            processes.kill(before)
            assert served_by() == "127.0.0.2"  # the answer is on the board
            wait_for("its end", lambda: before not in monitor(proxy))
        dns.names[NAME], dns.fails = ["127.0.0.3"], None
        wait_for("the change", lambda: served_by() == "127.0.0.3")
        assert client.ask(sock) == b"hello\n"
        sock.close()
        proxy.wait_log("monitor.*was killed by SIGKILL")
    wait_for("a monitor", lambda: monitor(proxy))


@needs_cares
def test_a_reload_keeps_addresses_orders_and_sessions(proxy, dns):
    dns.names[NAME] = ["127.0.0.2", "127.0.0.3"]
    proxy.start()
    with backends("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        wait_for("both", lambda: len(held(proxy)) == 2)
        drained, = [name for name, row in places(proxy).items()
                    if row["address"] == "127.0.0.2:7100"]
        admin.asked(proxy, "server", f"be/{drained}", "drain")
        sock, who = visit()
        assert who == "127.0.0.3"
        dns.fails = "silent"
        before = {name: row["address"] for name, row in places(proxy).items()}
        proxy.options["max_connections"] = 1999
        proxy.reload()
        assert {name: row["address"] for name, row in places(proxy).items()} == before
        assert places(proxy)[drained]["state"] == "drained"
        assert all_served_by() == {"127.0.0.3"}
        assert client.ask(sock) == b"hello\n"
        sock.close()
        dns.names[NAME], dns.fails = ["127.0.0.4"], None
        proxy.options["upstreams"][0]["servers"][0]["addresses"] = 1
        proxy.reload()
        wait_for("the new one", lambda: held(proxy) == {"127.0.0.4:7100"})
        # the order was for an address that is gone
        assert all_served_by() == {"127.0.0.4"}
    proxy.expected += ["cannot look up"] if proxy.log_lines(r"error .*cannot look up") else []


@needs_cares
def test_an_order_to_a_name_is_for_all_its_places(proxy, dns):
    dns.names[NAME] = ["127.0.0.2", "127.0.0.3"]
    proxy.start()
    wait_for("both", lambda: len(held(proxy)) == 2)
    assert "each of its 8 places: max 5" in admin.asked(proxy, "server", "java", "max", "5")
    assert {row["max_connections"] for row in places(proxy).values()} == {5}


@needs_cares
def test_an_answer_that_leads_back_to_us_is_refused(server, dns):
    configure(server, {"name": "java", "address": f"{NAME}:7000"})
    dns.names[NAME] = ["127.0.0.1", "0.0.0.0", "224.0.0.1", "127.0.0.2"]
    server.start()
    with backends("127.0.0.2", port=7000):
        server.wait_log(r"of the answer for java\.internal:7000 is not used: ")
        assert all_served_by() == {"127.0.0.2"}
        assert held(server) == {"127.0.0.2:7000"}
        assert counted(server, "addresses_refused") >= 3
        dns.names[NAME] = ["127.0.0.1"]
        server.wait_log("cannot look up java.internal:7000: no usable address in the answer")
        assert served_by() == "127.0.0.2"


@needs_cares
def test_a_listener_on_every_address_is_known_by_each_of_them(server, dns):
    configure(server, {"name": "java", "address": f"{NAME}:7000"})
    server.listeners[0]["address"] = "*:7000"
    subprocess.run(["ip", "address", "add", "10.9.9.9/32", "dev", "lo"], check=True)
    dns.names[NAME] = ["10.9.9.9"]
    server.start()
    server.wait_log(r"10\.9\.9\.9:7000 of the answer for .* is not used: it is listener front "
                    r"itself")


def test_a_written_address_of_this_machine_is_no_back_end_of_a_listener_on_all_of_them(server):
    configure(server, {"address": "10.9.9.9:7000"})
    del server.options["dns"]
    server.listeners[0]["address"] = "*:7000"
    server.write_config()
    assert server.run("-t").returncode == 0  # another machine, for all we know
    subprocess.run(["ip", "address", "add", "10.9.9.9/32", "dev", "lo"], check=True)
    result = server.run("-t")
    assert result.returncode == 3
    assert "10.9.9.9:7000 is an address of this machine, and so of listener front" in result.stderr


@needs_cares
def test_a_thousand_addresses_are_cut_and_told(proxy, dns):
    dns.names[NAME] = [f"127.1.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    proxy.start()
    proxy.wait_log(r"warning .*java\.internal:7100 has 1000 addresses, of which 8 are used; raise "
                   r"'addresses'")
    assert dns.over_tcp >= 1
    before = held(proxy)
    assert len(before) == 8
    asked = counted(proxy, "lookups")
    wait_for("more lookups", lambda: counted(proxy, "lookups") > asked + 1)
    assert held(proxy) == before
    assert len(proxy.log_lines("has 1000 addresses")) == 1


@needs_cares
def test_an_alias_is_followed_and_its_ttl_honoured(proxy, dns):
    dns.ttl = {NAME: 1}  # of the alias; the addresses would hold for minutes
    dns.names.update({NAME: "blue.internal", "blue.internal": "deep.blue.internal",
                      "deep.blue.internal": ["127.0.0.2"], "green.internal": ["127.0.0.3"]})
    proxy.start()
    wait_for("blue", lambda: held(proxy) == {"127.0.0.2:7100"})
    dns.names[NAME] = "green.internal"
    wait_for("green", lambda: held(proxy) == {"127.0.0.3:7100"})


@needs_cares
def test_a_long_ttl_is_honoured_and_bounded_by_max_ttl(proxy, dns):
    dns.ttl = 3600
    dns.names[NAME] = ["127.0.0.2"]
    proxy.options["dns"]["timeout"] = "10s"  # one that fails is asked again
    proxy.start()
    wait_for("the answer", lambda: held(proxy) == {"127.0.0.2:7100"})
    holds_for("not asked again", lambda: counted(proxy, "lookups") == 1, 1.5)
    assert 200_000 < places(proxy)["java/1"]["asked_again_ms"] <= 300_000
    proxy.options["dns"]["max_ttl"] = "1s"
    proxy.reload()
    wait_for("asked again", lambda: counted(proxy, "lookups") >= 3)


@needs_cares
def test_names_are_looked_up_although_nobody_can_ask_the_monitor(proxy, dns):
    dns.names[NAME] = ["127.0.0.2"]
    proxy.options["admin"] = {"socket": "", "web": ""}
    proxy.start()
    with backends("127.0.0.2"):
        assert served_by() == "127.0.0.2"


@needs_cares
@pytest.mark.skipif(not can_mount(), reason="no mount namespace is permitted here")
def test_etc_hosts_and_resolv_conf_are_honoured_and_read_again(proxy, dns):
    del proxy.options["dns"]
    hosts, resolv = proxy.path("hosts"), proxy.path("resolv.conf")
    for path, text in ((hosts, "127.0.0.2 java.internal\n"),
                       (resolv, "nameserver 127.0.0.1\nsearch internal\n")):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o644)
    proxy.options["upstreams"][0]["servers"].append({"name": "short", "address": "tom:7100"})
    dns.names["tom.internal"] = ["127.0.0.4"]
    proxy.start(wrapper=with_mounts(
        f"mount --bind {hosts} /etc/hosts && mount --bind {resolv} /etc/resolv.conf"))
    wait_for("both", lambda: held(proxy) == {"127.0.0.2:7100", "127.0.0.4:7100"})
    with open(hosts, "w", encoding="ascii") as file:  # the same file: it is mounted
        file.write("127.0.0.3 java.internal\n")
    wait_for("the new line", lambda: held(proxy) == {"127.0.0.3:7100", "127.0.0.4:7100"})
    assert not [name for name, _ in dns.asked if name == NAME]  # nobody asked DNS for it


@needs_cares
def test_health_and_limits_are_those_of_each_address(proxy, dns):
    dns.names[NAME] = ["127.0.0.2", "127.0.0.3"]
    proxy.options["upstreams"][0]["check"] = {"interval": "100ms", "fall": 1}
    proxy.options["upstreams"][0]["servers"][0]["max_connections"] = 1
    proxy.start()
    with backends("127.0.0.2"):
        for _ in range(4):
            assert served_by() == "127.0.0.2"
        down = proxy.wait_log(r"back end be/java/\d \(127\.0\.0\.3:7100\) is down")
        name = re.search(r"java/\d", down).group(0)
        assert places(proxy)[name]["address"] == "127.0.0.3:7100"
        sock, _ = visit()
        with client.connect() as second:
            wait_for("who waits", lambda: places(proxy)["java/1"]["waiting"] == 1)
            dns.names[NAME] = ["127.0.0.2", "127.0.0.4"]  # another one in the place of that
            with backends("127.0.0.4"):
                assert client.receive(second, 16).strip() == b"127.0.0.4"
        sock.close()


@pytest.mark.smoke
@pytest.mark.skipif(built_with_cares(), reason="built with c-ares")
def test_without_cares_a_name_is_a_mistake_in_the_file(proxy):
    proxy.write_config()
    result = proxy.run("-t")
    assert result.returncode == 2
    assert "java.internal:7100 is a name, and this acceptd was built without c-ares, which would " \
        "look it up; hint: write an address" in result.stderr
