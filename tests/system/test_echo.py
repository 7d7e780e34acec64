"""The echo protocol as a client sees it: bytes, ends, timeouts, limits."""
import os
import socket
import threading
import time

import pytest

from harness import client, processes
from harness.waiting import PATIENCE, holds_for, is_sanitized, seconds, wait_for


@pytest.mark.smoke
@pytest.mark.parametrize("size", [1, 1447, 65536, 8 << 20])
def test_every_byte_comes_back_in_order(server, size):
    server.start()
    data = client.pattern(size)
    with client.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        assert client.receive(sock, size) == data
        sender.join()


def test_one_byte_at_a_time(server):
    server.start()
    with client.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = client.pattern(300)
        for i in range(len(data)):
            assert client.ask(sock, data[i:i + 1]) == data[i:i + 1]


def test_half_close_is_answered_with_all_that_was_sent_and_then_the_end(server):
    server.start()
    data = client.pattern(300000)
    with client.connect() as sock:
        threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR))).start()
        assert client.receive_all(sock) == data


def test_nothing_stays_in_close_wait(server):
    """Not even when the client closes without reading what it is owed."""
    server.start()
    for _ in range(20):
        sock = client.connect()
        sock.sendall(b"x" * 1000)
        sock.close()
    wait_for("no server socket but the listener", lambda: set(client.tcp_states()) <= {"0A", "06"})


def test_resets_are_no_trouble(server):
    server.start()
    for number in range(200):
        sock = client.connect()
        if number % 2:
            sock.sendall(b"x" * 100)
        client.reset(sock)
    assert client.echoes()
    assert not server.log_lines(r"^\S+ (error|warning) ")


def test_a_client_that_reads_nothing_is_not_read_from(server):
    """Back-pressure: what waits for one client has a ceiling."""
    server.listeners[0]["max_pending"] = "64K"
    server.start()
    with client.connect() as sock:
        sock.setblocking(False)
        chunk = b"x" * 65536
        sent, last = 0, time.monotonic()
        while time.monotonic() - last < 0.5:  # until the server takes no more
            try:
                sent += sock.send(chunk)
                last = time.monotonic()
            except BlockingIOError:
                pass
            assert sent < 64 << 20, "the server swallows without end"
        pid = server.worker_of(sock)
        resident = int(processes.status(pid, "VmRSS").split()[0])
        sock.settimeout(seconds(PATIENCE))
        assert client.receive(sock, sent) == b"x" * sent
    assert is_sanitized() or resident < 64 * 1024


def test_idle_connections_end_after_the_idle_timeout(server):
    server.listeners[0]["idle_timeout"] = "2s"
    server.start()
    began = time.monotonic()
    with client.connect() as idle, client.connect() as busy:
        while not client.is_ended(idle):
            assert client.ask(busy) == b"hello\n"
            assert time.monotonic() - began < seconds(10)
            time.sleep(0.02)
        assert time.monotonic() - began > 1.9
        assert client.ask(busy) == b"hello\n"


def test_lifetime_ends_even_a_busy_connection(server):
    server.listeners[0]["lifetime"] = "700ms"
    server.start()
    began = time.monotonic()
    with client.connect() as sock:
        with pytest.raises((EOFError, OSError)):
            while time.monotonic() - began < seconds(10):
                client.ask(sock)
                time.sleep(0.01)
        assert time.monotonic() - began > 0.6


def test_write_timeout_ends_a_client_that_takes_nothing(server):
    server.listeners[0].update(write_timeout="700ms", idle_timeout="60s")
    server.start()
    with client.connect() as sock:
        sock.setblocking(False)
        began = time.monotonic()
        ended = False
        while not ended and time.monotonic() - began < seconds(10):
            try:
                sock.send(b"x" * 65536)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                ended = True
        assert ended
        assert time.monotonic() - began > 0.6


def test_slow_reader_is_not_taken_for_a_dead_one(server):
    """It takes a little again and again: every little is progress."""
    server.listeners[0].update(write_timeout="2s", idle_timeout="60s")
    server.start()
    size = 6 << 20
    data = client.pattern(size)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(seconds(PATIENCE))
    sock.connect(client.ECHO)
    sender = threading.Thread(target=sock.sendall, args=(data,))
    sender.start()
    got, pace = [], time.monotonic()
    while time.monotonic() - pace < 4:  # longer than the write timeout
        got.append(client.receive(sock, 20000))
        time.sleep(0.1)
    got.append(client.receive(sock, size - sum(map(len, got))))
    sender.join()
    assert b"".join(got) == data
    sock.close()


def test_at_the_limit_clients_wait_in_the_queue(server):
    server.listeners[0].update(max_connections=4, on_limit="wait")
    server.start()
    held = client.Held(4)
    waiting = client.connect()
    waiting.sendall(b"me too\n")
    holds_for("not served yet", lambda: not readable(waiting), 0.3)
    held.socks.pop().close()
    assert client.receive(waiting, 7) == b"me too\n"
    held.prove_all()


def test_at_the_limit_clients_are_refused_at_once(server):
    server.listeners[0].update(max_connections=4, on_limit="refuse")
    server.start()
    held = client.Held(4)
    for _ in range(10):
        try:
            sock = client.connect()
        except ConnectionResetError:
            continue  # so soon that connect(2) itself says so
        wait_for("closed by the server", lambda s=sock: client.is_ended(s))
        sock.close()
    held.prove_all()
    held.socks.pop().close()
    wait_for("room again", serves_again)


def test_global_limit_spans_listeners(server):
    server.options["max_connections"] = 6
    second = dict(server.listeners[0], name="second", address="127.0.0.1:7002")
    server.listeners.append(second)
    server.start()
    held = client.Held(3)
    others = client.Held(3, ("127.0.0.1", 7002))
    waiting = client.connect()
    waiting.sendall(b"x")
    holds_for("not served yet", lambda: not readable(waiting), 0.3)
    others.close()
    assert client.receive(waiting, 1) == b"x"
    held.close()


def readable(sock):
    sock.setblocking(False)
    try:
        sock.recv(1, socket.MSG_PEEK)
        return True
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(seconds(PATIENCE))


def serves_again():
    try:
        return client.echoes()
    except (OSError, EOFError):
        return False


def test_keepalive_is_set_on_every_connection(server):
    """ss shows the server's timer: keepalive, due within the idle time."""
    import subprocess
    server.listeners[0]["keepalive"] = {"idle": "60s", "interval": "10s", "probes": 6}
    server.start()
    with client.connect() as sock:
        client.ask(sock)
        out = subprocess.run(["ss", "-Htno", "state", "established", "sport = :7000"],
                             capture_output=True, text=True, check=True).stdout
    assert "timer:(keepalive," in out


def test_many_connections_at_once_all_echo(server):
    server.options["max_connections"] = 4000
    server.start()
    held = client.Held(1500)
    held.prove_all()
    held.close()


def test_connections_reset_in_the_queue_are_no_errors(server):
    """Workers stopped, clients come and go again, workers continue."""
    import signal
    server.start()
    workers = server.workers()
    processes.stop(*workers.values())
    for _ in range(50):
        client.reset(client.connect())
    living = [client.connect() for _ in range(10)]
    for pid in workers.values():
        os.kill(pid, signal.SIGCONT)
    for sock in living:
        assert client.ask(sock) == b"hello\n"
    assert not server.log_lines(r"^\S+ (error|warning) .*(accept|conn)")
