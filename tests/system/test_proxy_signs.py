"""What an operator reads about back ends in trouble: log, events, status, doctor, metrics."""
import re
import socket

import pytest

from harness import admin, client
from harness.backend import BACK, Backend, echo
from harness.config import listener
from harness.waiting import wait_for

NAME = r"back end be/127\.0\.0\.1:7100"


@pytest.fixture
def proxy(server):
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "connect_timeout": "10s",
                                    "check": {"interval": "100ms", "fall": 1},
                                    "servers": [{"address": "127.0.0.1:7100"}]}]
    return server


def upstream(server):
    return server.options["upstreams"][0]


def row(server):
    return admin.asked_json(server, "upstreams")[0]


def metrics():
    with client.connect(("127.0.0.1", 7080)) as sock:
        sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        return client.receive_all(sock).decode()


def status(server):
    """(exit status, what it says)"""
    result = admin.acceptctl(server, "status")
    return result.returncode, result.stdout


@pytest.mark.smoke
def test_a_declared_backlog_is_held_against_the_real_queue(proxy):
    upstream(proxy)["servers"][0]["backlog"] = 9
    with Backend(echo, backlog=5):
        proxy.start()
        proxy.wait_log(NAME + r": backlog = 9 is declared, but its accept queue holds 5\b")
        assert (row(proxy)["queue_depth"], row(proxy)["queue_limit"]) == (0, 5)
        assert "backlog = 9 is declared" in status(proxy)[1]
        told = admin.acceptctl(proxy, "doctor").stdout
        assert "be/127.0.0.1:7100 declares 9 and its accept queue holds 5" in told
        assert "be/127.0.0.1:7100 declares 9" in proxy.run("-t", "--doctor").stdout
        upstream(proxy)["servers"][0]["backlog"] = 5
        proxy.reload()
        wait_for("well", lambda: "backlog" not in status(proxy)[1])
        assert len(proxy.log_lines("is declared, but")) == 1
    wait_for("nobody listens", lambda: "queue_limit" not in row(proxy))
    assert " - " in admin.asked(proxy, "upstreams").splitlines()[1]


def test_a_queue_on_another_host_is_not_guessed(proxy):
    """Somebody here listens on the same port of every address."""
    upstream(proxy)["servers"][0] = {"address": "192.0.2.1:7100", "backlog": 9}
    with Backend(echo, ("0.0.0.0", 7100), backlog=5):
        proxy.start()
        wait_for("a look each second", lambda: row(proxy)["backlog"] == 9)
        assert "queue_limit" not in row(proxy)
        assert not proxy.log_lines("is declared, but")


def test_an_overflow_is_told_with_the_queue_and_what_to_do(proxy):
    proxy.start()
    with socket.create_server(BACK, backlog=1) as back:
        clients = [client.connect() for _ in range(4)]  # the kernel takes 2 of them
        wait_for("a full queue", lambda: row(proxy).get("queue_depth") == 2)
        assert "its accept queue overflows" in status(proxy)[1]
        accepted = [back.accept()[0] for _ in clients]
        line = proxy.wait_log(NAME + r" dropped our SYN \d+ times in \d+ s: its accept queue")
    assert "of 1 now" in line and "declare backlog = 1 here" in line
    for sock in clients + accepted:
        sock.close()


def test_why_a_server_is_down_and_what_that_means_for_clients(proxy):
    proxy.start()
    with client.connect() as sock:
        sock.sendall(b"hello")
        proxy.wait_log(NAME + " is down: connection refused; no server of be is up: clients wait, "
                              "at most for queue_timeout = 30s")
        assert row(proxy)["cause"] == "connection refused"
        wait_for("it waits", lambda: row(proxy)["waiting"] == 1)
        wait_for("its wait grows", lambda: row(proxy)["oldest_wait_ms"] > 200)
        wait_for("so does the outage", lambda: row(proxy)["since_ms"] > 200)
        code, text = status(proxy)
        assert code == 1 and "upstream be: no server takes clients" in text
        with Backend(echo):
            assert client.receive(sock, 5) == b"hello"
            proxy.wait_log(NAME + " is up again after ")
            assert "cause" not in row(proxy) and row(proxy)["oldest_wait_ms"] == 0
            wait_for("well", lambda: status(proxy)[0] == 0)


def test_a_wrong_answer_to_a_check_is_a_cause_of_its_own(proxy):
    upstream(proxy)["check"].update(when="always", send="ping", expect="pong")
    with Backend(echo):
        proxy.start()
        proxy.wait_log(NAME + " is down: wrong answer to its check")


def test_one_that_runs_and_does_not_accept_is_told_from_one_that_is_gone(proxy):
    upstream(proxy).update(connect_timeout="300ms")
    proxy.start()
    with socket.create_server(BACK, backlog=1), client.connect(), client.connect():
        wait_for("a full queue", lambda: row(proxy).get("queue_depth") == 2)
        with client.connect():
            line = proxy.wait_log(NAME + " is down: no answer")
    assert "it runs but does not accept (stopped, or overloaded): its accept queue is full " \
        "(2 of 1 now" in line


def test_a_long_wait_is_told_with_its_reason_and_its_end(proxy):
    """Up by every check, but it accepts nobody: stopped, or overloaded."""
    upstream(proxy)["servers"][0]["backlog"] = 1
    proxy.options["admin"]["web"] = "127.0.0.1:7080"
    proxy.start()
    with socket.create_server(BACK, backlog=1) as back, client.connect() as first:
        wait_for("a place", lambda: row(proxy)["open"] == 1)
        with client.connect() as second:
            line = proxy.wait_log("upstream be: 1 client waits for a place, the first for ", limit=30)
            assert "be/127.0.0.1:7100 leaves 1 connection without an answer, as many as its " \
                "backlog: it is stopped or overloaded" in line
            assert "queue_timeout = 30s is turned away" in line
            assert "upstream be: clients that wait for a place: 1, the first for " in \
                status(proxy)[1]
            wait_for("the metrics", lambda: re.search(
                r'acceptd_server_oldest_wait_seconds\{upstream="be",server="127\.0\.0\.1:7100"\} '
                r"(?:[5-9]|\d\d+)\.\d", metrics()))
            for sock in (first, second):
                with back.accept()[0] as accepted:
                    accepted.sendall(b"x")
                    assert client.receive(sock, 1) == b"x"
            proxy.wait_log("upstream be: nobody waits long for a place any more; it lasted ")
    wait_for("well", lambda: "wait for a place" not in status(proxy)[1])


def test_clients_that_got_no_place_are_told(proxy):
    upstream(proxy)["queue_timeout"] = "100ms"
    upstream(proxy)["servers"][0]["max_connections"] = 1
    with Backend(echo):
        proxy.start()
        with client.connect() as first:
            assert client.ask(first) == b"hello\n"
            with client.connect() as second:
                wait_for("it is given up", lambda: client.is_ended(second))
        line = proxy.wait_log("listener front: 1 client refused in ")
    assert ": 1 after queue_timeout; acceptctl upstreams shows the servers" in line
    assert "listener front: clients refused in the last minute: queue_timeout 1; see acceptctl " \
        "events" in status(proxy)[1]


def test_the_metrics_have_the_queue(proxy):
    proxy.options["admin"]["web"] = "127.0.0.1:7080"
    with Backend(echo, backlog=5):
        proxy.start()
        wait_for("sampled", lambda: "queue_limit" in row(proxy))
        wait_for("the limit", lambda: 'acceptd_server_queue_limit{upstream="be",'
                                      'server="127.0.0.1:7100"} 5\n' in metrics())
