"""What the kernel tells about processes: CPU time, memory, wake-ups, sockets, dropped packets.

Everything is read from outside, so that a server cannot flatter itself.
"""

import collections
import os
import re
import signal
import subprocess
import time


def cpu_us(pids):
    """User and system time of these processes together.

    It is the sum that /proc/PID/stat shows as utime and stime, read through the process' CPU clock,
    because stat rounds each of them down to 10 ms.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids) // 1000


def pss_bytes(pids):
    """Memory of these processes; what they share is counted once, in parts."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            total += int(re.search(r"^Pss: +(\d+) kB", rollup.read(), re.M)[1]) * 1024
    return total


def own_bytes(pids):
    """Memory of these processes without the files that they map.

    How much of a library counts as theirs changes with who else on the machine has it in use.
    """
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            found = re.findall(r"^Pss_(?:Anon|Shmem): +(\d+) kB", rollup.read(), re.M)
        total += sum(map(int, found)) * 1024
    return total


def voluntary_switches(pid):
    """How often the process went to sleep, that is: how often it was woken."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M)[1])


def socket_count(pid):
    """Open sockets of a process."""
    count = 0
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(entry.path).startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def command_line(pid):
    """The words of a process' title."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def parents():
    """Parent by process, of all processes in sight."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    # The name in brackets may hold blanks and brackets itself.
                    found[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


def family(root):
    """A process and all that descend from it, oldest first."""
    parent_of = parents()
    members = [root]
    for pid in members:
        members += sorted(child for child, parent in parent_of.items() if parent == pid)
    return members


def kernel_counter(name):
    """A counter of TCP in this network namespace, by its name in /proc/net/netstat."""
    with open("/proc/self/net/netstat", encoding="ascii") as netstat:
        lines = [line.split() for line in netstat if line.startswith("TcpExt:")]
    return int(dict(zip(*lines))[name])


def listen_overflows():
    """Packets that this network namespace refused because an accept queue was full."""
    return kernel_counter("ListenOverflows")


class Accepts:
    """Counts accept calls of processes that found nothing, while the `with` lasts.

    strace sees them; it makes the processes slow, so nothing else is measured meanwhile.
    """

    ATTACH_S = 10

    def __init__(self, pids, temp_dir):
        self.pids = pids
        self.path = os.path.join(temp_dir, "accepts")
        self.empty = 0
        self.tracer = None

    def __enter__(self):
        command = ["strace", "-qq", "-e", "trace=accept,accept4", "-o", self.path]
        self.tracer = subprocess.Popen(command + [f"--attach={pid}" for pid in self.pids])
        deadline = time.monotonic() + self.ATTACH_S
        while not all(map(is_traced, self.pids)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.tracer.send_signal(signal.SIGINT)
        self.tracer.wait()
        with open(self.path, encoding="utf-8", errors="replace") as trace:
            self.empty = sum("EAGAIN" in line for line in trace)


class SystemCalls:
    """Counts the system calls of processes by name, between start and stop; needs strace."""

    ATTACH_S = 10

    def __init__(self, pids, temp_dir):
        self.pids = pids
        self.path = os.path.join(temp_dir, "calls")
        self.tracer = None

    def start(self):
        """Returns when all processes are watched."""
        command = ["strace", "-qq", "-f", "-c", "-U", "calls,name", "-o", self.path]
        self.tracer = subprocess.Popen(command + [f"--attach={pid}" for pid in self.pids])
        deadline = time.monotonic() + self.ATTACH_S
        while not all(map(is_traced, self.pids)) and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self):
        """The counts; epoll_wait stands for all its kin."""
        self.tracer.send_signal(signal.SIGINT)
        self.tracer.wait()
        with open(self.path, encoding="ascii") as table:
            rows = [line.split() for line in table]
        counts = collections.Counter()
        for words in rows:
            if len(words) == 2 and words[0].isdigit() and words[1] != "total":
                name = "epoll_wait" if words[1].startswith("epoll_p") else words[1]
                counts[name] += int(words[0])
        return counts


def is_traced(pid):
    """Whether a tracer is attached to the process."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
        return "TracerPid:\t0" not in status.read()
