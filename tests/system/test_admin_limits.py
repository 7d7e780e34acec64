"""The admin socket against bad, huge, slow, half and too much input; the data path is not
concerned."""
import socket
import time

import pytest

from harness import client
from harness.admin import Session
from harness.waiting import PATIENCE, seconds, wait_for

LINE_MAX = 4096


def session_of(server):
    return Session(server.path("admin.sock"))


@pytest.mark.parametrize("line", [
    b"", b" ", b"\t\t", b"\0", b"status\0", b"\xff\xfe", b"\x1b[31mstatus", b"STATUS",
    b"status now", b"a " * 100, b"x" * LINE_MAX, b"--json", b"--width=0 status",
    b"status --width=99999", b"kill", b"kill 1", b"kill -1-1", b"kill 9999-1", b"kill 1-1-1",
    b"kill 0-99999999999", b"connections --older", b"connections --older x",
    b"connections --bogus y", b"connections --state", b"stop later", b"drain", b"drain a b",
    b"doctor /etc/passwd", b"events new", b"stats a b",
])
def test_a_wrong_line_is_told_what_is_wrong_and_the_session_goes_on(server, line):
    server.start()
    with session_of(server) as session:
        session.say(line + b"\n")
        code, _, sentence = session.hear()
        assert code == "usage" and sentence.endswith("\n")
        assert all(" " <= letter < "\x7f" for letter in sentence[:-1]), sentence
        assert session.ask("status")[0] == "ok"


def test_a_line_past_the_longest_ends_the_session(server):
    server.start()
    with session_of(server) as session:
        session.say(b"x" * (LINE_MAX + 1))
        code, _, sentence = session.hear()
        assert code == "usage" and "4096" in sentence
        assert session.hear() is None
    with session_of(server) as session:
        try:
            session.say(b"y" * (1 << 20))
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert client.echoes()
    with session_of(server) as session:
        assert session.ask("status")[0] == "ok"


def test_a_carriage_return_does_no_harm(server):
    server.start()
    with session_of(server) as session:
        assert session.ask("version\r")[0] == "ok"


def test_ten_thousand_commands_at_once_are_answered_in_order(server):
    server.start()
    count = 10000
    with session_of(server) as session:
        session.socket.setblocking(False)
        data = b"version\nbogus\n" * (count // 2)
        heard = b""
        while data or heard.count(b"OK ") + heard.count(b"ERROR ") < count:
            try:
                data = data[session.socket.send(data[:65536]):] if data else data
            except BlockingIOError:
                pass
            try:
                heard += session.socket.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
        assert heard.count(b"OK ") == heard.count(b"ERROR usage ") == count // 2
    assert client.echoes()


def test_the_last_answers_come_after_the_end_of_input(server):
    server.start()
    with session_of(server) as session:
        session.say(b"version\nversion\n")
        session.socket.shutdown(socket.SHUT_WR)
        assert session.hear()[0] == session.hear()[0] == "ok"
        assert session.hear() is None


@pytest.mark.once
def test_half_a_line_is_not_waited_for_longer_than_ten_seconds(server):
    server.start()
    with session_of(server) as session:
        session.socket.settimeout(seconds(PATIENCE))
        began = time.monotonic()
        session.say(b"stat")
        time.sleep(3.0)
        session.say(b"u")  # a byte now and then buys no time
        assert session.hear() is None
        assert 9.0 < time.monotonic() - began < seconds(20)


@pytest.mark.once
def test_who_asks_and_does_not_listen_is_let_go(server):
    server.start()
    with session_of(server) as deaf:
        deaf.socket.setblocking(False)
        try:
            for _ in range(100000):
                deaf.socket.send(b"stats\n" * 100)
        except BlockingIOError:
            pass
        with session_of(server) as other:
            assert other.ask("status")[0] == "ok"

        def is_closed():
            try:
                deaf.socket.send(b"\n")
                return False
            except BlockingIOError:
                return False
            except (BrokenPipeError, ConnectionResetError):
                return True
        wait_for("the deaf one to be let go", is_closed)
    assert client.echoes()


def test_a_thousand_connections_leave_the_rest_busy(server):
    server.start()
    sessions = [session_of(server) for _ in range(40)]
    verdicts = []
    for session in sessions:
        try:
            verdicts.append((session.ask("version") or ("gone",))[0])
        except (BrokenPipeError, ConnectionResetError):
            verdicts.append("busy")
    assert verdicts[:32] == ["ok"] * 32
    assert set(verdicts[32:]) <= {"busy", "gone"}
    assert client.echoes()
    for session in sessions:
        session.close()

    def is_free():
        with session_of(server) as session:
            try:
                return session.ask("version")[0] == "ok"
            except (BrokenPipeError, ConnectionResetError):
                return False
    wait_for("room again", is_free)
