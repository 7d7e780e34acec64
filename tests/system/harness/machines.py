"""Other machines: network namespaces joined to the test's own by a cable each. The test, and with it
acceptd, is in the middle; a peer is what the test does `with machine:` around it."""
import os
import shutil
import subprocess
import threading

import pytest

from .namespace import CLONE_NEWNET, link_up, setns, unshare


def run(*words, text=None):
    subprocess.run(words, input=text, text=True, check=True, capture_output=True)


def need():
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("nft")):
        pytest.skip("needs root, iproute2 and nftables")


class Machine:
    """Number N has the address 10.0.N.2; the test is 10.0.N.1 for it.

    with machine: this thread is there, and so is every socket it opens and program it starts.
    Sockets stay where they were opened."""

    def __init__(self, number):
        self.gateway, self.address = f"10.0.{number}.1", f"10.0.{number}.2"
        self.outside, self.inside = [], None
        thread = threading.Thread(target=self._build, args=(f"to{number}",))
        thread.start()
        thread.join()
        assert self.inside is not None, "a namespace could not be made"
        run("ip", "address", "add", f"{self.gateway}/24", "dev", f"to{number}")
        link_up(f"to{number}")

    def _build(self, cable):
        """In a thread of its own, because the cable's other end is named by our main thread."""
        unshare(CLONE_NEWNET)
        run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", cable, "netns",
            str(os.getpid()))
        run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        link_up("eth0")
        link_up("lo")
        run("ip", "route", "add", "default", "via", self.gateway)
        self.inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self):
        self.outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        setns(self.inside, CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        outside = self.outside.pop()
        setns(outside, CLONE_NEWNET)
        os.close(outside)

    def destroy(self):
        """The namespace goes with the last socket in it."""
        os.close(self.inside)

    # -- its firewall: nothing that it drops is told to anybody -----------------------------------

    def filter(self, arriving="", leaving=""):
        """Rules for what comes in and for what goes out, until heal()."""
        with self:
            run("nft", "-f", "-", text="table inet cut {\nchain in {\ntype filter hook input "
                f"priority 0;\n{arriving}\n}}\nchain out {{\ntype filter hook output priority 0;\n"
                f"{leaving}\n}}\n}}\n")

    def cut(self):
        """As if it were gone, or the cable. Its address is known already, so nobody is told."""
        self.filter("drop", "drop")

    def heal(self):
        with self:
            run("nft", "delete", "table", "inet", "cut")

    def crash_and_reboot(self, *socks):
        """It is back with the same address and remembers none of its connections."""
        self.cut()
        for sock in socks:
            sock.close()
        with self:  # those that wait to say goodbye
            run("ss", "-K", "state", "connected")
        self.heal()
