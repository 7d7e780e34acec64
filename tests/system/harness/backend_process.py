"""A back end that is a process of its own, so that it can be stopped and killed, and that counts for
itself: how many clients it had at most at the same time, and in which order they came."""
import signal
import subprocess
import sys

from . import processes
from .waiting import PATIENCE, seconds

# Echoes every message after HOLD seconds; closes when the client does. Before it counts a new client
# it looks whether others have gone: what has arrived in the kernel counts, not what it got to read.
PROGRAM = """
import select, selectors, signal, socket, sys, time
port, backlog, hold = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
listener = socket.create_server(("127.0.0.1", port), backlog=backlog)
listener.setblocking(False)
chooser = selectors.DefaultSelector()
chooser.register(listener, selectors.EVENT_READ)
most, words, due, is_over = 0, [], [], []
signal.signal(signal.SIGTERM, lambda *_: is_over.append(True))
print("ready", flush=True)

def forget(sock):
    chooser.unregister(sock)
    sock.close()

def is_gone(sock):
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True

def clients():
    return [key.fileobj for key in chooser.get_map().values() if key.fileobj is not listener]

def take():
    global most
    try:
        sock, _ = listener.accept()
    except BlockingIOError:
        return
    sock.setblocking(False)
    for other in clients():
        if is_gone(other):
            forget(other)
    chooser.register(sock, selectors.EVENT_READ)
    most = max(most, len(clients()))

def hear(sock):
    try:
        word = sock.recv(65536)
    except OSError:
        word = b""
    if word:
        words.append(word)
        due.append((time.monotonic() + hold, sock, word))
    else:
        forget(sock)

while not is_over:
    for key, _ in chooser.select(0.001 if due else 0.1):
        if key.fileobj is listener:
            take()
        elif key.fileobj.fileno() >= 0:
            hear(key.fileobj)
    while due and due[0][0] <= time.monotonic():
        _, sock, word = due.pop(0)
        try:
            sock.send(word)
        except OSError:
            pass
print(most, " ".join(word.decode("latin-1") for word in words), flush=True)
"""


class BackEndProcess:
    """with BackEndProcess(): it listens on 127.0.0.1:7100."""

    def __init__(self, port=7100, backlog=128, hold=0.0):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port), str(backlog), str(hold)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def pause(self):
        processes.stop(self.process.pid)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """@return (most clients at a time, every message in the order of coming)"""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=seconds(PATIENCE))
        most, *words = said.split()
        return int(most), words
