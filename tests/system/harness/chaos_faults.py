"""A schedule of trouble: what is done to a running front door, and undone, in an order and at times
that a seed says."""
import os
import random
import signal
import subprocess
import time

from . import admin, client, processes
from .waiting import wait_for

KILLS_MAX = 4  # of workers in one slot: beyond, the master makes its successors wait
PLACES = (3, 4, 6, 8)
MOST_PLACES = max(PLACES)


class Faults:
    """`server` runs and has the upstream "be", whose servers are `backs`. `doomed` are the pids of
    processes that were ended here; `orders` says what was done, and when."""

    def __init__(self, server, backs, seed):
        self.server, self.backs, self.rng = server, backs, random.Random(f"faults {seed}")
        self.doomed, self.orders, self.rotations = set(), [], 0
        self._kills, self._undo, self._began = {}, [], time.monotonic()

    # -- the schedule -----------------------------------------------------------------------------

    def run(self, duration):
        acts, weights = zip(*self.ACTS)
        while time.monotonic() - self._began < duration:
            self._undo_what_is_due()
            act = self.rng.choices(acts, weights)[0]
            self._note(act.__name__)
            act(self)
            time.sleep(self.rng.random() * 0.3)
        self._undo_what_is_due(time.monotonic() + 3600)

    def _note(self, what):
        self.orders.append(f"{time.monotonic() - self._began:6.3f} {what}")

    def _later(self, undo, most=1.0):
        self._undo.append((time.monotonic() + self.rng.random() * most, undo))

    def _undo_what_is_due(self, now=None):
        now = now or time.monotonic()
        due = sorted((pair for pair in self._undo if pair[0] <= now), key=lambda pair: pair[0])
        self._undo = [pair for pair in self._undo if pair[0] > now]
        for _, undo in due:
            undo()

    # -- processes --------------------------------------------------------------------------------

    def _victim(self):
        """@return pid of a worker that may be ended, and is not yet; None"""
        living = [(slot, pid) for slot, pid in sorted(self.server.workers().items())
                  if pid not in self.doomed and self._kills.get(slot, 0) < KILLS_MAX]
        if not living:
            return None
        slot, pid = self.rng.choice(living)
        self._kills[slot] = self._kills.get(slot, 0) + 1
        self.doomed.add(pid)
        return pid

    def kill_worker(self):
        pid = self._victim()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def stop_worker(self):
        """Until the watchdog ends it; one at a time."""
        if not any(processes.state(pid) == "T" for pid in self.server.workers().values()):
            pid = self._victim()
            if pid is not None:
                os.kill(pid, signal.SIGSTOP)

    def fault_in_worker(self):
        """The worker that serves this client ends, or does nothing for a while."""
        order = self.rng.choice((b"abort", b"exit 3", b"block 300", b"block 300"))
        try:
            sock = client.connect(client.FAULT)
            pid = self.server.worker_of(sock)
        except (OSError, AssertionError):  # its worker died meanwhile
            return
        if not order.startswith(b"block"):
            self.doomed.add(pid)
        sock.sendall(order + b"\n")
        try:
            sock.recv(10)
        except OSError:
            pass
        sock.close()

    def kill_monitor(self):
        for pid in processes.children(self.server.master):
            if processes.title(pid) == "acceptd: monitor" and pid not in self.doomed:
                self.doomed.add(pid)
                os.kill(pid, signal.SIGKILL)

    def pause_master(self):
        """It may blame nobody for that afterwards."""
        self.server.send(signal.SIGSTOP)
        time.sleep(self.rng.random() * 1.5)
        self.server.send(signal.SIGCONT)

    def few_descriptors(self):
        """A worker may open no more than it has, for a while."""
        pid = self.rng.choice(sorted(self.server.workers().values()) or [None])
        if pid is not None:
            self._limit_descriptors(pid, len(processes.descriptors(pid)) + self.rng.randrange(10))
            self._later(lambda: self._limit_descriptors(pid, 1024))

    @staticmethod
    def _limit_descriptors(pid, number):
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        subprocess.run([*(user if os.geteuid() == 0 else []), "prlimit", f"--pid={pid}",
                        f"--nofile={number}:"], check=False, stderr=subprocess.DEVNULL)

    # -- orders -----------------------------------------------------------------------------------

    def reload(self):
        """Under another configuration, in which every limit and the servers may be others."""
        rng, upstream = self.rng, self.server.options["upstreams"][0]
        upstream["balance"] = rng.choice(("round_robin", "least_connections", "client_hash",
                                          "random_two"))
        upstream["queue_timeout"] = rng.choice(("1s", "5s"))
        upstream["settle_time"] = rng.choice(("100ms", "1s"))
        upstream["on_down"] = rng.choice(("wait", "wait", "refuse"))
        upstream["queue_max"] = rng.choice(("none", 3))
        upstream["slow_start"] = rng.choice(("none", "1s"))
        upstream["servers"] = self._servers()
        for row in self.server.listeners[:2]:
            row["max_pending"] = rng.choice(("64K", "4K"))
        self.server.options["workers"] = rng.choice((2, 3, 3))
        self.server.reload()

    def _servers(self):
        rows = []
        for back in self.rng.sample(self.backs, self.rng.choice((1, 2, len(self.backs)))):
            row = {"name": back.name, "address": back.address(),
                   "max_connections": self.rng.choice(PLACES), "weight": self.rng.choice((1, 5)),
                   "backup": bool(rows) and self.rng.random() < 0.3}
            if self.rng.random() < 0.7:
                row["backlog"] = back.backlog
            rows.append(row)
        return rows

    def order_server(self):
        back = self.rng.choice(self.backs)
        order, undo = self.rng.choice((
            (("drain",), ("ready",)), (("weight", "0"), ("weight", "2")),
            (("max", "1"), ("max", str(self.rng.choice(PLACES)))), (("drain",), ("ready",))))
        admin.acceptctl(self.server, "server", back.name, *order)
        self._later(lambda: insist(self.server, "server", back.name, *undo))

    def drain_listener(self):
        if admin.acceptctl(self.server, "drain", "front").returncode == admin.GOOD:
            self._later(lambda: insist(self.server, "resume", "front"), 0.3)

    def kill_connection(self):
        result = admin.acceptctl(self.server, "connections")
        rows = result.stdout.splitlines()[1:] if result.returncode == admin.GOOD else []
        if rows:
            admin.acceptctl(self.server, "kill", self.rng.choice(rows).split()[0])

    def rotate(self):
        """As logrotate does, or a hand that forgets the signal."""
        self.rotations += 1
        path = self.server.path("sessions")
        if not os.path.exists(path):
            return
        os.rename(path, f"{path}.{self.rotations}")
        if self.rng.random() < 0.7:
            self.server.send(signal.SIGUSR1)

    # -- back ends --------------------------------------------------------------------------------

    def _living_back(self):
        living = [back for back in self.backs if back.is_alive()]
        return self.rng.choice(living) if living else None

    def kill_back_end(self):
        back = self._living_back()
        if back is not None:
            back.kill()
            self._later(back.start, 0.7)

    def pause_back_end(self):
        back = self._living_back()
        if back is not None:
            back.pause()
            self._later(lambda: back.is_alive() and back.go_on(), 0.7)

    ACTS = ((kill_worker, 3), (stop_worker, 1), (fault_in_worker, 2), (kill_monitor, 1),
            (pause_master, 1), (few_descriptors, 2), (reload, 5), (order_server, 4), (drain_listener, 1),
            (kill_connection, 3), (rotate, 2), (kill_back_end, 3), (pause_back_end, 3))


def insist(server, *words):
    """An order that arrives, whether it can be obeyed or not."""
    wait_for(f"acceptctl {' '.join(words)} is heard", lambda: admin.acceptctl(
        server, *words).returncode != admin.UNREACHABLE)


def settle_down(server, backs):
    """Everything as it was, but for those that died."""
    for back in backs:
        if not back.is_alive():
            back.start()
    wait_for("all workers", lambda: len(server.workers()) == server.options["workers"])
    wait_for("the monitor answers", lambda: admin.acceptctl(server, "version").returncode == 0)
