"""The measurements of echo. Each returns rows for the report; one that misses its target says so."""

import contextlib
import dataclasses
import shutil

import readings
from measuring import (Row, await_accepted, cpu_per_operation_us, failures_row, in_turns,
                       ratio_row)
from placing import OWN_CORE


@dataclasses.dataclass
class Sizes:
    """How much of everything; --quick has a small set."""

    cpu_rounds: int
    burst_rounds: int
    hold: int
    pingpong_sessions: int
    pingpong_rounds: int
    short: int
    burst: int
    fair_workers: int
    trickle: int
    trickle_ms: int
    fair_burst: int
    judges_ratios: bool


FULL = Sizes(cpu_rounds=9, burst_rounds=7, hold=100000, pingpong_sessions=64,
             pingpong_rounds=1500, short=12000, burst=20000, fair_workers=16, trickle=400, trickle_ms=5, fair_burst=4000,
             judges_ratios=True)
# Too short for ratios to mean anything: it shows that nothing is lost.
QUICK = Sizes(cpu_rounds=1, burst_rounds=1, hold=2000, pingpong_sessions=16,
              pingpong_rounds=200, short=1000, burst=1000, fair_workers=4, trickle=40, trickle_ms=5, fair_burst=400,
              judges_ratios=False)

HOLD_PSS_BYTES_MAX = 300
PINGPONG_PACE_MS = 2  # slow enough for the workers to take turns
PINGPONG_RATIO_MAX = 1.15
SHORT_RATIO_MAX = 1.25
BURST_RATIO_MAX = 1.25
FAIR_WAKEUPS_MAX = 1.1
FAIR_EMPTY_ACCEPTS_MAX = 0.1
FAIR_TRICKLE_DISTANCE_MAX = 3  # connections of a worker above or below the mean
FAIR_BURST_MOST_TO_LEAST_MAX = 1.07


def watch_held(contestant, load, arguments, count):
    """Runs load and reads, while it holds its connections, what they have cost."""
    workers = contestant.worker_pids()
    everyone = contestant.pids()
    sockets = {pid: readings.socket_count(pid) for pid in workers}
    before = read_totals(everyone, workers)
    found = {"processes": len(everyone), "idle_bytes": before["pss_bytes"]}

    def note():
        await_accepted(workers, sockets, count)
        held = read_totals(everyone, workers)
        found["held_bytes"] = held["pss_bytes"]
        for name in ("cpu_us", "switches", "pss_bytes"):
            found[f"{name}_each"] = (held[name] - before[name]) / count
        found["counts"] = [readings.socket_count(pid) - sockets[pid] for pid in workers]

    found["result"] = load(contestant, arguments, note)
    found["overflows"] = readings.listen_overflows() - before["overflows"]
    return found


def read_totals(everyone, workers):
    """Sums over the processes of a server."""
    return {"cpu_us": readings.cpu_us(everyone),
            "switches": sum(map(readings.voluntary_switches, workers)),
            "pss_bytes": readings.pss_bytes(everyone), "overflows": readings.listen_overflows()}


def both(found, ours, yardstick, show):
    """The two columns of a row that is shown for both."""
    return show(found[ours]), show(found[yardstick])


def most_to_least_row(found, ours, yardstick, judged):
    """A row on the fullest and the emptiest worker."""
    counts = found[ours]["counts"]
    most_to_least = max(counts) / max(1, min(counts))
    return Row("… most and least connections of a worker",
               *both(found, ours, yardstick,
                     lambda one: f"{max(one['counts'])} and {min(one['counts'])}"),
               f"{most_to_least:.2f}", f"most at most {FAIR_BURST_MOST_TO_LEAST_MAX} x least",
               most_to_least <= FAIR_BURST_MOST_TO_LEAST_MAX if judged else None)


def overflows_row(found, ours, yardstick):
    """A row on packets that met a full queue."""
    return Row("… packets refused by a full queue",
               *both(found, ours, yardstick, lambda one: str(one["overflows"])), "", "none",
               found[ours]["overflows"] == 0)


def hold(ours, yardstick, load, sizes):
    """Many connections that are held: none fails, and they cost little memory."""
    count = sizes.hold
    arguments = ["hold", count, "-p", max(2, count // 12500)]
    found = {}
    for contestant in (yardstick, ours):
        with contestant.running("auto", max_connections=count + count // 10):
            found[contestant] = watch_held(contestant, load, arguments, count)
    grown = found[ours]["pss_bytes_each"]
    return [
        failures_row(f"{count} held connections: failed", [found[ours]["result"]]),
        Row("… user memory (Pss) that a connection adds",
            *both(found, ours, yardstick, lambda one: f"{round(one['pss_bytes_each'])} bytes"), "",
            f"at most {HOLD_PSS_BYTES_MAX} bytes",
            grown <= HOLD_PSS_BYTES_MAX if sizes.judges_ratios else None),
        Row("… user memory (Pss) in all",
            *both(found, ours, yardstick,
                  lambda one: f"{one['held_bytes'] / 1e6:.1f} MB in {one['processes']} processes "
                              f"(idle {one['idle_bytes'] / 1e6:.1f} MB)")),
        most_to_least_row(found, ours, yardstick, sizes.judges_ratios),
        overflows_row(found, ours, yardstick),
        Row("… time until all are established",
            *both(found, ours, yardstick,
                  lambda one: f"{one['result']['established_us'] / 1e6:.2f} s"))]


def cpu_rows(ours, yardstick, load, sizes, case):
    """CPU time per operation: judged where it is sharp, shown as the scheduler would have it."""
    rows = []
    results = []
    for workers, is_apart, how in ((1, True, "1 worker on a core of its own"),
                                   (2, False, "2 workers")):

        def measure(contestant, workers=workers, is_apart=is_apart):
            # The more standing connections a worker has, the larger are its batches and the less
            # an operation costs. Both spread them evenly, or the ratio would compare the spreads.
            is_spread = case.held > 0
            with contestant.running(workers, spread_evenly=is_spread), (
                    OWN_CORE.taken_by(contestant.worker_pids(), []) if is_apart
                    else contextlib.nullcontext()):
                contestant.expect_workers(workers)
                cpu, result = cpu_per_operation_us(contestant, load, case.arguments,
                                                   case.operations, case.held)
                if contestant is ours:
                    results.append(result)
                return cpu

        values = in_turns([yardstick, ours], sizes.cpu_rounds, measure)
        is_judged = sizes.judges_ratios and is_apart
        rows.append(ratio_row(f"{case.name}, {how}: server CPU per {case.operation}",
                              values[ours], values[yardstick], "us", case.ratio_max, is_judged))
    return rows + [failures_row(f"{case.name}: failed", results)]


@dataclasses.dataclass
class CpuCase:
    """What cpu_rows measures."""

    name: str
    operation: str
    arguments: list
    operations: int
    held: int  # connections that stand before the measurement begins
    ratio_max: float


def pingpong(ours, yardstick, load, sizes):
    """CPU time of a round trip of 64 bytes on connections that stand."""
    sessions = sizes.pingpong_sessions
    return cpu_rows(ours, yardstick, load, sizes, CpuCase(
        "ping-pong of 64 bytes", "round trip",
        ["pingpong", "--wait", "--pace", PINGPONG_PACE_MS, "-p", 2, "-c", sessions, "-r",
         sizes.pingpong_rounds, "-s", 64], sessions * sizes.pingpong_rounds, sessions,
        PINGPONG_RATIO_MAX))


def short(ours, yardstick, load, sizes):
    """CPU time of a connection that is opened, used once and closed."""
    return cpu_rows(ours, yardstick, load, sizes, CpuCase(
        "connect, echo, close", "connection", ["short", sizes.short, "-p", 2, "-c", 64, "-s", 64],
        sizes.short, 0, SHORT_RATIO_MAX))


def burst(ours, yardstick, load, sizes):
    """All clients at once."""
    results = []
    overflows = []

    def measure(contestant):
        with contestant.running(2, max_connections=sizes.burst + sizes.burst // 10):
            contestant.expect_workers(2)
            before = readings.listen_overflows()
            result = load(contestant, ["burst", sizes.burst, "-p", 4])
            if contestant is ours:
                results.append(result)
                overflows.append(readings.listen_overflows() - before)
            return result["elapsed_us"] / 1000

    values = in_turns([yardstick, ours], sizes.burst_rounds, measure)
    name = f"{sizes.burst} connects at once"
    late = sum(result["connects_over_900ms"] for result in results)
    return [failures_row(f"{name}: lost", results),
            ratio_row(f"{name}: time until all are served", values[ours], values[yardstick], "ms",
                      BURST_RATIO_MAX, sizes.judges_ratios, 0),
            Row(f"{name}: packets refused, connects over 900 ms", f"{sum(overflows)}, {late}")]


def held_by_many_workers(ours, yardstick, load, sizes, arguments, count):
    """The same connections held by each contestant with the same number of workers."""
    found = {}
    for contestant in (yardstick, ours):
        with contestant.running(sizes.fair_workers, max_connections=2 * count + 1000):
            contestant.expect_workers(sizes.fair_workers)
            found[contestant] = watch_held(contestant, load, arguments, count)
    return found


def wakeups_row(found, ours, yardstick, is_judged):
    """A row on the wake-ups that all workers together spend on a connection."""
    return Row("… wake-ups of all workers per connection",
               *both(found, ours, yardstick, lambda one: f"{one['switches_each']:.2f}"), "",
               f"at most {FAIR_WAKEUPS_MAX}" if is_judged else "",
               found[ours]["switches_each"] <= FAIR_WAKEUPS_MAX if is_judged else None)


def cpu_row(found, ours, yardstick):
    """A row on the CPU time of a connection that is only accepted."""
    return Row("… server CPU per connection",
               *both(found, ours, yardstick, lambda one: f"{one['cpu_us_each']:.1f} us"))


def empty_accepts(contestant, load, sizes, arguments, count):
    """Accept calls per connection that found nothing, seen by strace; None without strace."""
    if not shutil.which("strace"):
        return None
    with contestant.running(sizes.fair_workers, max_connections=2 * count + 1000):
        contestant.expect_workers(sizes.fair_workers)
        with readings.Accepts(contestant.worker_pids(), contestant.temp_dir) as accepts:
            load(contestant, arguments, lambda: None)
    return accepts.empty / count


def trickle(ours, yardstick, load, sizes):
    """Connects one by one: each should wake one worker, in turn."""
    count = sizes.trickle
    arguments = ["trickle", count, sizes.trickle_ms]
    found = held_by_many_workers(ours, yardstick, load, sizes, arguments, count)
    empty = {one: empty_accepts(one, load, sizes, arguments, count) for one in (ours, yardstick)}
    mean = count / sizes.fair_workers
    distance = max(abs(own - mean) for own in found[ours]["counts"])
    is_judged = sizes.judges_ratios
    name = f"{sizes.fair_workers} workers, {count} connects {sizes.trickle_ms} ms apart"
    rows = [
        failures_row(f"{name}: failed", [found[ours]["result"]]),
        Row("… most and least connections of a worker",
            *both(found, ours, yardstick,
                  lambda one: f"{max(one['counts'])} and {min(one['counts'])}"), "",
            f"{mean:.0f} ± {FAIR_TRICKLE_DISTANCE_MAX}",
            distance <= FAIR_TRICKLE_DISTANCE_MAX if is_judged else None),
        wakeups_row(found, ours, yardstick, is_judged),
        cpu_row(found, ours, yardstick)]
    if empty[ours] is not None:
        rows.append(Row("… empty accepts per connection (strace)",
                        *(f"{empty[one]:.2f}" for one in (ours, yardstick)), "",
                        f"at most {FAIR_EMPTY_ACCEPTS_MAX}",
                        empty[ours] <= FAIR_EMPTY_ACCEPTS_MAX if is_judged else None))
    return rows


def share(ours, yardstick, load, sizes):
    """Connects all at once: each worker should take as many as the others."""
    count = sizes.fair_burst
    arguments = ["hold", count, "-p", 2, "--connecting", count]
    found = held_by_many_workers(ours, yardstick, load, sizes, arguments, count)
    return [failures_row(f"{sizes.fair_workers} workers, {count} connects at once: failed",
                         [found[ours]["result"]]),
            most_to_least_row(found, ours, yardstick, sizes.judges_ratios),
            overflows_row(found, ours, yardstick),
            wakeups_row(found, ours, yardstick, False), cpu_row(found, ours, yardstick)]


EXPERIMENTS = {
    "hold": hold,
    "pingpong": pingpong,
    "short": short,
    "burst": burst,
    "trickle": trickle,
    "share": share,
}
