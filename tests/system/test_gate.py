"""Who may come in: allow and deny lists, as clients see them."""
import os

import pytest

from harness import client
from harness.admin import asked_json, closed
from harness.waiting import wait_for

GOOD, BAD, OTHER = "127.0.1.1", "127.0.1.2", "127.9.9.9"


def is_reset(**more):
    """Without a byte having been sent; it may come while connect is not back yet."""
    with pytest.raises(ConnectionResetError), client.connect(**more) as sock:
        sock.recv(1)
    return True


def is_served(**more):
    with client.connect(**more) as sock:
        return client.ask(sock) == b"hello\n"


@pytest.mark.smoke
def test_deny_wins_over_allow_and_all_others_stay_out(server):
    server.listeners[0].update(allow=["127.0.1.0/24"], deny=[BAD])
    server.start()
    assert is_served(source=GOOD)
    assert is_reset(source=BAD)
    assert is_reset(source=OTHER)
    wait_for("the books", lambda: closed(server) == {"client": 1, "denied": 2})


def test_deny_alone_keeps_nobody_else_out(server):
    server.listeners[0].update(deny=[BAD, "10.0.0.0/8"])
    server.start()
    assert is_served(source=GOOD) and is_served(source=OTHER)
    assert is_reset(source=BAD)


def test_a_dual_socket_knows_its_ipv4_clients(server):
    server.listeners[0].update(address="*:7000", allow=[GOOD, "::1"])
    server.start()
    assert is_served(source=GOOD)
    assert is_served(address=("::1", 7000))
    assert is_reset(source=OTHER)


def test_clients_of_a_unix_socket_are_judged_by_its_permissions(server):
    path = server.path("echo.sock")
    os.chmod(server.directory, 0o755)
    server.listeners[0].update(address=["127.0.0.1:7000", "unix:" + path], allow=[GOOD],
                               deny=["0.0.0.0/0", "::/0"])
    server.start()
    assert is_served(address=path)
    assert is_reset(source=GOOD)


def test_a_reload_changes_the_lists_for_the_clients_to_come(server):
    server.start()
    with client.connect(source=BAD) as held:
        assert client.ask(held) == b"hello\n"
        server.listeners[0]["deny"] = [BAD]
        server.reload()
        assert is_reset(source=BAD)
        assert client.ask(held) == b"hello\n"  # it was let in
        del server.listeners[0]["deny"]
        server.reload()
        assert is_served(source=BAD)


def test_denied_clients_give_their_places_back(server):
    """Places are claimed before a client's address is known."""
    server.options["max_connections"] = 4
    server.listeners[0].update(deny=[BAD])
    server.start()
    for _ in range(50):
        assert is_reset(source=BAD)
    socks = [client.connect(source=GOOD) for _ in range(4)]
    for sock in socks:
        assert client.ask(sock) == b"hello\n"
        sock.close()
    wait_for("the books", lambda: closed(server) == {"client": 4, "denied": 50})


def test_denied_bytes_are_not_read(server):
    """Neither counted nor answered, however many came with the connection."""
    server.listeners[0].update(deny=[BAD])
    server.start()
    with pytest.raises(ConnectionError), client.connect(source=BAD) as sock:
        sock.sendall(b"x" * 100000)
        sock.recv(1)
    wait_for("the books", lambda: closed(server) == {"denied": 1})
    assert asked_json(server, "listeners")[0]["received_bytes"] == 0
