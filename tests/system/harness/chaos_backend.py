"""A back end that does what a client's first byte says, in a process of its own, so that it can be
killed, stopped and started again."""
import os
import signal
import subprocess
import sys

PROGRAM = """
import os, socket, struct, sys, threading
where, backlog = sys.argv[1], int(sys.argv[2])

def reset(sock):  # where there is no reset it is a plain end
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

def echo(sock):
    while data := sock.recv(1 << 16):
        sock.sendall(data)

def talk_and_reset(sock):
    sock.sendall(b"t" * 50000)
    reset(sock)

def end_first(sock):
    sock.sendall(b"hi")
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(1 << 16):
        pass

ORDERS = {b"E": echo, b"C": lambda sock: None, b"R": reset, b"T": talk_and_reset, b"H": end_first}

def serve(sock):
    with sock:
        try:
            ORDERS.get(sock.recv(1), echo)(sock)
        except OSError:
            pass

def listen():
    if where.isdigit():
        return socket.create_server(("127.0.0.1", int(where)), backlog=backlog)
    if os.path.exists(where):
        os.unlink(where)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    os.chmod(where, 0o777)
    listener.listen(backlog)
    return listener

listener = listen()
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class ChaosBackend:
    """with ChaosBackend(name, where): it listens on 127.0.0.1:where, or on the path."""

    def __init__(self, name, where, backlog=16):
        self.name, self.where, self.backlog, self.process = name, str(where), backlog, None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, self.where, str(self.backlog)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def address(self):
        return f"127.0.0.1:{self.where}" if self.where.isdigit() else f"unix:{self.where}"

    def is_alive(self):
        return self.process is not None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)
