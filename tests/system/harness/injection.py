"""System calls of a running process that fail on order, by strace."""
import contextlib
import subprocess

from .waiting import wait_for


@contextlib.contextmanager
def injected(pid, what, path):
    """with injected(pid, "accept4:error=EMFILE:when=1..5", path): from the first line on. What strace
    sees is in that file, the failures with the word INJECTED."""
    name = what.split(":")[0]
    with subprocess.Popen(["strace", "-qq", "-p", str(pid), "-o", path,
                           "-e", f"trace={name},/^epoll_p?wait", "-e", f"inject={what}"],
                          stderr=subprocess.DEVNULL) as tracer:
        try:
            # attached is not enough: until it has seen a turn of the loop it may miss a call
            wait_for("strace at work", lambda: "wait" in trace(path))
            yield
        finally:
            tracer.terminate()


def trace(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""
