"""A network namespace for one test: the test's own thread moves into it, and with it every socket
that the test opens and every process and thread that it starts. Ports, sysctls and counters are
the test's alone; the namespace has no name and goes with its last user."""
import ctypes
import fcntl
import os
import socket
import struct
import subprocess

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
libc = ctypes.CDLL(None, use_errno=True)  # Python 3.11 has neither setns nor unshare


def _check(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def unshare(flags):
    _check(libc.unshare(flags))


def setns(fd, kind):
    _check(libc.setns(fd, kind))


def link_up(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = bytearray(struct.pack("16sH14x", name.encode(), 0))
        fcntl.ioctl(control, SIOCGIFFLAGS, request)
        flags = struct.unpack_from("H", request, 16)[0]
        struct.pack_into("H", request, 16, flags | IFF_UP)
        fcntl.ioctl(control, SIOCSIFFLAGS, request)


class NetworkNamespace:
    """with NetworkNamespace(): this thread is inside, loopback is up."""

    def __enter__(self):
        self.outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            unshare(CLONE_NEWNET)
        except OSError:
            os.close(self.outside)
            raise
        self.inode = os.stat("/proc/thread-self/ns/net").st_ino
        link_up("lo")
        return self

    def __exit__(self, *_):
        setns(self.outside, CLONE_NEWNET)
        os.close(self.outside)


# A wrapper: the rest of the command line runs in a mount namespace of its own, after a script.
def with_mounts(script):
    return ("unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "-")


def can_mount():
    """Not in a container without rights, nor in a bare chroot."""
    return subprocess.run(with_mounts("mount -t tmpfs none /mnt") + ("true",), check=False,
                          capture_output=True).returncode == 0


def fill_up(directory):
    """To the last byte of its file system. @return the path of what fills it"""
    filler = os.path.join(directory, "filler")
    try:
        with open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        return filler
