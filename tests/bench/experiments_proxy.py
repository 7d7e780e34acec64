"""The measurements of the proxy beside its floor and its peers: what an operation costs."""

import dataclasses
import shutil
import statistics

import readings
from measuring import (Row, await_accepted, cpu_per_operation_us, failures_text, in_turns,
                       median_text, ratio_text, ratios_of)
from placing import ONE_CORE, OWN_CORE, PLACES

PINGPONG_PACE_MS = 2  # of opening: slow enough for several workers to take turns
PINGPONG_RATIO_MAX = 1.08
SESSION_RATIO_MAX = 1.15
BULK_RATIO_MAX = 1.15
BULK_PEER_RATIO_MAX = 0.5
BLOCK_BYTES = 65536
SESSIONS_MAX = 2000
CALLS_PER_ROUND_TRIP_MAX = 4.05  # recv and send of a message there and back, and some to begin
CALLS_PER_SESSION_MAX = 18.5  # tests/system/test_proxy_calls.py lists them; not all are measured
CALLS_PER_BLOCK_MAX = 4.05  # into a pipe and out of it, there and back
IDLE_PSS_BYTES_MAX = 1024


@dataclasses.dataclass
class ProxySizes:
    """How much of everything; --quick has a small set."""

    cpu_rounds: int
    pingpong_sessions: int
    pingpong_rounds: int
    sessions: int
    bulk_sessions: int
    bulk_rounds: int
    calls: int
    idle: int
    places: tuple
    judges_ratios: bool


FULL = ProxySizes(cpu_rounds=9, pingpong_sessions=64, pingpong_rounds=800, sessions=10000,
                  bulk_sessions=16, bulk_rounds=1500, calls=1000, idle=8000,
                  places=tuple(PLACES.values()), judges_ratios=True)
QUICK = ProxySizes(cpu_rounds=1, pingpong_sessions=16, pingpong_rounds=100, sessions=500,
                   bulk_sessions=4, bulk_rounds=50, calls=50, idle=500, places=(ONE_CORE,),
                   judges_ratios=False)


@dataclasses.dataclass
class Field:
    """Who takes part, and what all experiments need."""

    load: object
    back: object
    sizes: ProxySizes
    contestants: list  # ours, the floors, the peers; those that were chosen and are installed
    self_by_floor: dict  # with --self: the second one of each floor, which stands in for ours

    def taking_part(self, floor_name):
        """Ours, the floors and the peers of a comparison with this floor."""
        if self.self_by_floor:
            floor = self.named(floor_name)
            return [self.self_by_floor[floor_name], floor] if floor else []
        splices = floor_name == "floor-splice"
        return [one for one in self.contestants if splices or one.name != "floor-splice"]

    def named(self, name):
        """A contestant, or None."""
        return next((one for one in self.contestants if one.name == name), None)


def row(field, what, cells, ratio="", target="", is_met=None):
    """A row from cells by contestant."""
    shown = {contestant.name: text for contestant, text in cells.items()}
    if field.self_by_floor:
        ours = next((text for one, text in cells.items() if one in field.self_by_floor.values()), "")
    else:
        ours = shown.pop("acceptd", "")
    return Row(what, ours, shown.pop("floor", ""), ratio, target, is_met, shown)


def ours_of(field):
    """The proxy of this project, when it takes part."""
    return None if field.self_by_floor else field.named("acceptd")


@dataclasses.dataclass
class CpuCase:
    """What cpu_rows measures."""

    name: str
    operation: str
    arguments: list
    operations: int
    held_sessions: int  # sessions that stand before the measurement begins
    floor_name: str
    floor_ratio_max: float
    peer_ratio_max: float | None  # None: shown, not judged
    places: tuple  # where it is measured, unless only others are asked for

    def places_of(self, sizes):
        """Where it is measured."""
        return [place for place in sizes.places if place in self.places] or sizes.places


def cpu_rows(field, case):
    """CPU time of the proxy per operation, against the floor and against the better peer."""
    results = {one: [] for one in field.taking_part(case.floor_name)}
    rows = []
    for place in case.places_of(field.sizes):

        def measure(contestant, place=place):
            with contestant.running(1, SESSIONS_MAX), place.taken_by(
                    contestant.worker_pids(), field.back.pids()):
                contestant.expect_workers(1)
                cpu, result = cpu_per_operation_us(contestant, field.load, case.arguments,
                                                   case.operations, 2 * case.held_sessions)
                results[contestant].append(result)
                return cpu

        values = in_turns(list(results), field.sizes.cpu_rounds, measure)
        rows += compare(field, case, place, values)
    failed = {one: failures_text(found) for one, found in results.items()}
    ours = [one for one in results if not one.is_reference and not one.is_peer]
    return rows + [row(field, f"{case.name}: failed", failed, target="none" if ours else "",
                       is_met=not any(result["failed"] for one in ours for result in results[one])
                       if ours else None)]


def compare(field, case, place, values):
    """The rows of one place: all values with the ratio to the floor, and the ratio to a peer."""
    what = f"{case.name}, {place.words}: CPU per {case.operation}"
    cells = {one: median_text(found, "us") for one, found in values.items()}
    ours = next((one for one in values if not one.is_reference and not one.is_peer), None)
    if field.self_by_floor:
        ours = field.self_by_floor[case.floor_name]
    floor = field.named(case.floor_name)
    peers = [one for one in values if one.is_peer]
    is_judged = field.sizes.judges_ratios and place in case.places
    rows = [ratio_row(field, what, cells, values, ours, floor,
                      case.floor_ratio_max if is_judged else None)]
    earlier = field.named("earlier")
    if ours and earlier:
        rows.append(ratio_row(field, "… against the earlier build", {}, values, ours, earlier, None))
    if ours and peers:
        better = min(peers, key=lambda one: statistics.median(values[one].values()))
        rows.append(ratio_row(field, f"… against {better.name}, the better peer", {}, values,
                              ours, better, case.peer_ratio_max if is_judged else None))
    return rows


def ratio_row(field, what, cells, values, ours, other, ratio_max):
    """A row with the ratio of ours to another one, where both were measured."""
    if ours not in values or other not in values:
        return row(field, what, cells)
    ratios = ratios_of(values[ours], values[other])
    if ratio_max is None:
        return row(field, what, cells, ratio_text(ratios))
    return row(field, what, cells, ratio_text(ratios), f"at most {ratio_max} x {other.name}",
               statistics.median(ratios) <= ratio_max)


def pingpong(field):
    """CPU time of a round trip of 64 bytes on sessions that stand."""
    sessions, rounds = field.sizes.pingpong_sessions, field.sizes.pingpong_rounds
    return cpu_rows(field, CpuCase(
        "proxied ping-pong of 64 bytes", "round trip",
        ["pingpong", "--wait", "--pace", PINGPONG_PACE_MS, "-c", sessions, "-r", rounds, "-s", 64],
        sessions * rounds, sessions, "floor", PINGPONG_RATIO_MAX, 1, (OWN_CORE, ONE_CORE)))


def session(field):
    """CPU time of a session that is opened, used once and closed."""
    count = field.sizes.sessions
    return cpu_rows(field, CpuCase(
        "proxied connect, echo, close", "session", ["short", count, "-c", 64, "-s", 64], count, 0,
        "floor", SESSION_RATIO_MAX, None, (OWN_CORE, ONE_CORE)))


def bulk(field):
    """CPU time of 64 KiB there and back.

    On a core of its own a proxy that splices is done with a block long before client and back end,
    which copy it four times, have the next one ready: it sleeps and wakes for each, which costs
    more than the block and is not what is compared here.
    """
    sessions, rounds = field.sizes.bulk_sessions, field.sizes.bulk_rounds
    return cpu_rows(field, CpuCase(
        "proxied blocks of 64 KiB", "block there and back",
        ["pingpong", "--wait", "-c", sessions, "-r", rounds, "-s", BLOCK_BYTES],
        sessions * rounds, sessions, "floor-splice", BULK_RATIO_MAX, BULK_PEER_RATIO_MAX,
        (ONE_CORE,)))


def counted_calls(field, contestant, arguments, held_sessions):
    """System calls of the proxy's workers by name while a load runs.

    With nobody in between it is short: what the timers of a proxy call is in it too.
    """
    with contestant.running(1, SESSIONS_MAX), ONE_CORE.taken_by(
            contestant.worker_pids(), field.back.pids()):
        contestant.expect_workers(1)
        workers = contestant.worker_pids()
        sockets = {pid: readings.socket_count(pid) for pid in workers}
        calls = readings.SystemCalls(workers, contestant.temp_dir)

        def note():
            await_accepted(workers, sockets, 2 * held_sessions)
            calls.start()

        if held_sessions:
            field.load(contestant, arguments, note)
        else:
            calls.start()
            field.load(contestant, arguments)
        return calls.stop()


def calls(field):
    """System calls per operation: exact, and the same on a busy machine."""
    if not shutil.which("strace"):
        return [Row("system calls: not counted, strace is not installed", "")]
    count = field.sizes.calls
    sessions = 8
    counted = {}
    for one in field.taking_part("floor"):
        counted[one] = (
            counted_calls(field, one, ["pingpong", "--wait", "-c", sessions, "-r", count,
                                       "-s", 64], sessions),
            counted_calls(field, one, ["short", count, "-c", 16, "-s", 64], 0))
    blocks = {one: counted_calls(field, one, ["pingpong", "--wait", "-c", sessions, "-r", count,
                                              "-s", BLOCK_BYTES], sessions)
              for one in field.taking_part("floor-splice")}
    trips = sessions * count
    return [
        calls_row(field, "round trip", {one: found[0] for one, found in counted.items()}, trips,
                  CALLS_PER_ROUND_TRIP_MAX),
        row(field, "… epoll_wait, shared by what is ready together",
            {one: f"{found[0]['epoll_wait'] / trips:.2f}" for one, found in counted.items()}),
        calls_row(field, "connect, echo, close", {one: found[1] for one, found in counted.items()},
                  count, CALLS_PER_SESSION_MAX),
        calls_row(field, "block of 64 KiB there and back", blocks, trips, CALLS_PER_BLOCK_MAX)]


def calls_row(field, operation, counted, operations, calls_max):
    """Calls per operation but for epoll_wait, whose number depends on the pace."""
    own = {one: (sum(found.values()) - found["epoll_wait"]) / operations
           for one, found in counted.items()}
    ours = ours_of(field)
    is_judged = ours is not None and field.sizes.judges_ratios
    return row(field, f"system calls per proxied {operation}, beside epoll_wait",
               {one: f"{number:.2f}" for one, number in own.items()}, "",
               f"at most {calls_max}" if is_judged else "",
               own[ours] <= calls_max if is_judged else None)


def idle(field):
    """User memory of sessions that stand and do nothing."""
    count = field.sizes.idle
    grown = {}
    results = {}
    for one in field.taking_part("floor"):
        with one.running(1, max_connections=count + count // 10):
            one.expect_workers(1)
            everyone, workers = one.pids(), one.worker_pids()
            sockets = {pid: readings.socket_count(pid) for pid in workers}
            before = readings.pss_bytes(everyone)

            def note(one=one, everyone=everyone, workers=workers, sockets=sockets, before=before):
                await_accepted(workers, sockets, 2 * count)
                grown[one] = (readings.pss_bytes(everyone) - before) / count

            results[one] = field.load(one, ["hold", count, "-p", 2], note)
    ours = ours_of(field)
    is_judged = ours is not None and field.sizes.judges_ratios
    return [
        row(field, f"{count} idle proxied sessions: failed",
            {one: failures_text([found]) for one, found in results.items()}, "", "none",
            None if ours is None else results[ours]["failed"] == 0),
        row(field, "… user memory (Pss) of a session",
            {one: f"{value:.0f} bytes" for one, value in grown.items()}, "",
            f"at most {IDLE_PSS_BYTES_MAX} bytes" if is_judged else "",
            grown[ours] <= IDLE_PSS_BYTES_MAX if is_judged else None)]


EXPERIMENTS = {
    "proxy-pingpong": pingpong,
    "proxy-session": session,
    "proxy-bulk": bulk,
    "proxy-calls": calls,
    "proxy-idle": idle,
}
