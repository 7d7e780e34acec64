"""The proxy between real clients and back ends: bytes, ends, failures."""
import contextlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from harness import admin, client, processes
from harness.admin import closed, expect_closed
from harness.backend import BACK, Backend, echo
from harness.config import listener
from harness.waiting import PATIENCE, is_sanitized, seconds, wait_for


@pytest.fixture
def proxy(server):
    """Not started: one listener, one upstream with one server."""
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": "127.0.0.1:7100"}]}]
    return server


def upstream(server):
    return server.options["upstreams"][0]


def one(backend):
    """The session that the back end has accepted."""
    wait_for("a session at the back end", lambda: backend.accepted)
    return backend.accepted[-1]


def sees_reset(sock):
    with pytest.raises(ConnectionResetError):
        while sock.recv(1 << 16):
            pass
    return True


def is_refused():
    """The reset may come while connect is not back yet."""
    with pytest.raises(ConnectionResetError), client.connect() as sock:
        sock.recv(1)
    return True


def send_in_background(sock, data, shut=False):
    def run():
        sock.sendall(data)
        if shut:
            sock.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.smoke
@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 12 << 20])
def test_every_byte_goes_there_and_back_in_order(proxy, size):
    proxy.start()
    data = client.pattern(size)
    with Backend(echo), client.connect() as sock:
        thread = send_in_background(sock, data, shut=True)
        assert client.receive_all(sock) == data
        thread.join()
    expect_closed(proxy, client=1)


def test_bulk_is_left_for_messages_and_entered_again(proxy):
    """Bytes that go through a pipe and bytes that do not never overtake each other."""
    proxy.start()
    with Backend(echo), client.connect() as sock:
        for round_number in range(3):
            data = client.pattern(3 << 20, round_number)
            thread = send_in_background(sock, data)
            assert client.receive(sock, len(data)) == data
            thread.join()
            for number in range(50):
                part = client.pattern(100, number)
                assert client.ask(sock, part) == part


@pytest.mark.parametrize("side", ["client", "backend"])
def test_a_slow_reader_gets_every_byte_and_costs_bounded_memory(proxy, side):
    proxy.start()
    size = 40 << 20
    data = client.pattern(size)
    with Backend() as backend, client.connect() as sock:
        back = one(backend)
        reader, writer = (sock, back) if side == "client" else (back, sock)
        pid = proxy.worker_of(sock)
        before = int(processes.status(pid, "VmRSS").split()[0])
        thread = send_in_background(writer, data, shut=True)
        got = []
        for _ in range(20):
            got.append(reader.recv(1000))
            time.sleep(0.01)  # the slowness itself
        grown = int(processes.status(pid, "VmRSS").split()[0]) - before
        assert grown < (20000 if is_sanitized() else 2000), f"{grown} kB for one slow reader"
        got.append(client.receive_all(reader))
        assert b"".join(got) == data
        thread.join()


def test_the_clients_end_is_passed_on_and_the_answer_comes_after_it(proxy):
    proxy.start()

    def serve(sock):
        with sock:
            asked = client.receive_all(sock)
            sock.sendall(b"got %d" % len(asked))
    with Backend(serve), client.connect() as sock:
        sock.sendall(b"x" * 300000)
        sock.shutdown(socket.SHUT_WR)
        assert client.receive_all(sock) == b"got 300000"
    expect_closed(proxy, client=1)


def test_the_back_ends_end_is_passed_on_and_it_hears_the_client_after_it(proxy):
    proxy.start()
    with Backend() as backend, client.connect() as sock:
        back = one(backend)
        back.sendall(b"greeting")
        back.shutdown(socket.SHUT_WR)
        assert client.receive_all(sock) == b"greeting"
        sock.sendall(b"x" * 100000)
        assert client.receive(back, 100000) == b"x" * 100000
        sock.close()
        assert back.recv(1) == b""
    expect_closed(proxy, backend=1)


def test_an_end_before_the_first_byte_is_an_end(proxy):
    proxy.start()
    with Backend() as backend, client.connect() as sock:
        back = one(backend)
        sock.close()
        assert back.recv(1) == b""
        back.close()
    expect_closed(proxy, client=1)


def test_a_reset_of_the_client_reaches_the_back_end_as_one(proxy):
    proxy.start()
    with Backend() as backend:
        sock = client.connect()
        back = one(backend)
        sock.sendall(b"x")
        assert back.recv(1) == b"x"
        client.reset(sock)
        assert sees_reset(back)
    expect_closed(proxy, reset=1)


def test_a_reset_of_the_back_end_reaches_the_client_as_one(proxy):
    proxy.start()
    with Backend() as backend, client.connect() as sock:
        client.reset(one(backend))
        assert sees_reset(sock)
    expect_closed(proxy, backend_reset=1)


def test_an_answer_survives_a_request_that_the_back_end_cut_short(proxy):
    """A server that answers "too large" and closes: its reset must not destroy the answer."""
    proxy.start()
    answer = client.pattern(20000)  # in the socket of the proxy before the reset

    def serve(sock):
        sock.recv(1000)
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        sock.close()  # with unread data: a reset follows the end
    with Backend(serve), client.connect() as sock:
        sock.setblocking(False)
        chunk = b"x" * 65536
        got = b""
        ended = False
        while not ended:
            readable, writable, _ = select.select([sock], [sock], [], seconds(PATIENCE))
            assert readable or writable
            if writable and len(got) < 1000:
                try:
                    sock.send(chunk)
                except BlockingIOError:
                    pass
            if readable:
                part = sock.recv(4096)
                got += part
                ended = not part
        assert got == answer


BACKEND_PROGRAM = """
import socket
server = socket.create_server(("127.0.0.1", 7100), backlog=8)
print("ready", flush=True)
kept = []
while True:
    sock, _ = server.accept()
    kept.append(sock)
    sock.sendall(b"hello")
"""


@contextlib.contextmanager
def running_program():
    process = subprocess.Popen([sys.executable, "-c", BACKEND_PROGRAM], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_killed_back_end_ends_its_sessions_and_its_successor_serves(proxy):
    proxy.start()
    with running_program() as program, client.connect() as sock:
        assert client.receive(sock, 5) == b"hello"
        program.kill()
        program.wait()
        assert client.receive_all(sock) == b""
    with client.connect() as sock:
        sock.sendall(b"anybody?")  # its connect is refused, and tried again
        with Backend(echo):
            assert client.receive(sock, 8) == b"anybody?"
            sock.close()
            # while it serves: of two ends that come in one turn of the loop, either may be seen first
            expect_closed(proxy, backend=1, client=1)


def test_a_stopped_back_end_is_waited_for(proxy):
    proxy.start()
    with running_program() as program:
        program.send_signal(signal.SIGSTOP)  # the kernel goes on accepting for it
        wait_for("stopped", lambda: processes.state(program.pid) == "T")
        sock = client.connect()
        sock.sendall(b"x" * 1000)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        program.send_signal(signal.SIGCONT)
        sock.settimeout(seconds(PATIENCE))
        assert client.receive(sock, 5) == b"hello"
        sock.close()


def test_a_back_end_that_takes_nothing_meets_the_write_timeout(proxy):
    proxy.listeners[0]["write_timeout"] = "1s"
    proxy.start()
    with Backend() as backend, client.connect() as sock:
        back = one(backend)
        send_in_background_quietly(sock, b"x" * (64 << 20))
        for _ in range(5):  # what it sends itself is no reason to wait longer
            back.sendall(b"y")
            time.sleep(0.1)
        expect_closed(proxy, write_timeout=1)


def send_in_background_quietly(sock, data):
    def run():
        try:
            sock.sendall(data)
        except OSError:
            pass
    threading.Thread(target=run, daemon=True).start()


def test_a_half_closed_session_has_limited_time(proxy):
    proxy.listeners[0]["half_close_timeout"] = "1s"
    proxy.start()
    with Backend(), client.connect() as sock:
        sock.sendall(b"x")
        sock.shutdown(socket.SHUT_WR)
        assert sees_reset(sock)
    expect_closed(proxy, half_closed=1)


def test_an_idle_session_ends(proxy):
    proxy.listeners[0]["idle_timeout"] = "1s"
    proxy.start()
    with Backend() as backend, client.connect() as sock:
        back = one(backend)
        assert sock.recv(1) == b"" and back.recv(1) == b""
    expect_closed(proxy, idle=1)


def nft(rule):
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    for command in ("add table ip t", "add chain ip t o { type filter hook output priority 0 ; }",
                    f"add rule ip t o {rule}"):
        result = subprocess.run(["nft", *command.split()], capture_output=True, text=True,
                                check=False)
        if result.returncode != 0:
            pytest.skip(f"nft does not work here: {result.stderr}")


def test_a_back_end_that_does_not_answer_is_given_up_after_the_connect_timeout(proxy):
    upstream(proxy).update(connect_timeout="1s", on_down="refuse")
    nft("tcp dport 7100 drop")
    proxy.start()
    with Backend(), client.connect() as sock:
        sock.sendall(b"x" * 1000)  # kept for a server that never comes
        assert sees_reset(sock)
    expect_closed(proxy, connect_timeout=1)


def test_a_rejected_connect_ends_the_session_at_once_when_nobody_waits(proxy):
    upstream(proxy)["on_down"] = "refuse"
    nft("tcp dport 7100 reject with icmp type host-unreachable")
    proxy.start()
    with Backend():
        assert is_refused()
    assert sum(closed(proxy).values()) == 1


def parse_proxy_header(sock):
    """@return (client address, target address) from either version; the header and no more is read"""
    start = client.receive(sock, 12)
    if start == b"\r\n\r\n\0\r\nQUIT\n":
        command, family, size = struct.unpack("!BBH", client.receive(sock, 4))
        assert (command, family, size) == (0x21, 0x11, 12)
        source, target, source_port, target_port = struct.unpack("!4s4sHH", client.receive(sock, 12))
        return ((socket.inet_ntoa(source), source_port), (socket.inet_ntoa(target), target_port))
    while not start.endswith(b"\r\n"):
        start += client.receive(sock, 1)
    words = start.decode().split()
    assert words[:2] == ["PROXY", "TCP4"]
    return ((words[2], int(words[4])), (words[3], int(words[5])))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_back_end_is_told_who_the_client_is_before_its_first_byte(proxy, version):
    upstream(proxy)["send_proxy"] = version
    proxy.start()
    with Backend() as backend, client.connect() as sock:
        sock.sendall(b"hello")
        back = one(backend)
        assert parse_proxy_header(back) == (sock.getsockname(), client.ECHO)
        assert client.receive(back, 5) == b"hello"
        back.sendall(b"answer")
        assert client.receive(sock, 6) == b"answer"


def test_short_sessions_leave_nothing_behind(proxy):
    proxy.start()
    with Backend(echo):
        def used():
            return sorted(len(processes.descriptors(pid)) for pid in proxy.workers().values())
        for _ in range(50):
            assert client.echoes()
        before = wait_for("sessions gone", lambda: set(client.tcp_states()) <= {"0A", "06"}) and used()
        for number in range(500):
            sock = client.connect()
            if number % 3:
                client.ask(sock)
            if number % 2:
                client.reset(sock)
            else:
                sock.close()
        wait_for("descriptors back", lambda: used() == before)


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss_Anon:"))


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer keeps freed memory")
def test_a_crowd_that_has_gone_leaves_its_memory_to_others(proxy):
    """At most 1 KiB for a session, given back afterwards, and a second crowd needs no more."""
    proxy.options["workers"] = 1
    proxy.start()
    pid, = proxy.workers().values()
    count = 1500
    before = anonymous_bytes(pid)
    # who is in its queue is connected, and stays there although he has gone
    with socket.create_server(BACK, backlog=2 * count):
        held = []
        for _ in range(2):
            socks = [client.connect() for _ in range(count)]
            wait_for("sessions", lambda: admin.asked_json(proxy, "upstreams")[0]["open"] == count)
            held.append(anonymous_bytes(pid) - before)
            for sock in socks:
                client.reset(sock)
            wait_for("sessions gone",
                     lambda: admin.asked_json(proxy, "upstreams")[0]["open"] == 0)
            if len(held) == 1:
                wait_for("memory given back",
                         lambda: anonymous_bytes(pid) - before < held[0] / 2)
    assert admin.asked_json(proxy, "upstreams")[0]["connected"] == 2 * count
    assert held[0] < 1024 * count
    assert held[1] < held[0] * 1.1 + 65536


def test_a_stop_waits_for_sessions_and_ends_the_rest(proxy):
    proxy.options["drain_timeout"] = "2s"
    proxy.start()
    with Backend(echo), client.connect() as sock:
        assert client.ask(sock) == b"hello\n"
        proxy.send(signal.SIGTERM)
        wait_for("no new clients", client.refuses)
        assert client.ask(sock, b"still here\n") == b"still here\n"
        assert client.receive_all(sock) == b""
        assert proxy.wait_exit() == 0
