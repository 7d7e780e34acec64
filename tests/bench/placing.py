"""On which cores a measurement runs, and how nothing else gets in between."""

import contextlib
import os

PRIORITY = 10


class Place:
    """Puts a server, its back end if any, and the client where a comparison wants them, for a `with`.

    Left alone, the scheduler mixes them anew in each round. Then the yardstick differs from itself
    by a quarter, and not by some percent.

    They have real-time priority, so that a process of somebody else does not cut their batches:
    how much is done per wake-up decides what an operation costs. The kernel leaves others a
    twentieth of the time. Where real-time priority is not allowed it goes without.
    """

    def __init__(self, name, words, choose):
        self.name = name
        self.words = words
        self.choose = choose  # usable cores -> those of the server, those of client and back end

    @contextlib.contextmanager
    def taken_by(self, server_pids, beside_pids):
        """The calling process moves too, and with it the client that it starts."""
        usable = os.sched_getaffinity(0)
        server_cores, other_cores = self.choose(sorted(usable))
        try:
            for pid in server_pids:
                move(pid, server_cores, os.SCHED_FIFO)
            for pid in [*beside_pids, 0]:
                move(pid, other_cores, os.SCHED_FIFO)
            yield
        finally:
            for pid in [*beside_pids, 0]:
                move(pid, usable, os.SCHED_OTHER)


def move(pid, cores, policy):
    """To these cores, with this policy."""
    os.sched_setaffinity(pid, cores)
    set_policy(pid, policy)


def set_policy(pid, policy):
    """With or without real-time priority, if that is allowed."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(
            pid, policy, os.sched_param(PRIORITY if policy == os.SCHED_FIFO else 0))


def apart(usable):
    """The server has the first core, client and back end have the others."""
    return ({usable[0]}, set(usable[1:])) if len(usable) > 1 else (set(usable), set(usable))


def together(usable):
    """Client, server and back end take turns on the last core."""
    return {usable[-1]}, {usable[-1]}


OWN_CORE = Place("own-core", "on a core of its own", apart)
ONE_CORE = Place("one-core", "in turns on one core", together)
PLACES = {place.name: place for place in (OWN_CORE, ONE_CORE)}
