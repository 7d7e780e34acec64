"""Signals beyond stop and reload."""
import os
import random
import signal

from harness import client, processes
from harness.acceptd import RELOADED
from harness.waiting import wait_for


def test_storm_of_signals_changes_nothing_but_the_last_request(server):
    """10 000 of them, mixed; the seed is printed so that a failure can be played again."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    server.start()
    workers = server.workers()
    held = client.Held(10)
    for _ in range(10000):
        server.send(dice.choice([signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD]))
    server.listeners[0]["idle_timeout"] = "1h"
    server.reload()
    held.prove_all()
    held.close()
    assert server.workers() == workers
    assert client.echoes()


def test_balanced_storm_of_ttin_and_ttou_ends_where_it_began(server):
    server.start()
    for number in (signal.SIGTTIN, signal.SIGTTOU):
        for want in ((3, 4) if number == signal.SIGTTIN else (3, 2)):
            server.send(number)
            wait_for(f"{want} workers", lambda w=want: len(server.workers()) == w)
    server.settle()  # each slot that was ever used keeps its eventfd
    assert client.echoes()


def test_signals_of_a_terminal_reach_only_the_master(server):
    """Ctrl-C goes to the whole process group: the workers drain nothing on their own."""
    server.start(process_group=0)
    held = client.Held(4)
    os.killpg(server.master, signal.SIGHUP)
    server.wait_log(RELOADED)
    held.prove_all()
    held.close()
    os.killpg(server.master, signal.SIGINT)
    assert server.wait_exit() == 0


def test_pipe_signal_is_ignored(server):
    server.start()
    server.send(signal.SIGPIPE)
    for pid in server.workers().values():
        os.kill(pid, signal.SIGPIPE)
    assert client.echoes()
    assert processes.is_running(server.master)
