"""What all measurements share: running the load, CPU time, taking turns, rows of the report."""

import dataclasses
import itertools
import json
import statistics
import subprocess
import time

import readings
from contestants import BenchError

ACCEPTED_S = 20
PEER_EVERY = 3  # in a comparison of many rounds, other programs take part in each third


@dataclasses.dataclass
class Row:
    """One line of the report."""

    what: str
    ours: str
    yardstick: str = ""
    ratio: str = ""
    target: str = ""
    is_met: bool | None = None  # None: shown, not judged
    others: dict = dataclasses.field(default_factory=dict)  # by the name of the column


class Load:
    """Runs the load client; each run has source addresses of its own.

    Ports that an earlier run left in TIME_WAIT would make connect() search, and slow.
    """

    def __init__(self, program):
        self.program = program
        self.runs = itertools.count(1)

    def __call__(self, contestant, arguments, while_held=None, timeout_s=60):
        command = [self.program, "--target", contestant.target, "--timeout", str(timeout_s),
                   "--source", f"127.{next(self.runs) % 250 + 1}.0.1", *map(str, arguments)]
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
    """CPU time of the server per operation; with `held` sockets standing, without their accepts."""
    pids = contestant.pids()
    begin = {"cpu_us": readings.cpu_us(pids)}
    workers = contestant.worker_pids()
    sockets = {pid: readings.socket_count(pid) for pid in workers}

    def note():
        await_accepted(workers, sockets, held)
        begin["cpu_us"] = readings.cpu_us(pids)

    result = load(contestant, arguments, note if held else None)
    if contestant.pids() != pids:
        raise BenchError(f"{contestant.name} changed its processes:\n{contestant.log_tail()}")
    return (readings.cpu_us(pids) - begin["cpu_us"]) / operations, result


def in_turns(contestants, rounds, measure):
    """Measures all in turns and changes who is first, so that a slow spell hits all alike.

    The values by contestant, each by the number of its round.
    """
    values = {contestant: {} for contestant in contestants}
    for turn in range(rounds):
        present = [one for one in contestants if not one.is_peer or turn % PEER_EVERY == 0]
        first = turn % len(present)
        for contestant in present[first:] + present[:first]:
            values[contestant][turn] = measure(contestant)
    return values


def ratios_of(ours, yardstick):
    """The ratios of the rounds in which both took part."""
    return [ours[turn] / yardstick[turn] for turn in ours if turn in yardstick]


def ratio_text(ratios):
    """The median with the least and the greatest."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def median_text(values, unit, digits=2):
    """The median of the values of a contestant."""
    return f"{statistics.median(values.values()):.{digits}f} {unit}"


def ratio_row(what, ours, yardstick, unit, ratio_max, judged, digits=2):
    """A row from values that were taken in turns: the median of the ratios of the rounds."""
    ratios = ratios_of(ours, yardstick)
    return Row(what, median_text(ours, unit, digits), median_text(yardstick, unit, digits),
               ratio_text(ratios), f"ratio at most {ratio_max}" if judged else "",
               statistics.median(ratios) <= ratio_max if judged else None)


def failures_text(results):
    """How many sessions were lost, and why."""
    failed = sum(result["failed"] for result in results)
    reasons = {}
    for result in results:
        for reason, count in result["failed_reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    total = sum(result["sessions"] for result in results)
    shown = "".join(f", {count} {reason}" for reason, count in sorted(reasons.items()))
    return f"{failed} of {total}{shown}"


def failures_row(what, results):
    """A row on lost sessions of our server: none may fail."""
    return Row(what, failures_text(results), target="none",
               is_met=not any(result["failed"] for result in results))


def await_accepted(workers, sockets, count):
    """Waits until the server has what the client has: a queued connection is none of its own yet."""
    deadline = time.monotonic() + ACCEPTED_S
    while time.monotonic() < deadline:
        if sum(readings.socket_count(pid) - sockets[pid] for pid in workers) >= count:
            return
        time.sleep(0.02)
    raise BenchError(f"the server does not have the {count} sockets that the client makes it hold")
