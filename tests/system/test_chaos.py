"""A front door in chaos: workers and back ends that die or stand still, reloads, orders, clients
that behave and clients that do not, all at random. Nobody knows what happens to whom, but every end
of a connection has to be explained by what the server says of it, and nothing may be left behind.

ACCEPTD_CHAOS_SEEDS are the seeds, as "7,100-120"; ACCEPTD_CHAOS_SECONDS is how long each lasts. What
a seed does is always the same, when it meets what is not."""
import collections
import contextlib
import os
import re

import pytest

from harness import admin, chaos_faults, client, processes, sessions
from harness.chaos_backend import ChaosBackend
from harness.chaos_clients import Clients
from harness.chaos_faults import Faults
from harness.config import FAULT, listener
from harness.truth import Watch
from harness.waiting import is_sanitized, wait_for

WORKERS = 3
LAST_WORDS_MAX = 16  # lines that a killed worker had not yet written
PLACES = 4  # of each back end, in the end
EVENT = "anon_inode:[eventfd]"  # one wakes the worker of a slot
PIPES_KEPT = 32  # by a worker, for the next one
MEMORY_KB_MAX = 2000  # that the master may have more, and a worker beyond what one had before


def seeds():
    found = []
    for word in os.environ.get("ACCEPTD_CHAOS_SEEDS", "1,2").split(","):
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def duration():
    return float(os.environ.get("ACCEPTD_CHAOS_SECONDS", "7"))


@pytest.fixture
def proxy(server):
    """Not started."""
    server.options.update(
        workers=WORKERS, hang_timeout="1s", session_log=server.path("sessions"), drain_timeout="3s",
        upstreams=[{"name": "be", "connect_timeout": "1s", "queue_timeout": "5s",
                    "check": {"interval": "100ms"}}])
    timeouts = {"idle_timeout": "20s", "write_timeout": "6s", "half_close_timeout": "6s"}
    server.listeners = [
        listener("front", "127.0.0.1:7000", "proxy", upstream="be", **timeouts),
        listener("balanced", "127.0.0.1:7002", "proxy", upstream="be", accept_proxy=True,
                 trusted=["127.0.0.0/8"], proxy_timeout="1s", **timeouts),
        {**FAULT, "session_log": False}]
    return server


@pytest.fixture
def backs(proxy):
    """Not started."""
    return [ChaosBackend("one", 7100), ChaosBackend("two", 7101),
            ChaosBackend("three", proxy.path("three.sock"))]


def calm_servers(backs):
    return [{"name": back.name, "address": back.address(), "max_connections": PLACES,
             "backlog": back.backlog} for back in backs]


class Look(Watch):
    """What must hold at every instant; the monitor may be dead just then."""
    def __init__(self, server):
        super().__init__(server)
        self.overdrawn = []

    def look(self):
        try:
            super().look()
            for row in admin.asked_json(self.server, "upstreams"):
                if row["open"] > chaos_faults.MOST_PLACES:
                    self.overdrawn.append(row)
        except AssertionError:
            pass


# -- what the server says ---------------------------------------------------------------------------

# Its end was the server's own, or the back end's, or an order's, or chaos killed its worker.
BACK_END = {"backend", "backend_reset"}
CUT = {"drain", "killed"}
NO_SERVICE = {"connect_refused", "connect_timeout", "connect_failed", "no_server", "queue_timeout",
              "queue_full", "no_memory"}
TIMEOUTS = {"write_timeout", "half_closed"}
HEADER = {"proxy_header", "proxy_timeout"}
# By what the client saw: the reasons that explain it.
EXPLANATIONS = {
    "ok": {"client"} | BACK_END | CUT,
    "eof": {"backend"} | CUT,  # killed: after the back end's end had been passed on
    "reset": BACK_END | CUT | NO_SERVICE | TIMEOUTS | HEADER,
    "left": {"client", "reset", "gone_in_queue"} | BACK_END | CUT | NO_SERVICE | TIMEOUTS | HEADER,
}


def explains(line, operation):
    reasons = EXPLANATIONS[operation.outcome]
    if operation.outcome == "eof" and operation.has_ended:
        reasons = reasons | {"client"}
    if line["reason"] in HEADER and operation.kind not in ("junk_header", "unfinished_header"):
        return False
    return line["reason"] in reasons and bytes_fit(line, operation)


def bytes_fit(line, operation):
    """No more came than was sent; whoever had a whole conversation has it to the byte. What a client
    says after the back end's end may be lost with the back end, and neither can tell."""
    received, sent = int(line["received_bytes"]), int(line["sent_bytes"])
    if line["reason"] == "gone_in_queue":
        return received == sent == 0
    to_server, from_server = int(line["to_server_bytes"]), int(line["from_server_bytes"])
    if operation.outcome == "ok" and line["reason"] == "client":
        return (received, sent) == (to_server, from_server) == (operation.sent, operation.got)
    return (to_server <= received <= operation.sent and
            operation.got <= sent <= from_server)


def check_history(history, lines):
    """Each connection has one line that explains its end, or went with its worker."""
    mistakes = [operation for operation in history if operation.outcome not in EXPLANATIONS]
    by_source = collections.defaultdict(list)
    for line in lines:
        by_source[line["client"].rpartition(":")[0]].append(line)
    unread = by_source.pop("", []) + by_source.pop("-", [])
    for operation in history:
        found = by_source.pop(operation.source, [])
        if operation.outcome in EXPLANATIONS and not all(explains(line, operation)
                                                         for line in found) or len(found) > 1:
            mistakes.append((operation, found))
    assert not mistakes, "\n".join(map(str, mistakes))
    assert not by_source, f"lines of nobody: {dict(by_source)}"
    assert all(line["reason"] == "gone_in_queue" for line in unread), unread


# -- what is left of it ------------------------------------------------------------------------------

def listeners(proxy):
    return [row for row in admin.asked_json(proxy, "listeners")]


def settled(proxy):
    """The rows of the listeners when nobody is left."""
    return wait_for("all sessions over", lambda: (
        lambda rows: not any(row["open"] for row in rows) and rows)(listeners(proxy)))


def check_guard(proxy):
    """Every place was given back, and nobody is taken to wait or to be queued."""
    def left():
        return [row for row in admin.asked_json(proxy, "upstreams")
                if any(row[name] for name in ("open", "unproven", "settled", "waiting"))]
    try:
        wait_for("nothing left", lambda: not left())
    except AssertionError:
        raise AssertionError(f"places that nobody has: {left()}") from None


def check_places(proxy, backs):
    """As many places as there should be, and the next client waits and is served."""
    up = wait_for("every server up", lambda: (lambda rows: all(
        row["state"] == "up" for row in rows) and rows)(admin.asked_json(proxy, "upstreams")))
    assert [row["max_connections"] for row in up] == [PLACES] * len(backs)
    socks = [client.connect() for _ in range(PLACES * len(backs))]
    for sock in socks:
        sock.sendall(b"Ehello")
        assert client.receive(sock, 5) == b"hello"
    with client.connect() as waiting:
        waiting.sendall(b"Ehello")
        wait_for("one too many waits", lambda: admin.asked_json(
            proxy, "upstreams")[0]["waiting"] == 1)
        socks.pop().close()
        assert client.receive(waiting, 5) == b"hello"
    for sock in socks:
        sock.close()


def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))


def kinds(pid):
    """Of a worker's descriptors, by number and without its pid; a few pipes rest in its pool."""
    found = processes.descriptor_kinds(pid)
    assert found.pop("pipe:", 0) <= 2 * PIPES_KEPT
    return {kind.replace(f"/{pid}/", "/self/"): count for kind, count in found.items()}


def check_processes(proxy, before):
    """Descriptors are those of the beginning, and memory."""
    # who stands in for one that waits for its turn to start again has a slot of its own
    slots = len(admin.asked_json(proxy, "workers")) - proxy.options["workers"]
    should = [{**before[who], EVENT: before[who][EVENT] + slots}
              for who in ("of master", "of worker")]

    def found():
        pids = proxy.workers().values()
        return [processes.descriptor_kinds_of_sleeper(proxy.master), *map(kinds, pids)]
    wanted = [should[0]] + [should[1]] * proxy.options["workers"]
    try:
        wait_for("descriptors back", lambda: found() == wanted)
    except AssertionError:
        raise AssertionError(f"should be {wanted}, are {found()}") from None
    if not is_sanitized():
        assert pss_kb(proxy.master) < before["master"] + MEMORY_KB_MAX
        assert max(map(pss_kb, proxy.workers().values())) < before["worker"] + MEMORY_KB_MAX
    proxy.baseline = rest_of(proxy)


def rest_of(proxy):
    """Not settle(): the workers need not be those of the first slots."""
    return wait_for("a master at rest", lambda: (lambda kinds: kinds and (kinds, proxy.titles()))(
        processes.descriptor_kinds_of_sleeper(proxy.master)))


def measure(proxy):
    pids = list(proxy.workers().values())
    return {"master": pss_kb(proxy.master), "worker": max(map(pss_kb, pids)),
            "of master": proxy.baseline[0], "of worker": kinds(pids[0])}


# Lines of level error that chaos provokes.
DEATH = r"worker \d+ \(pid (\d+)\) (?:made no progress|killed by|exited with|stack)"
# A message comes with descriptors for which there is no number: who cannot know what it missed goes.
DEAF = r"worker \d+\[(\d+)\]: cannot (?:listen to the master|start).*: Too many open files"


def check_deaths(proxy, faults):
    """Only those died that were killed here; the lines on them are declared."""
    faults.doomed.update(int(re.search(DEAF, line).group(1)) for line in proxy.log_lines(DEAF))
    for line in proxy.log_lines(DEATH):
        assert int(re.search(DEATH, line).group(1)) in faults.doomed, line
    proxy.expected += [pattern for pattern in (DEATH, DEAF) if proxy.log_lines(pattern)]


def read_lines(proxy, faults, count_min):
    path = proxy.path("sessions")
    paths = [*[f"{path}.{number}" for number in range(1, faults.rotations + 1)], path]
    return wait_for(f"{count_min} lines", lambda: (
        lambda lines: len(lines) >= count_min and lines)(sessions.lines(*paths)))


def check_counts(proxy, faults, history):
    """accepted = closed; the clients' count; what is said of each in the session log, where killed
    workers' last words are missing. @return the lines"""
    rows = {row["name"]: row for row in settled(proxy)}
    for row in rows.values():
        assert row["accepted"] == sum(row["closed"].values()), row
    fronts, deaths = (rows["front"], rows["balanced"]), len(faults.doomed)
    accepted = sum(row["accepted"] for row in fronts)
    assert len(history) <= accepted <= len(history) + deaths
    lost = sum(row["closed"]["lost_in_crash"] for row in fronts)
    dropped = sum(row["session_lines_dropped"] for row in admin.asked_json(proxy, "workers"))
    lines = read_lines(proxy, faults, accepted - lost - dropped - LAST_WORDS_MAX * deaths)
    logged = collections.Counter((line["listener"], line["reason"]) for line in lines)
    closed = collections.Counter({(row["name"], reason): count for row in fronts
                                  for reason, count in row["closed"].items()})
    assert not logged - closed, f"more lines than ends: {logged - closed}"
    for row in fronts:
        of_it = [line for line in lines if line["listener"] == row["name"]]
        for key in ("received_bytes", "sent_bytes"):
            assert sum(int(line[key]) for line in of_it) <= row[key]
    return lines


# -- the test ----------------------------------------------------------------------------------------

def make_chaos(proxy, faults, seed):
    """@return what each client saw"""
    with Look(proxy) as look, Clients(seed) as clients:
        faults.run(duration())
        chaos_faults.settle_down(proxy, faults.backs)
        clients.end()
    assert look.fallen == [] and look.overdrawn == []
    return clients.history


def calm_down(proxy, backs):
    proxy.options["workers"] = WORKERS
    proxy.options["upstreams"][0].update(
        servers=calm_servers(backs), on_down="wait", queue_max="none", queue_timeout="30s")
    proxy.reload()
    for back in backs:  # orders outlive reloads
        chaos_faults.insist(proxy, "server", back.name, "ready")
        chaos_faults.insist(proxy, "server", back.name, "max", str(PLACES))


def check_all(proxy, faults, history, before):
    check_deaths(proxy, faults)
    check_history(history, check_counts(proxy, faults, history))
    check_guard(proxy)
    check_places(proxy, faults.backs)
    check_guard(proxy)
    check_processes(proxy, before)


@pytest.mark.once
@pytest.mark.parametrize("seed", seeds())
def test_every_end_is_explained_and_nothing_is_left(proxy, backs, seed):
    proxy.options["upstreams"][0]["servers"] = calm_servers(backs)
    proxy.start()
    before = measure(proxy)
    faults = Faults(proxy, backs, seed)
    with contextlib.ExitStack() as stack:
        for back in backs:
            stack.enter_context(back)
        try:
            history = make_chaos(proxy, faults, seed)
            calm_down(proxy, backs)
            check_all(proxy, faults, history, before)
        except BaseException:
            print(f"seed {seed}:", *faults.orders, sep="\n")
            raise
    print(f"seed {seed}: {dict(collections.Counter(op.outcome for op in history))}, "
          f"{len(faults.orders)} orders, {len(faults.doomed)} processes ended")
