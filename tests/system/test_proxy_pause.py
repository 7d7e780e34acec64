"""A back end that pauses for longer than settle_time: what still waits in its accept queue is not
taken for accepted, so the queue is not overrun, and nobody waits for a queue that is empty."""
import threading
import time

import pytest

from harness import admin, client, processes
from harness.backend import Backend, echo
from harness.backend_process import BackEndProcess
from harness.config import listener
from harness.kernel import listening, nstat
from harness.waiting import wait_for

PAUSE_SECONDS = 4  # several samples of the queue, and far more than settle_time
COUNT = 300


@pytest.fixture
def proxy(server):
    """Not started: one upstream with one server, several workers."""
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["workers"] = 3
    return server


def start(proxy, backlog, settle_time):
    """And the queue of the server was seen."""
    proxy.options["upstreams"] = [
        {"name": "be", "settle_time": settle_time, "queue_timeout": "120s",
         "servers": [{"address": "127.0.0.1:7100", "backlog": backlog}]}]
    proxy.start()
    wait_for("a sample", lambda: "queue_limit" in row(proxy))


def row(proxy):
    return admin.asked_json(proxy, "upstreams")[0]


def are_all_free(proxy):
    shown = row(proxy)
    return not any(shown[name] for name in ("open", "unproven", "settled", "waiting"))


class Crowd(threading.Thread):
    """COUNT clients at once, in the background."""

    def __init__(self):
        super().__init__()
        self.served = None
        self.start()

    def run(self):
        self.served, _ = client.crowd(COUNT)


def overruns():
    return [nstat(name) for name in
            ("TcpExtListenOverflows", "TcpExtListenDrops", "TcpExtTCPSynRetrans")]


def wait_for_a_full_queue(proxy, backlog):
    """Everybody is there, and what is in the queue was silent for longer than settle_time."""
    def is_full():
        shown = row(proxy)
        return (shown["open"] + shown["waiting"] == COUNT and
                (shown["unproven"], shown["settled"]) == (0, backlog))
    wait_for("a full queue", is_full)


@pytest.mark.parametrize("backlog, settle_time", [(50, "1s"), (5, "200ms"), (5, "1ms")])
def test_a_back_end_that_pauses_is_not_overrun(proxy, backlog, settle_time):
    with BackEndProcess(backlog=backlog) as back:
        start(proxy, backlog, settle_time)
        assert client.echoes()
        before = overruns()
        back.pause()
        began = time.monotonic()
        crowd = Crowd()
        wait_for("a long pause", lambda: time.monotonic() - began > PAUSE_SECONDS)
        assert overruns() == before
        assert listening(7100)[0] <= backlog
        wait_for_a_full_queue(proxy, backlog)
        back.go_on()
        crowd.join()
        assert crowd.served == COUNT
        assert overruns() == before
        wait_for("all places free", lambda: are_all_free(proxy))
        shown = row(proxy)
        assert (shown["syn_retries"], shown["queue_dropped_segments"]) == (0, 0)


def test_silent_sessions_do_not_hold_up_a_back_end_that_accepts(proxy):
    """Many more than its queue holds."""
    with Backend(echo, backlog=5):
        start(proxy, 5, "200ms")
        held = [client.connect() for _ in range(15)]
        wait_for("all silent for long", lambda: row(proxy)["settled"] == len(held))
        assert client.echoes()
        for sock in held:
            assert client.ask(sock) == b"hello\n"
        wait_for("nobody silent", lambda: row(proxy)["settled"] == 0)
        for sock in held:
            sock.close()
        wait_for("all places free", lambda: are_all_free(proxy))


def test_a_server_that_a_reload_removes_is_not_sampled_and_its_sessions_settle(proxy):
    def first():
        return next(row for row in admin.asked_json(proxy, "upstreams")
                    if row["server"] == "127.0.0.1:7100")
    with Backend(echo, backlog=5):
        start(proxy, 5, "2s")
        with client.connect() as sock:
            wait_for("its place", lambda: first()["open"] == 1)
            proxy.options["upstreams"][0]["servers"] = [{"address": "127.0.0.1:7101"}]
            proxy.reload()
            wait_for("no sample", lambda: "queue_limit" not in first())
            wait_for("it settled", lambda: first()["settled"] == 1)
            assert client.ask(sock) == b"hello\n"
            wait_for("it is proven", lambda: first()["settled"] == 0)


def test_a_worker_killed_in_the_pause_leaves_no_count_behind(proxy):
    """What it had in the queue is lost with it; all others are served."""
    backlog = 20
    proxy.expected.append(r"worker \d+ .*killed by SIGKILL")
    with BackEndProcess(backlog=backlog) as back:
        start(proxy, backlog, "200ms")
        back.pause()
        crowd = Crowd()
        wait_for_a_full_queue(proxy, backlog)
        victim = next(iter(proxy.workers().values()))
        processes.kill(victim)
        wait_for("its successor", lambda: (
            len(proxy.workers()) == 3 and victim not in proxy.workers().values()))
        back.go_on()
        crowd.join()
        wait_for("all places free", lambda: are_all_free(proxy))
        lost = admin.asked_json(proxy, "listeners")[0]["closed"]["lost_in_crash"]
        assert crowd.served == COUNT - lost
        assert client.echoes()
