"""Programs at the path that the server was started from, and upgrades to them."""
import os
import re
import shutil
import signal

from . import admin, processes
from .waiting import wait_for

# What the log says of upgrades.
SETTLED = r"master\[\d+\]: upgrade: acceptd \S+ serves with \d+ workers"
REFUSED = r"master\[\d+\]: upgrade refused: .*; nothing changed, acceptd \S+ goes on"


def built(name=""):
    """A program of the build: acceptd, or one of tests/system."""
    return os.path.join(os.environ["ACCEPTD_BUILD"], f"tests/system/{name}" if name else "acceptd")


def install(server, program=None):
    """As a package manager does it: a new file takes the name at once.
    @return the device and inode that the name leads to now"""
    path = server.path("acceptd")
    shutil.copy2(program or built(), path + ".new")
    os.replace(path + ".new", path)
    server.binary = path
    return identity(path)


def identity(path):
    found = os.stat(path)
    return found.st_dev, found.st_ino


def program_of(pid):
    """What this process executes, by the same measure."""
    return identity(f"/proc/{pid}/exe")


def monitors(server):
    return [pid for pid in processes.children(server.master)
            if processes.title(pid) == "acceptd: monitor"]


def wait_settled(server, old):
    """No worker of before (pids) takes clients any more, and who asks is heard by the new monitor."""
    wait_for("the new monitor alone", lambda: (
        lambda now: len(now) == 1 and now[0] not in old)(monitors(server)))
    wait_for("those of before take nobody", lambda: not [
        row for row in admin.asked_json(server, "workers")
        if row["pid"] in old and row["state"] == "serving"])


def upgrade(server):
    """One that must succeed. @return what acceptctl says of it"""
    old = processes.children(server.master)
    said = admin.asked(server, "upgrade")
    wait_settled(server, old)
    return said


def upgrade_by_signal(server, count):
    """The same; so many have been made then."""
    old = processes.children(server.master)
    server.send(signal.SIGUSR2)
    server.wait_log(SETTLED, count=count)
    wait_settled(server, old)


def refused(server):
    """One that must be refused, and change nothing. @return what acceptctl says"""
    workers, program = server.workers(), program_of(server.master)
    result = admin.acceptctl(server, "upgrade")
    assert result.returncode == admin.NEGATIVE and result.stdout == "", result
    assert server.workers() == workers
    assert program_of(server.master) == program
    server.expected += [r"upgrade refused: ", *(
        re.escape(line) for line in server.log_lines(r"upgrade: the new program says: "))]
    return result.stderr


def wait_old_gone(server, count):
    """Only so many workers are left, in whatever slots: those of before have finished."""
    return wait_for(f"{count} workers", lambda: (lambda workers: len(workers) == count and workers)(
        server.workers()))


def settle(server, count=2):
    """They are what must be there at the end of the test. @return them"""
    workers = wait_old_gone(server, count)
    server.settle(workers)
    return workers
