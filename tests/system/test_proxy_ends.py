"""Every reason that a session of the proxy can end for: provoked, it is counted once and no other
one with it."""
import contextlib
import os
import shutil
import socket
import subprocess

import pytest

from harness import admin, client, processes
from harness.backend import Backend
from harness.config import listener
from harness.injection import injected
from harness.kernel import stopped
from harness.waiting import wait_for

LOCAL, NOWHERE = "127.0.0.1:7100", "10.9.9.9:7100"
KEEPALIVE = {"idle": "1s", "interval": "1s", "probes": 1}

# Reasons that need no proxy, or end a client before it is one of the proxy's, and who proves them.
ELSEWHERE = {
    "shed": "test_exhaustion.py", "denied": "test_gate.py", "untrusted": "test_accept_proxy.py",
    "proxy_header": "test_accept_proxy.py", "proxy_timeout": "test_accept_proxy.py",
    "source_limit": "test_sources.py", "source_rate": "test_sources.py",
    "source_penalty": "test_sources.py", "no_address": "names of servers",
    "handler": "protocols that end a connection themselves; the proxy does not",
    "protocol_error": "protocols that the server speaks itself",
}


def closed(server):
    prefix = "listener.front.closed_"
    rows = admin.asked_json(server, "stats", prefix + "*")
    return {name[len(prefix):]: count for name, count in rows.items()}


class Stage:
    """What the ways to end a session have at hand."""

    def __init__(self, server, backend):
        self.server, self.backend, self.kept = server, backend, []

    def meet(self):
        """@return both ends of a session over which a byte went each way"""
        count = len(self.backend.accepted)
        sock = client.connect()
        wait_for("the session", lambda: len(self.backend.accepted) > count)
        back = self.backend.accepted[-1]
        for writer, reader in ((sock, back), (back, sock)):
            writer.sendall(b"!")
            assert reader.recv(1) == b"!"
        self.kept.append(sock)
        return sock, back

    def knock(self):
        """A client that nothing is said to, and that may be reset while it connects."""
        with contextlib.suppress(ConnectionResetError):
            self.kept.append(client.connect())

    def inject(self, what):
        """Make a system call of the only worker fail, once."""
        pid, = self.server.workers().values()
        return injected(pid, f"{what}:when=1", self.server.path("strace"))

    def close(self):
        for sock in self.kept + self.backend.accepted:
            sock.close()


def end(sock):
    sock.shutdown(socket.SHUT_WR)


def the_client_closes(stage):
    sock, back = stage.meet()
    end(sock)
    assert back.recv(1) == b""
    end(back)


def the_back_end_closes(stage):
    sock, back = stage.meet()
    end(back)
    assert sock.recv(1) == b""
    end(sock)


def the_client_says_no_more(stage):
    end(stage.meet()[0])


def killed(stage):
    stage.meet()
    row, = admin.asked_json(stage.server, "connections")["connections"]
    assert admin.acceptctl(stage.server, "kill", str(row["id"])).returncode == 0


def cut(port):
    """Nothing passes any more between this client or back end and the proxy; they answer nothing."""
    rules = f"tcp sport {port} drop\ntcp dport {port} drop"
    subprocess.run(["nft", "-f", "-"], text=True, check=True, input="table inet cut {\nchain out {\n"
                   f"type filter hook output priority 0;\n{rules}\n}}\n}}\n")


def vanish_client(stage):
    cut(stage.meet()[0].getsockname()[1])


def vanish_back_end(stage):
    cut(stage.meet()[1].getpeername()[1])


def reset_in_the_queue(stage):
    with stopped(stage.server.workers().values()):
        client.reset(client.connect())


def crash(stage):
    stage.server.expect_log(r"killed by SIGKILL")
    stage.meet()
    pid, = stage.server.workers().values()
    processes.kill(pid)


def slot_of(server, sock):
    """The worker that has this client, as acceptctl knows it; no right over processes is needed."""
    peer = "%s:%d" % sock.getsockname()
    return wait_for("the session shown", lambda: [
        row["worker"] for row in admin.asked_json(server, "connections")["connections"]
        if row["peer"] == peer])[0]


def take_worker_away(stage):
    """Of two workers the second one goes, with a session that does not end."""
    sock = None
    while sock is None or slot_of(stage.server, sock) != 1:
        sock, _ = stage.meet()
    stage.server.options["workers"] = 1
    stage.server.reload()
    wait_for("its end", lambda: client.is_ended(sock))
    stage.server.settle()


def nobody_serves(stage):
    admin.asked(stage.server, "server", LOCAL, "drain")
    stage.knock()


def no_port(stage):
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("20000 20000")
    taken = socket.socket()  # by a connection to the same server
    taken.bind(("127.0.0.1", 20000))
    taken.connect(("127.0.0.1", 7100))
    stage.kept.append(taken)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 30000))
    with contextlib.suppress(ConnectionResetError):
        sock.connect(client.ECHO)
    stage.kept.append(sock)


def second_waits(stage):
    stage.meet()
    stage.knock()


def third_is_too_many(stage):
    second_waits(stage)
    wait_for("the second", lambda: admin.asked_json(stage.server, "upstreams")[0]["waiting"] == 1)
    stage.knock()


def fail(what):
    def run(stage):
        with stage.inject(what), contextlib.suppress(OSError), client.connect() as sock:
            sock.sendall(b"x")
            wait_for("the end", lambda: client.is_ended(sock))
    return run


# reason, how, what it needs, settings: of the listener, of the upstream, of its server, of all
ROWS = [
    ("client", the_client_closes, {}),
    ("backend", the_back_end_closes, {}),
    ("reset", lambda stage: client.reset(stage.meet()[0]), {}),
    ("backend_reset", lambda stage: client.reset(stage.meet()[1]), {}),
    ("idle", Stage.meet, {"listener": {"idle_timeout": "200ms"}}),
    ("lifetime", Stage.meet, {"listener": {"lifetime": "200ms"}}),
    ("write_timeout", lambda stage: client.fill(stage.meet()[0]),
     {"listener": {"write_timeout": "200ms"}}),
    ("half_closed", the_client_says_no_more, {"listener": {"half_close_timeout": "200ms"}}),
    ("killed", killed, {}),
    ("peer_unreachable", vanish_client, {"needs": "nft", "listener": {"keepalive": KEEPALIVE}}),
    ("backend_unreachable", vanish_back_end, {"needs": "nft", "listener": {"keepalive": KEEPALIVE}}),
    ("gone_in_queue", reset_in_the_queue, {}),
    ("lost_in_crash", crash, {}),
    ("refused_limit", second_waits, {"all": {"max_connections": 1}, "listener": {"on_limit": "refuse"}}),
    ("drain", take_worker_away, {"all": {"workers": 2, "drain_timeout": "200ms"}}),
    ("connect_refused", Stage.knock,
     {"server": {"address": "127.0.0.1:7199"}, "upstream": {"on_down": "refuse"}}),
    ("connect_timeout", lambda stage: (cut(7100), stage.knock()),
     {"needs": "nft", "upstream": {"connect_timeout": "200ms", "on_down": "refuse"}}),
    ("connect_failed", Stage.knock,
     {"server": {"address": NOWHERE}, "upstream": {"on_down": "refuse"}}),
    ("no_port", no_port, {}),
    ("no_server", nobody_serves, {"upstream": {"on_down": "refuse"}}),
    ("queue_timeout", second_waits,
     {"server": {"max_connections": 1}, "upstream": {"queue_timeout": "200ms"}}),
    ("queue_full", third_is_too_many,
     {"server": {"max_connections": 1}, "upstream": {"queue_max": 1}}),
    ("no_memory", fail("connect:error=ENOBUFS"), {"needs": "strace"}),
    ("error", fail("recvfrom:error=EPROTO"), {"needs": "strace"}),
]


@pytest.fixture
def stage(server):
    """Not started: one worker, one server that says nothing by itself."""
    server.options["workers"] = 1
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": LOCAL}]}]
    with Backend() as backend:
        made = Stage(server, backend)
        yield made
        made.close()


@pytest.mark.parametrize("reason,way,setting", ROWS, ids=[row[0] for row in ROWS])
def test_every_end_of_a_session_moves_one_reason_once(stage, reason, way, setting):
    program = setting.get("needs")
    if program and (os.geteuid() != 0 or not shutil.which(program)):
        pytest.skip(f"needs root and {program}")
    server = stage.server
    server.listeners[0].update(setting.get("listener", {}))
    server.options["upstreams"][0].update(setting.get("upstream", {}))
    server.options["upstreams"][0]["servers"][0].update(setting.get("server", {}))
    server.options.update(setting.get("all", {}))
    server.start()
    way(stage)
    try:
        wait_for("the end counted", lambda: sum(closed(server).values()) > 0)
        assert {name: count for name, count in closed(server).items() if count} == {reason: 1}
    finally:
        stage.close()
    row = wait_for("all over", lambda: over(stage))
    assert row["accepted"] == sum(row["closed"].values())


def over(stage):
    """Who waited may have come to the back end only now."""
    stage.close()
    row = admin.asked_json(stage.server, "listeners")[0]
    return row if row["open"] == 0 else None


def test_every_reason_that_there_is_has_its_row_or_its_place_elsewhere(stage):
    stage.server.start()
    reasons = set(closed(stage.server))
    rows = {row[0] for row in ROWS}
    assert rows <= reasons and not rows & set(ELSEWHERE)
    assert reasons <= rows | set(ELSEWHERE), "a reason without a test"
