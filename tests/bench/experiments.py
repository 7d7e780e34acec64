"""The measurements. Each returns rows for the report; a row that misses its target says so."""

import dataclasses
import itertools
import json
import statistics
import subprocess

import readings
from contestants import BenchError


@dataclasses.dataclass
class Row:
    """One line of the report."""

    what: str
    ours: str
    yardstick: str = ""
    ratio: str = ""
    target: str = ""
    is_met: bool | None = None  # None: shown, not judged


@dataclasses.dataclass
class Sizes:
    """How much of everything; --quick has a small set."""

    rounds: int
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


FULL = Sizes(rounds=5, hold=100000, pingpong_sessions=64, pingpong_rounds=3000, short=20000,
             burst=20000, fair_workers=16, trickle=400, trickle_ms=5, fair_burst=4000,
             judges_ratios=True)
# Too short for ratios to mean anything: it shows that nothing is lost.
QUICK = Sizes(rounds=1, hold=2000, pingpong_sessions=16, pingpong_rounds=200, short=1000,
              burst=1000, fair_workers=4, trickle=40, trickle_ms=5, fair_burst=400,
              judges_ratios=False)

HOLD_PSS_BYTES_MAX = 300
PINGPONG_RATIO_MAX = 1.15
SHORT_RATIO_MAX = 1.25
BURST_RATIO_MAX = 1.25
FAIR_WAKEUPS_MAX = 2.0
FAIR_SHARE_MAX = 1.5


class Load:
    """Runs the load client; each run has source addresses of its own.

    Ports that an earlier run left in TIME_WAIT would make connect() search, and slow.
    """

    def __init__(self, program):
        self.program = program
        self.runs = itertools.count(1)

    def __call__(self, contestant, arguments, while_held=None):
        command = [self.program, "--target", contestant.target, "--timeout", "60", "--source",
                   f"127.{next(self.runs) % 250 + 1}.0.1", *map(str, arguments)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as client:
            if while_held:
                line = client.stdout.readline()
                if not line.startswith("holding"):
                    raise BenchError(f"load said {line!r}")
                while_held()
            output, _ = client.communicate("\n")
        if not output:
            raise BenchError(f"load failed: {' '.join(command)}")
        result = json.loads(output.splitlines()[-1])
        if contestant.is_reference and result["failed"]:
            raise BenchError(f"the run is void, {contestant.name} lost sessions: {output}")
        return result


def cpu_per_operation_us(contestant, load, arguments, operations, held):
    """CPU time of the server per operation; with held, without the connects."""
    pids = contestant.pids()
    begin = {"cpu_us": readings.cpu_us(pids)}

    def note():
        begin["cpu_us"] = readings.cpu_us(pids)

    result = load(contestant, arguments, note if held else None)
    if contestant.pids() != pids:
        raise BenchError(f"{contestant.name} changed its processes:\n{contestant.log_tail()}")
    return (readings.cpu_us(pids) - begin["cpu_us"]) / operations, result


def alternate(ours, yardstick, rounds, measure):
    """Measures both in turns and changes who is first, so that a slow spell hits both alike."""
    values = {ours: [], yardstick: []}
    for turn in range(rounds):
        order = [yardstick, ours] if turn % 2 == 0 else [ours, yardstick]
        for contestant in order:
            values[contestant].append(measure(contestant))
    return values[ours], values[yardstick]


def ratio_row(what, ours, yardstick, unit, ratio_max, judged, digits=2):
    """A row from values that were taken in turns: the median of the ratios of the pairs."""
    ratios = [one / other for one, other in zip(ours, yardstick)]
    median = statistics.median(ratios)
    return Row(what, f"{statistics.median(ours):.{digits}f} {unit}",
               f"{statistics.median(yardstick):.{digits}f} {unit}",
               f"{median:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
               f"ratio at most {ratio_max}", median <= ratio_max if judged else None)


def failures_row(what, results):
    """A row on lost sessions of our server: none may fail."""
    failed = sum(result["failed"] for result in results)
    reasons = {}
    for result in results:
        for reason, count in result["failed_reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    total = sum(result["sessions"] for result in results)
    shown = "".join(f", {count} {reason}" for reason, count in sorted(reasons.items()))
    return Row(what, f"{failed} of {total}{shown}", target="none", is_met=failed == 0)


def hold(ours, yardstick, load, sizes):
    """Many connections that are held: none fails, and they cost little memory."""
    count = sizes.hold
    found = {}
    for contestant in (yardstick, ours):
        with contestant.running("auto", max_connections=count + count // 10):
            pids = contestant.pids()
            idle_bytes = readings.pss_bytes(pids)
            held = {}

            def note(pids=pids, held=held):
                held["bytes"] = readings.pss_bytes(pids)

            result = load(contestant, ["hold", count, "-p", max(2, count // 12500)], note)
            found[contestant] = (idle_bytes, held["bytes"], result, len(pids))
    rows = [failures_row(f"{count} held connections: failed", [found[ours][2]])]

    def grown(contestant):
        idle_bytes, held_bytes, _, _ = found[contestant]
        return (held_bytes - idle_bytes) / count

    def shown(contestant):
        return f"{round(grown(contestant))} bytes"

    rows.append(Row("… user memory (Pss) that a connection adds", shown(ours), shown(yardstick), "",
                    f"at most {HOLD_PSS_BYTES_MAX} bytes",
                    grown(ours) <= HOLD_PSS_BYTES_MAX if sizes.judges_ratios else None))
    rows.append(Row("… user memory (Pss) in all",
                    *(f"{found[one][1] / 1e6:.1f} MB in {found[one][3]} processes "
                      f"(idle {found[one][0] / 1e6:.1f} MB)" for one in (ours, yardstick))))
    rows.append(Row("… time until all are established",
                    *(f"{found[one][2]['established_us'] / 1e6:.2f} s" for one in
                      (ours, yardstick))))
    return rows


def pingpong(ours, yardstick, load, sizes):
    """CPU time of a round trip of 64 bytes on connections that stand."""
    rows = []
    operations = sizes.pingpong_sessions * sizes.pingpong_rounds
    arguments = ["pingpong", "--wait", "-p", 2, "-c", sizes.pingpong_sessions, "-r",
                 sizes.pingpong_rounds, "-s", 64]
    for workers in (2, 1):
        results = []

        def measure(contestant, workers=workers, results=results):
            with contestant.running(workers):
                contestant.expect_workers(workers)
                cpu, result = cpu_per_operation_us(contestant, load, arguments, operations, True)
                if contestant is ours:
                    results.append(result)
                return cpu

        values = alternate(ours, yardstick, sizes.rounds, measure)
        name = f"ping-pong of 64 bytes, {workers} worker{'s' if workers > 1 else ''}"
        rows.append(ratio_row(f"{name}: server CPU per round trip", *values, "us",
                              PINGPONG_RATIO_MAX, sizes.judges_ratios))
        rows.append(failures_row(f"{name}: failed", results))
    return rows


def short(ours, yardstick, load, sizes):
    """CPU time of a connection that is opened, used once and closed."""
    results = []
    arguments = ["short", sizes.short, "-p", 2, "-c", 64, "-s", 64]

    def measure(contestant):
        with contestant.running(2):
            contestant.expect_workers(2)
            cpu, result = cpu_per_operation_us(contestant, load, arguments, sizes.short, False)
            if contestant is ours:
                results.append(result)
            return cpu

    values = alternate(ours, yardstick, sizes.rounds, measure)
    name = "connect, echo, close"
    return [ratio_row(f"{name}: server CPU per connection", *values, "us", SHORT_RATIO_MAX,
                      sizes.judges_ratios), failures_row(f"{name}: failed", results)]


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

    values = alternate(ours, yardstick, sizes.rounds, measure)
    name = f"{sizes.burst} connects at once"
    late = sum(result["connects_over_900ms"] for result in results)
    return [failures_row(f"{name}: lost", results),
            ratio_row(f"{name}: time until all are served", *values, "ms", BURST_RATIO_MAX,
                      sizes.judges_ratios, 0),
            Row(f"{name}: packets refused, connects over 900 ms", f"{sum(overflows)}, {late}")]


def fairness(ours, yardstick, load, sizes):
    """How evenly the workers share the connections, and how often they are woken for them."""
    rows = []
    workers = sizes.fair_workers
    cases = [(f"{sizes.trickle} connects {sizes.trickle_ms} ms apart",
              ["trickle", sizes.trickle, sizes.trickle_ms], sizes.trickle),
             (f"{sizes.fair_burst} connects at once, held",
              ["hold", sizes.fair_burst, "-p", 2, "--connecting", sizes.fair_burst],
              sizes.fair_burst)]
    for name, arguments, count in cases:
        found = {one: spread(one, workers, load, arguments, count) for one in (ours, yardstick)}
        most = max(found[ours]["counts"]) / (count / workers)
        wakeups = found[ours]["wakeups"]
        judged = sizes.judges_ratios
        rows.append(failures_row(f"{workers} workers, {name}: failed", [found[ours]["result"]]))
        rows.append(Row("… most and least connections of a worker",
                        *(f"{max(found[one]['counts'])} and {min(found[one]['counts'])}"
                          for one in (ours, yardstick)),
                        f"{most:.2f} x mean", f"at most {FAIR_SHARE_MAX} x mean",
                        most <= FAIR_SHARE_MAX if judged else None))
        rows.append(Row("… wake-ups of all workers per connection",
                        *(f"{found[one]['wakeups']:.2f}" for one in (ours, yardstick)), "",
                        f"at most {FAIR_WAKEUPS_MAX}",
                        wakeups <= FAIR_WAKEUPS_MAX if judged else None))
        rows.append(Row("… server CPU per connection",
                        *(f"{found[one]['cpu_us']:.1f} us" for one in (ours, yardstick))))
    return rows


def spread(contestant, workers, load, arguments, count):
    """Counts per worker, wake-ups and CPU per connection, read while the connections are held."""
    with contestant.running(workers, max_connections=2 * count + 1000):
        contestant.expect_workers(workers)
        pids = contestant.worker_pids()
        everyone = contestant.pids()
        sockets = {pid: readings.socket_count(pid) for pid in pids}
        switches = sum(map(readings.voluntary_switches, pids))
        cpu_us = readings.cpu_us(everyone)
        held = {}

        def note():
            held["cpu_us"] = (readings.cpu_us(everyone) - cpu_us) / count
            held["wakeups"] = (sum(map(readings.voluntary_switches, pids)) - switches) / count
            held["counts"] = [readings.socket_count(pid) - sockets[pid] for pid in pids]

        held["result"] = load(contestant, arguments, note)
    return held


EXPERIMENTS = {
    "hold": hold,
    "pingpong": pingpong,
    "short": short,
    "burst": burst,
    "fairness": fairness,
}
