"""What the proxy protects from: a weak back end from a crowd, sessions from reloads and from leaks."""

import dataclasses
import json
import os
import subprocess
import threading
import time

import readings
from contestants import BenchError
from measuring import Row, failures_text
from placing import set_policy
from proxies import PacedBackEnd

BACKLOG = 50
ACCEPTS_PER_S = 2000
SETTINGS = {"acceptd": f"backlog = {BACKLOG}; ", "haproxy-queue": f"maxconn {BACKLOG}"}
CROWD_TIMEOUT_S = 20
CROWD_WAIT_RATIO_MAX = 1.2
WORKERS = 2
RELOADS = 50
SOAK_SERVERS = 32  # more addresses, or ports in TIME_WAIT would run out
SOAK_GROWTH_BYTES_MAX = 64 * 1024
CLOSED_S = 20


@dataclasses.dataclass
class GuardSizes:
    """How much of everything; --quick has a small set."""

    crowd: int
    crowd_has_others: bool  # they lose clients, and that takes time
    reload_held: int
    reload_short: int
    soak: int
    judges_waits: bool


FULL = GuardSizes(crowd=8000, crowd_has_others=True, reload_held=500, reload_short=4000,
                  soak=200000, judges_waits=True)
QUICK = GuardSizes(crowd=1000, crowd_has_others=False, reload_held=50, reload_short=200,
                   soak=2000, judges_waits=False)
SOAK = dataclasses.replace(FULL, soak=1000000)


@dataclasses.dataclass
class Guard:
    """Who takes part, and what all experiments need."""

    load: object
    sizes: GuardSizes
    contestants: list  # ours first, then the others that were chosen and are installed
    back: object       # a back end that takes everybody
    paced: PacedBackEnd
    acceptctl: str


def counters():
    """What the kernel counted of SYNs sent again and of segments that met a full queue."""
    return {name: readings.kernel_counter(name) for name in ("TCPSynRetrans", "ListenOverflows")}


def crowd_at(guard, contestant):
    """All clients at once at one contestant: the result and what the kernel counted."""
    count = guard.sizes.crowd
    before = counters()
    result = guard.load(contestant, ["burst", count, "-p", 2], timeout_s=CROWD_TIMEOUT_S)
    after = counters()
    return {"result": result, **{name: after[name] - before[name] for name in after}}


def syn_retries(guard, contestant):
    """What acceptd itself has seen of the back end's dropping."""
    shown = subprocess.run([guard.acceptctl, "-s", str(contestant.socket_path), "--json",
                            "upstreams"], capture_output=True, text=True, check=True, timeout=10)
    return sum(server["syn_retries"] for server in json.loads(shown.stdout))


def wait_s(found):
    """What a client waited from its connect to its answer: the 99th percentile; None: too long."""
    result = found["result"]
    has_failed = result["failed"] > result["sessions"] / 100
    return None if has_failed else result["session_p99_us"] / 1e6


def wait_text(found):
    """The same in words."""
    wait = wait_s(found)
    return f"over {CROWD_TIMEOUT_S} s" if wait is None else f"{wait:.2f} s"


def crowd(guard):
    """All clients at once in front of a back end with a short queue: each gets its answer in time."""
    found = {}
    for contestant in guard.contestants:
        contestant.server_settings = SETTINGS.get(contestant.name, "")
    everyone = [guard.paced, *guard.contestants]
    for contestant in everyone if guard.sizes.crowd_has_others else guard.contestants[:1]:
        with guard.paced.running(1):
            # It is the clock of all this, and the machine is busy with the crowd.
            set_policy(guard.paced.process.pid, os.SCHED_FIFO)
            if contestant is guard.paced:
                found[contestant.name] = crowd_at(guard, contestant)
                continue
            contestant.back = guard.paced
            with contestant.running(WORKERS, guard.sizes.crowd + guard.sizes.crowd // 10):
                contestant.expect_workers(WORKERS)
                found[contestant.name] = crowd_at(guard, contestant)
                if contestant.name == "acceptd":
                    found["acceptd"]["syn_retries"] = syn_retries(guard, contestant)
    return crowd_rows(guard, found)


def crowd_rows(guard, found):
    """The rows of crowd."""
    count = guard.sizes.crowd
    ideal_s = count / ACCEPTS_PER_S
    ours = found.get("acceptd")
    wait_max_s = CROWD_WAIT_RATIO_MAX * ideal_s
    retries = {name: str(one["TCPSynRetrans"]) for name, one in found.items()}
    if ours:
        retries["acceptd"] += f", own count {ours['syn_retries']}"
    is_judged = ours is not None and guard.sizes.judges_waits
    return [
        row(f"{count} clients at once, back end with backlog {BACKLOG} that accepts "
            f"{ACCEPTS_PER_S} a second: failed within {CROWD_TIMEOUT_S} s",
            {name: failures_text([one["result"]]) for name, one in found.items()},
            "none", ours and ours["result"]["failed"] == 0),
        row("… wait of a client, 99th percentile",
            {name: wait_text(one) for name, one in found.items()},
            f"at most {wait_max_s:.1f} s = {CROWD_WAIT_RATIO_MAX} x {count} / {ACCEPTS_PER_S}"
            if is_judged else "",
            wait_s(ours) is not None and wait_s(ours) <= wait_max_s if is_judged else None),
        row("… SYNs sent again", retries, "none",
            ours and ours["TCPSynRetrans"] == 0 and ours["syn_retries"] == 0),
        row("… segments that met a full accept queue",
            {name: str(one["ListenOverflows"]) for name, one in found.items()}, "none",
            ours and ours["ListenOverflows"] == 0)]


def row(what, cells, target="", is_met=None):
    """A row from cells by name of the contestant."""
    cells = dict(cells)
    ours, straight = cells.pop("acceptd", ""), cells.pop("paced-back-end", "")
    return Row(what, ours, straight, "", target, is_met, cells)


def acceptd_of(guard):
    """Ours in front of the back end that takes everybody, or None when it does not take part."""
    ours = next((one for one in guard.contestants if one.name == "acceptd"), None)
    if ours:
        ours.back = guard.back
        ours.server_settings = ""
    return ours


def reload_often(guard, ours, addresses, failures):
    """Each time with another idle_timeout, so that there is something to take over."""
    for number in range(RELOADS):
        ours.write_config(WORKERS, guard.sizes.crowd, addresses, f"{600 + number}s")
        done = subprocess.run([guard.acceptctl, "-s", str(ours.socket_path), "reload"],
                              capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            failures.append(done.stdout + done.stderr)


def reload(guard):
    """Reloads while sessions come and go and others stand: nobody is lost, refused or reset."""
    ours = acceptd_of(guard)
    if ours is None:
        return []
    results, failures = [], []

    def reload_under_load():
        reloading = threading.Thread(
            target=reload_often, args=(guard, ours, guard.back.next_addresses(), failures))
        reloading.start()
        while reloading.is_alive():
            results.append(guard.load(ours, ["short", guard.sizes.reload_short, "-c", 64]))
        reloading.join()

    with guard.back.running(1), ours.running(WORKERS, guard.sizes.crowd):
        held = guard.load(ours, ["hold", guard.sizes.reload_held, "--fin"], reload_under_load)
    if failures:
        raise BenchError(f"a reload was refused: {failures[0]}")
    return [row(f"{RELOADS} reloads while sessions come and go: failed",
                {"acceptd": failures_text(results)}, "none",
                not any(result["failed"] for result in results)),
            row("… of those that stood all the time", {"acceptd": failures_text([held])}, "none",
                held["failed"] == 0)]


def descriptors_of(pids):
    """How many are open."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def await_descriptors(pids, count):
    """Until no more are open than there were; how many are at the end."""
    deadline = time.monotonic() + CLOSED_S
    while descriptors_of(pids) > count and time.monotonic() < deadline:
        time.sleep(0.05)
    return descriptors_of(pids)


def soak(guard):
    """Very many short sessions: neither descriptors nor memory grow with them."""
    ours = acceptd_of(guard)
    if ours is None:
        return []
    count = guard.sizes.soak
    ours.server_count = SOAK_SERVERS
    with guard.back.running(1), ours.running(WORKERS, guard.sizes.crowd):
        pids = ours.pids()
        # Without the monitor, whose history of five minutes fills meanwhile.
        measured = [ours.process.pid, *ours.worker_pids()]
        at_start = descriptors_of(pids)
        # The first ones fill pools and free lists, which are kept.
        warm_up = guard.load(ours, ["short", max(1000, count // 20), "-c", 256])
        await_descriptors(pids, at_start)
        before = readings.own_bytes(measured)
        result = guard.load(ours, ["short", count, "-c", 64, "-p", 2], timeout_s=600)
        left = await_descriptors(pids, at_start) - at_start
        grown = readings.own_bytes(measured) - before
        if ours.pids() != pids:
            raise BenchError(f"acceptd changed its processes:\n{ours.log_tail()}")
    ours.server_count = 1
    return [row(f"{count} short sessions: failed", {"acceptd": failures_text([warm_up, result])},
                "none", warm_up["failed"] + result["failed"] == 0),
            row("… descriptors more than before", {"acceptd": str(left)}, "none", left <= 0),
            row("… user memory more than after the first twentieth, master and workers",
                {"acceptd": f"{grown / 1024:.0f} KiB"},
                f"at most {SOAK_GROWTH_BYTES_MAX // 1024} KiB", grown <= SOAK_GROWTH_BYTES_MAX)]


EXPERIMENTS = {
    "guard-crowd": crowd,
    "guard-reload": reload,
    "guard-soak": soak,
}
