"""What the kernel says of itself, through other people's tools, and how to make its queues overflow."""
import contextlib
import os
import signal
import socket
import struct
import subprocess

from . import processes
from .waiting import PATIENCE, seconds, wait_for


def nstat(name):
    """A counter of this network namespace, as "TcpExtListenDrops"."""
    out = subprocess.run(["nstat", "-asz", name], capture_output=True, text=True,
                         check=True).stdout
    return int(out.split(name)[1].split()[0])


def listening(port):
    """(accept queue now, its limit) of a listener, from ss."""
    out = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True,
                         check=True).stdout.split()
    return int(out[1]), int(out[2])


def states(port):
    """{"ESTAB": 3, …} of the server's side, from ss."""
    out = subprocess.run(["ss", "-Htan", f"sport = :{port}"], capture_output=True, text=True,
                         check=True).stdout
    found = {}
    for line in out.splitlines():
        state = line.split()[0]
        found[state] = found.get(state, 0) + 1
    return found


def sysctl(name, value):
    """In the test's own network namespace."""
    with open("/proc/sys/net/" + name.replace(".", "/"), "w", encoding="ascii") as file:
        file.write(str(value))


@contextlib.contextmanager
def stopped(pids):
    """with stopped(workers): nobody accepts; they go on at the end."""
    pids = list(pids)
    try:
        processes.stop(*pids)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Crowd:
    """Clients that knock and wait for nothing."""

    def __init__(self, count, address=("127.0.0.1", 7000)):
        self.socks = []
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            assert sock.connect_ex(address) in (0, 115)
            self.socks.append(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.socks:
            sock.close()

    @staticmethod
    def _state(sock):
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

    def connected(self):
        return [sock for sock in self.socks if self._state(sock) == 1]

    def waiting(self):
        """Whose SYN was not answered."""
        return [sock for sock in self.socks if self._state(sock) == 2]

    def wait_served(self, limit=PATIENCE):
        """Everybody is let in and gets an echo."""
        wait_for("everybody connected", lambda: not self.waiting(), limit)
        for sock in self.socks:
            sock.settimeout(seconds(PATIENCE))
            sock.sendall(b"?")
            assert sock.recv(1) == b"?"


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def syn_flood(count, port, network="10.99"):
    """SYNs from addresses that do not exist, each from another one."""
    target = socket.inet_aton("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for number in range(count):
            source = socket.inet_aton(f"{network}.{number >> 8 & 255}.{number & 255}")
            tcp = struct.pack("!HHIIBBHHH", 1024 + number % 60000, port, number, 0, 5 << 4, 2,
                              8192, 0, 0)
            pseudo = source + target + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
            tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, number & 0xffff, 0, 64,
                                 socket.IPPROTO_TCP, 0, source, target)
            raw.sendto(header + tcp, ("127.0.0.1", 0))
