"""Programs that nobody here wrote, in the test's own network namespace."""
import os
import pwd
import shutil
import signal
import subprocess

import pytest

from .waiting import PATIENCE, seconds, wait_for


def need(*names):
    """Skip the test where a program is missing. Debian's PostgreSQL is not in PATH."""
    missing = [name for name in names if find(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (tools/deps ci)")


def find(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/lib/postgresql/15/bin")


def attempt(*words, limit=PATIENCE, **more):
    """@return the finished process; it must end in time"""
    words = [find(words[0]) or words[0], *map(str, words[1:])]
    return subprocess.run(words, capture_output=True, text=True, check=False,
                          timeout=seconds(limit), stdin=subprocess.DEVNULL, **more)


def run(*words, **more):
    """@return what it prints; it must end with 0 in time"""
    result = attempt(*words, **more)
    assert result.returncode == 0, f"{words}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def succeeds(*words):
    """For readiness: whether such a command ends with 0 now."""
    return subprocess.run([find(words[0]), *map(str, words[1:])], capture_output=True, check=False,
                          timeout=seconds(PATIENCE), stdin=subprocess.DEVNULL).returncode == 0


def user_for(name):
    """Arguments for subprocess to run as a user that is not root, where we may choose."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class Program:
    """A server of the test (fixture start_program): from its readiness to its end by pid."""

    def __init__(self, directory, words, end=signal.SIGTERM, **more):
        self.words = [find(words[0]), *map(str, words[1:])]
        self.log_path = os.path.join(directory, os.path.basename(words[0]) + ".log")
        self.end = end
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, **more)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_ready(self, is_ready):
        def check():
            assert self.process.poll() is None, f"{self.words} ended:\n{self.log()}"
            return is_ready()
        wait_for(f"{self.words[0]} ready", check, 60.0)
        return self

    def finish(self):
        """At the end of a test that went well; it may have ended before."""
        self.process.send_signal(self.end)
        self.process.wait(seconds(PATIENCE))

    def destroy(self):
        self.process.kill()
        self.process.wait()
