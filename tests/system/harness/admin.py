"""The admin socket, by acceptctl and by hand."""
import json
import os
import socket
import subprocess
import sys

from .waiting import PATIENCE, seconds, wait_for

GOOD, NEGATIVE, USAGE, UNREACHABLE, REFUSED = range(5)  # exit status of acceptctl


def acceptctl(server, *words, limit=PATIENCE, **more):
    """@return the finished process"""
    program = os.path.join(os.environ["ACCEPTD_BUILD"], "acceptctl")
    return subprocess.run([program, "-s", server.path("admin.sock"), *words],
                          capture_output=True, text=True, timeout=seconds(limit), check=False,
                          stdin=subprocess.DEVNULL, env=server.environment(), **more)


def asked(server, *words, **more):
    """What acceptctl prints, which must succeed."""
    result = acceptctl(server, *words, **more)
    assert result.returncode == GOOD and result.stderr == "", result
    return result.stdout


def asked_json(server, *words):
    return json.loads(asked(server, *words, "--json"))


def closed(server, listener=None):
    """{reason: how many ended}, without zeros, of the listener of this name or else of the first."""
    rows = asked_json(server, "listeners")
    row = next(row for row in rows if listener in (None, row["name"]))
    return {reason: count for reason, count in row["closed"].items() if count}


def expect_closed(server, **reasons):
    """Exactly these, soon: a connection ends for one reason."""
    try:
        wait_for("the reasons", lambda: closed(server) == reasons)
    except AssertionError as error:
        raise AssertionError(f"{error}: expected {reasons}, are {closed(server)}") from None


class Session:
    """A connection to the admin socket."""

    def __init__(self, path, limit=PATIENCE):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds(limit))
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def say(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def hear(self):
        """@return (code, status, body) of one answer; None at the end"""
        words = self.stream.readline().decode().split()
        if not words:
            return None
        if words[0] == "OK":
            return "ok", int(words[2]), self.stream.read(int(words[1])).decode()
        assert words[0] == "ERROR", words
        return words[1], None, self.stream.read(int(words[2])).decode()

    def ask(self, line):
        self.say(line + "\n")
        return self.hear()


def ask_as(uid, gid, path, line, groups=()):
    """One request by another user. @return what came back, or the errno of connect as a number"""
    script = ("import socket, sys\n"
              "s = socket.socket(socket.AF_UNIX)\n"
              "try:\n    s.connect(sys.argv[1])\n"
              "except OSError as e:\n    sys.exit(f'errno {e.errno}')\n"
              "s.sendall(sys.argv[2].encode() + b'\\n'); s.shutdown(socket.SHUT_WR)\n"
              "data = b''\n"
              "while part := s.recv(65536):\n    data += part\n"
              "sys.stdout.write(data.decode())\n")
    result = subprocess.run([sys.executable, "-c", script, path, line], capture_output=True,
                            text=True, check=False, user=uid, group=gid, extra_groups=list(groups),
                            timeout=seconds(PATIENCE), cwd="/")
    return int(result.stderr.split()[1]) if result.stderr.startswith("errno") else result.stdout
