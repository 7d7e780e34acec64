"""What every system test gets: a network namespace, a directory, a server in it, a time limit, and
the checks at its end (harness/acceptd.py)."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from harness import processes, programs, waiting, web
from harness.acceptd import Acceptd
from harness.namespace import NetworkNamespace

TEST_LIMIT = 60.0  # seconds, before scaling
SERVERS = pytest.StashKey()


def pytest_configure():
    version = subprocess.run([binary(), "-V"], capture_output=True, text=True, check=False).stdout
    if re.search(r"sanitizer=(?!no\b)", version):
        waiting.set_sanitized()


def binary():
    return os.path.join(os.environ["ACCEPTD_BUILD"], "acceptd")


@pytest.fixture(scope="session")
def acceptd_binary():
    return binary()


@pytest.fixture(autouse=True)
def namespace():
    try:
        inside = NetworkNamespace()
        inside.__enter__()
    except PermissionError as error:
        pytest.skip(f"a network namespace of its own is not permitted here: {error}")
    yield inside
    inside.__exit__()


@pytest.fixture
def directory():
    """Readable by the workers' user, gone after the test."""
    path = tempfile.mkdtemp(prefix="acceptd-test-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_server(request, namespace, directory):
    """make_server() gives one more server, in a directory of its own."""
    servers = request.node.stash.setdefault(SERVERS, [])

    def make(**arguments):
        own = os.path.join(directory, f"server{len(servers)}")
        os.mkdir(own, 0o755)
        servers.append(Acceptd(binary(), own, **arguments))
        return servers[-1]
    yield make
    for server in servers:
        server.destroy()
    for pid in stragglers(namespace):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def make_stage(request, namespace):
    """make_stage() gives the web address over a board of made-up numbers."""
    stages = []

    def make(**arguments):
        stages.append(web.Stage(**arguments))
        request.node.stash.setdefault(SERVERS, []).append(stages[-1])
        return stages[-1]
    yield make
    for stage in stages:
        stage.destroy()


@pytest.fixture
def start_program(request, namespace, directory):
    """start_program(words, is_ready) runs somebody else's server until the end of the test."""
    started = []

    def start(words, is_ready, **more):
        started.append(programs.Program(directory, words, **more))
        request.node.stash.setdefault(SERVERS, []).append(started[-1])
        return started[-1].wait_ready(lambda: is_ready(started[-1]))
    yield start
    for program in started:
        program.destroy()


def stragglers(namespace):
    return [pid for pid in processes.in_network_namespace(namespace.inode)
            if pid != os.getpid() and processes.is_running(pid)]


class TestTakesTooLong(Exception):
    """Raised by the alarm clock inside the test."""


def start_alarm():
    """The machine may be busier at the end than it was at the beginning."""
    began = time.monotonic()

    def too_long(*_):
        passed = time.monotonic() - began
        if passed > waiting.seconds(TEST_LIMIT):
            raise TestTakesTooLong(f"not over after {passed:.0f} s")
    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, TEST_LIMIT, 1.0)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """The test, and then the checks that end every test, as part of it."""
    names = pyfuncitem._fixtureinfo.argnames
    start_alarm()
    try:
        pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
        for server in pyfuncitem.stash.get(SERVERS, []):
            server.finish()
        waiting.wait_for("every process of the test gone",
                         lambda: not stragglers(pyfuncitem.funcargs["namespace"]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows the whole log of its servers."""
    report = (yield).get_result()
    if report.failed:
        for number, server in enumerate(item.stash.get(SERVERS, [])):
            report.sections.append((f"log of server {number}", server.log()[-20000:]))
