"""What /proc says about processes."""
import os
import re
import signal

from .waiting import wait_for


def alive():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _stat(pid):
    """Fields of /proc/PID/stat after the name, which may itself hold blanks and parentheses."""
    return _read(pid, "stat").rpartition(")")[2].split()


def parent(pid):
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def state(pid):
    """R, S, T, Z …, or None when the process is gone."""
    fields = _stat(pid)
    return fields[0] if fields else None


def is_running(pid):
    return state(pid) not in (None, "Z", "X")


def cpu_seconds(pid):
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_ticks(pid):
    """When it started: with the pid, the name of a process that is never given to another."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def stop(*pids):
    """SIGSTOP; kill(2) returns while they may still do something, this does not."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_for("all of them stopped", lambda: all(state(pid) in ("T", "t") for pid in pids))


def kill(*pids):
    """SIGKILL; at the return all of them are dead, and not taken for their successors any more."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for("all of them dead", lambda: not any(is_running(pid) for pid in pids))


def children(pid):
    return sorted(p for p in alive() if parent(p) == pid)


def title(pid):
    return _read(pid, "cmdline").replace("\0", " ").strip()


def status(pid, key):
    """A line of /proc/PID/status, as status(pid, "CapEff")."""
    match = re.search(rf"^{key}:[ \t]*(.*)$", _read(pid, "status"), re.MULTILINE)
    return match.group(1) if match else None


def descriptors(pid):
    """{number: what it is}, as {3: "socket:[4711]"}."""
    found = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                pass
    except OSError:
        pass
    return found


def descriptor_kinds(pid):
    """{kind: how many}: sockets without their numbers, files by their names."""
    kinds = {}
    for target in descriptors(pid).values():
        kind = re.sub(r"\[\d+\]|\(\d+\)| \(deleted\)", "", target)
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def _turns(pid):
    """Changes with everything that a process does; None while it does something."""
    if state(pid) != "S":
        return None
    return [status(pid, f"{kind}_ctxt_switches") for kind in ("voluntary", "nonvoluntary")]


def descriptor_kinds_of_sleeper(pid):
    """The same of a process that sleeps all the while, None of any other: nothing is half done."""
    before = _turns(pid)
    kinds = descriptor_kinds(pid)
    return kinds if before is not None and before == _turns(pid) else None


def in_network_namespace(inode):
    """Every process whose network namespace has this inode."""
    found = []
    for pid in alive():
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == inode:
                found.append(pid)
        except OSError:
            pass
    return found
