"""The web address: HTTP as bytes, the stage that serves it without a server, and a browser."""
import os
import re
import shutil
import socket
import subprocess
import tempfile

from .waiting import PATIENCE, seconds

BROWSER_OPTIONS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
                   "--disable-background-networking --disable-component-update --disable-sync "
                   "--hide-scrollbars --enable-logging=stderr").split()


class Answer:
    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields  # names in lower case
        self.body = body

    @property
    def text(self):
        return self.body.decode()


def connect(port, limit=PATIENCE):
    return socket.create_connection(("127.0.0.1", port), timeout=seconds(limit))


def request(path="/healthz", method="GET", fields=("Host: 127.0.0.1",)):
    return "\r\n".join([f"{method} {path} HTTP/1.1", *fields, "", ""]).encode()


def receive(file, has_body=True):
    """One answer from a socket's file; None when the server has closed."""
    line = file.readline()
    if not line:
        return None
    status = int(line.split()[1])
    fields = {}
    while (line := file.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().partition(":")
        fields[name.lower()] = value.strip()
    return Answer(status, fields, file.read(int(fields["content-length"])) if has_body else b"")


def get(port, path="/healthz", method="GET", fields=("Host: 127.0.0.1",), limit=PATIENCE):
    with connect(port, limit) as sock, sock.makefile("rb") as file:
        sock.sendall(request(path, method, fields))
        return receive(file, method != "HEAD")


class Stage:
    """tests/system/web_stage: a board of made-up numbers behind the real web address."""

    def __init__(self, listeners=2, workers=2, first_name="front"):
        program = os.path.join(os.environ["ACCEPTD_BUILD"], "tests/system/web_stage")
        self.process = subprocess.Popen([program, str(listeners), str(workers), first_name],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def finish(self):
        """At the end of a test that went well: it must end well too."""
        self.process.stdin.close()
        assert self.process.wait(seconds(PATIENCE)) == 0

    def destroy(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def log(self):
        return ""

    def say(self, word, times=1):
        for _ in range(times):
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "done\n"


def has_browser():
    return shutil.which("chromium") is not None


def browse(port, *options, budget_ms=4000):
    """The page after so much of its own time, as a browser has it: (document, complaints)."""
    with tempfile.TemporaryDirectory(prefix="acceptd-browser-") as profile:
        result = subprocess.run(
            ["chromium", *BROWSER_OPTIONS, *options, f"--user-data-dir={profile}",
             f"--virtual-time-budget={budget_ms}", "--dump-dom", f"http://127.0.0.1:{port}/"],
            env={"PATH": os.environ["PATH"], "HOME": profile}, capture_output=True, text=True,
            timeout=seconds(60), check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout, re.findall(r".*CONSOLE.*", result.stderr)
