"""Clients that work and clients that misbehave. Each operation is one connection from a source
address of its own, by which its line in the session log is found."""
import contextlib
import dataclasses
import errno
import itertools
import random
import select
import socket
import threading
import time

from . import client
from .waiting import seconds

FRONT, BEHIND_BALANCER = ("127.0.0.1", 7000), ("127.0.0.1", 7002)
PATIENCE = 40.0  # seconds, before scaling; far beyond every timeout of the configuration


@dataclasses.dataclass
class Operation:
    """What a client saw. The outcome is "ok"; "left": it went on purpose; "reset"; "eof": the end
    came clean and early; or a mistake: "timeout", "wrong bytes", or the words of an error."""
    kind: str
    source: str
    sent: int = 0
    got: int = 0
    has_ended: bool = False  # it said that it has nothing more to say
    outcome: str = ""


class WrongBytes(Exception):
    pass


def sources():
    """127.16.0.0 and up, one after another."""
    for number in itertools.count():
        yield f"127.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


class Conversation:
    """One connection that counts what it says and hears."""

    def __init__(self, operation, sock, rng):
        self.operation, self.sock, self.rng = operation, sock, rng

    def say(self, data):
        self.sock.sendall(data)
        self.operation.sent += len(data)

    def end(self):
        self.sock.shutdown(socket.SHUT_WR)
        self.operation.has_ended = True

    def hear(self, most=1 << 16):
        data = self.sock.recv(most)
        self.operation.got += len(data)
        return data

    def expect(self, data):
        """Exactly these bytes."""
        heard = 0
        while heard < len(data):
            part = self.hear(len(data) - heard)
            if not part:
                raise EOFError
            if part != data[heard:heard + len(part)]:
                raise WrongBytes
            heard += len(part)

    def expect_end(self):
        if self.hear(1):
            raise WrongBytes

    def pump(self, data, pause=0.0, most=1 << 16):
        """Say it in pieces of any size and hear it back at the same time."""
        said, heard = 0, 0
        self.sock.setblocking(False)
        while heard < len(data):
            ready = select.select([self.sock], [self.sock] if said < len(data) else [], [],
                                  seconds(PATIENCE))
            if not ready[0] and not ready[1]:
                raise TimeoutError
            if ready[1]:
                piece = data[said:said + self.rng.choice((1, 100, 4096, 70000))]
                sent = self.sock.send(piece)
                self.operation.sent += sent
                said += sent
            if ready[0]:
                part = self.hear(most)
                if not part:
                    raise EOFError
                if part != data[heard:heard + len(part)]:
                    raise WrongBytes
                heard += len(part)
                time.sleep(pause)
        self.sock.settimeout(seconds(PATIENCE))


# -- what clients do ------------------------------------------------------------------------------

def short(talk):
    data = client.pattern(talk.rng.randrange(1, 3000), talk.rng.randrange(1000))
    talk.say(b"E" + data)
    talk.expect(data)


def stream(talk):
    data = client.pattern(talk.rng.randrange(1 << 16, 1 << 21), talk.rng.randrange(1000))
    talk.say(b"E")
    talk.pump(data)
    talk.end()
    talk.expect_end()


def slow_reader(talk):
    data = client.pattern(1 << 18, talk.rng.randrange(1000))
    talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    talk.say(b"E")
    talk.pump(data, pause=0.002, most=4096)


def long_talk(talk):
    talk.say(b"E")
    for number in range(talk.rng.randrange(5, 25)):
        data = client.pattern(200, number)
        talk.say(data)
        talk.expect(data)
        time.sleep(0.05)


def ends_first(talk):
    """Its end comes before any answer, perhaps while it still waits for a place."""
    data = client.pattern(talk.rng.randrange(1, 60000), talk.rng.randrange(1000))
    talk.say(b"E" + data)
    talk.end()
    talk.expect(data)
    talk.expect_end()


def back_ends_first(talk):
    talk.say(b"H")
    talk.expect(b"hi")
    talk.expect_end()
    talk.say(b"x" * talk.rng.randrange(1, 100000))
    talk.end()


def back_closes(talk):
    talk.say(b"C")
    talk.expect_end()


def back_resets(talk):
    talk.say(b"R")
    talk.expect_end()
    raise EOFError


def back_talks_and_resets(talk):
    talk.say(b"T")
    while talk.hear():
        pass
    raise EOFError


class Left(Exception):
    """The client went on purpose."""


def resets(talk):
    """At any moment of its life."""
    moment = talk.rng.randrange(4)
    if moment > 0:
        talk.say(b"E" + b"r" * talk.rng.choice((1, 5000, 300000)))
    if moment > 1:
        talk.hear(100)
    if moment > 2:
        time.sleep(talk.rng.random() * 0.2)
    client.reset(talk.sock)
    raise Left


def leaves(talk):
    """Without hearing the answer, or saying a word."""
    if talk.rng.randrange(3):
        talk.say(b"E" + b"l" * talk.rng.choice((1, 5000)))
    raise Left


def with_header(talk):
    """Bytes of the header are nobody's."""
    talk.sock.sendall(f"PROXY TCP4 {talk.operation.source} 127.0.0.1 1 7002\r\n".encode())
    short(talk)


def junk_header(talk):
    talk.say(bytes(talk.rng.randrange(256) for _ in range(talk.rng.randrange(1, 400))))
    talk.expect_end()
    raise EOFError


def unfinished_header(talk):
    talk.say(b"PROXY TCP4 127.0.")
    time.sleep(talk.rng.random() * 0.2)
    raise Left


WORK = ((short, 10), (stream, 2), (long_talk, 2), (ends_first, 4), (slow_reader, 1))
NONSENSE = ((back_ends_first, 2), (back_closes, 2), (back_resets, 2), (back_talks_and_resets, 2),
            (resets, 4), (leaves, 2), (with_header, 3), (junk_header, 1), (unfinished_header, 1))
WITH_BALANCER = (with_header, junk_header, unfinished_header)


class Clients:
    """with Clients(seed): they work until told to end; `history` is every operation."""

    def __init__(self, seed, workers=5, nonsense=5):
        self.history, self._end = [], threading.Event()
        self._sources, self._lock = sources(), threading.Lock()
        kinds = [WORK] * workers + [NONSENSE] * nonsense
        self._crew = [threading.Thread(target=self._run, args=(kind, f"{seed} {number}"),
                                       daemon=True) for number, kind in enumerate(kinds)]

    def __enter__(self):
        for thread in self._crew:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Each finishes what it is at."""
        self._end.set()
        for thread in self._crew:
            thread.join(2 * seconds(PATIENCE))
            assert not thread.is_alive(), "a client never came back"

    def _run(self, kinds, seed):
        rng = random.Random(seed)
        acts, weights = zip(*kinds)
        while not self._end.wait(rng.random() * 0.04):
            self.act(rng.choices(acts, weights)[0], rng)

    def act(self, act, rng):
        with self._lock:
            operation = Operation(act.__name__, next(self._sources))
            self.history.append(operation)
        address = BEHIND_BALANCER if act in WITH_BALANCER else FRONT

        def converse():
            # one that is reset at once, accepted or not, may show so in connect(2) already
            with contextlib.closing(client.connect(address, PATIENCE, operation.source)) as sock:
                act(Conversation(operation, sock, rng))
        operation.outcome = outcome(converse)


def outcome(act):
    try:
        act()
    except Left:
        return "left"
    except EOFError:
        return "eof"
    except WrongBytes:
        return "wrong bytes"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        gone = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)
        return "reset" if error.errno in gone else f"{error}"
    return "ok"
