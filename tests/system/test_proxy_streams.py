"""Streams through the proxy, byte for byte: cut in every way, in both directions at once, half
closed and reset, also while the other side does not read."""
import hashlib
import os
import random
import socket
import threading

import pytest

from harness import client
from harness.admin import expect_closed
from harness.backend import Backend, echo
from harness.config import listener
from harness.waiting import PATIENCE, seconds, wait_for

MESSAGE = client.pattern(100)


@pytest.fixture
def proxy(server):
    """Started: one listener, one upstream with one server."""
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": "127.0.0.1:7100"}]}]
    return server.start()


def meet(backend):
    """@return both ends of a session over which a byte went each way"""
    count = len(backend.accepted)
    sock = client.connect()
    wait_for("the session", lambda: len(backend.accepted) > count)
    back = backend.accepted[-1]
    for writer, reader in ((sock, back), (back, sock)):
        writer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        writer.sendall(b"!")
        assert reader.recv(1) == b"!"
    return sock, back


def pair(backend, direction):
    """@return (who writes, who reads)"""
    sock, back = meet(backend)
    return (sock, back) if direction == "up" else (back, sock)


# -- segmentation ---------------------------------------------------------------------------------

@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_message_cut_at_every_byte_arrives_as_one(proxy, direction):
    """The second part is sent when the first one has arrived: they cannot be joined on the way."""
    with Backend() as backend:
        writer, reader = pair(backend, direction)
        for cut in range(1, len(MESSAGE)):
            writer.sendall(MESSAGE[:cut])
            assert client.receive(reader, cut) == MESSAGE[:cut]
            writer.sendall(MESSAGE[cut:])
            assert client.receive(reader, len(MESSAGE) - cut) == MESSAGE[cut:]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_stream_of_single_bytes_arrives_in_order(proxy, direction):
    data = client.pattern(5000)
    with Backend() as backend:
        writer, reader = pair(backend, direction)

        def write():
            for byte in data:
                writer.send(bytes([byte]))
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        assert client.receive(reader, len(data)) == data
        thread.join()


def test_a_session_cut_at_every_byte_by_its_end(proxy):
    """A hundred sessions: so many bytes, then the end; every byte arrives before the end does."""
    with Backend(echo):
        for size in range(len(MESSAGE)):
            with client.connect() as sock:
                sock.sendall(MESSAGE[:size])
                sock.shutdown(socket.SHUT_WR)
                assert client.receive_all(sock) == MESSAGE[:size]
        expect_closed(proxy, client=len(MESSAGE))


def pieces(data, seed):
    """The data cut into sizes from one byte to a megabyte, each order of magnitude as often."""
    chooser = random.Random(seed)
    at = 0
    while at < len(data):
        size = int(2 ** chooser.uniform(0, 20))
        yield data[at:at + size]
        at += size


def write_pieces(sock, data, seed):
    for piece in pieces(data, seed):
        sock.sendall(piece)
    sock.shutdown(socket.SHUT_WR)


def read_digest(sock, seed):
    """Read in pieces of random sizes until the end."""
    chooser, digest = random.Random(seed), hashlib.sha256()
    while part := sock.recv(int(2 ** chooser.uniform(0, 20))):
        digest.update(part)
    return digest.digest()


@pytest.mark.parametrize("seed", range(3))
def test_random_pieces_both_ways_at_once(proxy, seed):
    """Different streams, megabytes each, several sessions: no byte lost, doubled, moved or crossed
    over to another session."""
    count, got = 4, {}
    data = [os.urandom(random.Random(seed).randrange(1, 4 << 20)) for _ in range(2 * count)]
    with Backend() as backend:
        ends = [end for _ in range(count) for end in meet(backend)]
        threads = []
        for number, end in enumerate(ends):
            peer = number ^ 1
            threads.append(threading.Thread(
                target=write_pieces, args=(end, data[number], seed + number), daemon=True))
            threads.append(threading.Thread(target=lambda number=number, end=end, peer=peer: (
                got.update({peer: read_digest(end, seed - number)})), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds(PATIENCE))
    assert got == {number: hashlib.sha256(part).digest() for number, part in enumerate(data)}


# -- half-close -----------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [1, 1000, 3 << 20])
@pytest.mark.parametrize("first", ["client", "backend"])
def test_after_one_side_ended_the_other_says_all_it_has(proxy, first, size):
    """With bytes before the end, and the other side's bytes only after it has seen the end."""
    early, late = os.urandom(size), os.urandom(size)
    with Backend() as backend:
        sock, back = meet(backend)
        ender, other = (sock, back) if first == "client" else (back, sock)
        thread = threading.Thread(
            target=lambda: (ender.sendall(early), ender.shutdown(socket.SHUT_WR)), daemon=True)
        thread.start()
        assert client.receive_all(other) == early
        thread.join()
        thread = threading.Thread(
            target=lambda: (other.sendall(late), other.shutdown(socket.SHUT_WR)), daemon=True)
        thread.start()
        assert client.receive_all(ender) == late
        thread.join()
        expect_closed(proxy, **{first: 1})


# -- resets ---------------------------------------------------------------------------------------

REASONS = {"client": "reset", "backend": "backend_reset"}


@pytest.mark.parametrize("state", ["idle", "stalled by the other", "stalled by itself"])
@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_reset_reaches_the_other_side_as_one(proxy, who, state):
    """Also when one of them reads nothing, so that the proxy waits for it with bytes in its hands."""
    with Backend() as backend:
        sock, back = meet(backend)
        resetting, other = (sock, back) if who == "client" else (back, sock)
        if state == "stalled by the other":
            client.fill(resetting)
        elif state == "stalled by itself":
            client.fill(other)
        client.reset(resetting)
        expect_closed(proxy, **{REASONS[who]: 1})  # before the other reads
        assert client.is_reset(other)


@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_reset_after_the_others_end_is_a_reset(proxy, who):
    with Backend() as backend:
        sock, back = meet(backend)
        resetting, other = (sock, back) if who == "client" else (back, sock)
        other.sendall(b"last words")
        other.shutdown(socket.SHUT_WR)
        assert client.receive_all(resetting) == b"last words"
        client.reset(resetting)
        assert client.is_reset(other)
        expect_closed(proxy, **{REASONS[who]: 1})
