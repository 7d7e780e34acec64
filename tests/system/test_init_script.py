"""The init script: its verbs and their exit status, as the LSB has them."""
import os
import shutil
import subprocess

import pytest

from harness import client, processes
from harness.waiting import PATIENCE, seconds, wait_for

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not os.path.exists("/lib/lsb/init-functions"), reason="no LSB functions"),
]
SCRIPT = os.path.join(os.environ["ACCEPTD_BUILD"], "etc", "acceptd.init")


class Service:
    def __init__(self, server):
        self.server = server
        server.options["log"] = server.log_path
        server.write_config()
        # The build may stand where nobody else may look.
        self.script = shutil.copy(SCRIPT, server.path("acceptd.init"))
        self.daemon = shutil.copy(server.binary, server.path("acceptd"))
        self.defaults = server.path("default")
        self.write_defaults()

    def write_defaults(self, daemon=None):
        with open(self.defaults, "w", encoding="utf-8") as file:
            file.write(f"DAEMON={daemon or self.daemon}\nCONFIG={self.server.config_path}\n")

    def __call__(self, verb, **more):
        environment = self.server.environment({"ACCEPTD_DEFAULTS": self.defaults})
        result = subprocess.run(["sh", self.script, *verb.split()], env=environment, text=True,
                                capture_output=True, timeout=seconds(PATIENCE), check=False,
                                stdin=subprocess.DEVNULL, cwd="/", **more)
        print(verb, result.returncode, result.stdout, result.stderr)
        self.server.master = self.pid() or self.server.master
        if self.server.master:
            self.server.note_children()
        return result.returncode

    def break_config(self):
        self.server.options["workers"] = "many"
        self.server.write_config()
        self.server.options["workers"] = 2

    def pid(self):
        try:
            with open(self.server.pid_path, encoding="ascii") as file:
                return int(file.read())
        except (OSError, ValueError):
            return None


@pytest.fixture
def service(server):
    made = Service(server)
    yield made
    if server.master and processes.is_running(server.master):
        processes.kill(server.master)


def end(service):
    assert service("stop") == 0
    service.server.check_nothing_left()


def test_start_status_stop(service):
    assert service("status") == 3
    assert service("start") == 0
    assert client.echoes()
    assert service("status") == 0
    pid = service.pid()
    assert service("start") == 0, "again: it runs already"
    assert service.pid() == pid
    assert service("stop") == 0
    assert client.refuses()
    assert service("status") == 3
    assert service("stop") == 0, "again: it is stopped already"


def test_restart_gives_another_master(service):
    assert service("restart") == 0, "starts what was not running"
    pid = service.pid()
    assert service("restart") == 0
    assert service.pid() not in (None, pid)
    assert client.echoes()
    end(service)


def test_try_restart_leaves_a_stopped_one_stopped(service):
    assert service("try-restart") == 0
    assert client.refuses()
    assert service("start") == 0
    pid = service.pid()
    assert service("try-restart") == 0
    assert service.pid() != pid
    end(service)


@pytest.mark.parametrize("verb", ["reload", "force-reload"])
def test_reload_keeps_the_master_and_its_connections(service, verb):
    assert service(verb) == 7, "not running"
    assert service("start") == 0
    pid = service.pid()
    held = client.Held(3)
    service.server.listeners[0]["address"] = ["127.0.0.1:7000", "127.0.0.1:7002"]
    service.server.write_config()
    assert service(verb) == 0
    wait_for("new address", lambda: not client.refuses(("127.0.0.1", 7002)))
    assert service.pid() == pid
    held.prove_all()
    held.close()
    end(service)


@pytest.mark.parametrize("verb", ["restart", "reload", "force-reload", "try-restart"])
def test_broken_configuration_stops_nothing(service, verb):
    assert service("start") == 0
    pid = service.pid()
    service.break_config()
    assert service(verb) == 6
    assert service.pid() == pid
    assert client.echoes()
    assert service("status") == 0, "also while nobody can be asked for the pid file"
    service.server.write_config()
    end(service)


def test_configtest_and_start_with_a_broken_configuration(service):
    assert service("configtest") == 0
    service.break_config()
    assert service("configtest") == 6
    assert service("start") == 6
    assert client.refuses()


def test_stop_waits_for_the_drain(service):
    """Longer than start-stop-daemon would wait by default, as the configuration says."""
    service.server.options["drain_timeout"] = "2s"
    service.server.write_config()
    assert service("start") == 0
    held = client.Held(2)
    assert service("stop") == 0
    assert held.lost() == 2
    assert not processes.is_running(service.server.master)


def test_killed_master_is_dead_with_its_pid_file(service):
    assert service("start") == 0
    processes.kill(service.pid())
    wait_for("gone", lambda: processes.state(service.server.master) is None)
    assert service("status") == 1
    wait_for("port free", client.refuses)
    assert service("start") == 0
    assert client.echoes()
    end(service)


def test_another_program_with_our_number_is_not_touched(service):
    other = subprocess.Popen(["sleep", "100"])
    try:
        with open(service.server.pid_path, "w", encoding="ascii") as file:
            file.write(f"{other.pid}\n")
        assert service("status") == 1
        assert service("stop") == 0
        assert other.poll() is None
        assert service("start") == 0
        assert service.pid() != other.pid
        end(service)
    finally:
        other.kill()
        other.wait()


def test_wrong_usage(service):
    assert service("") == 2
    assert service("dance") == 2


def test_not_installed(service):
    service.write_defaults("/no/such/acceptd")
    assert service("start") == 5
    assert service("stop") == 0
    assert service("status") == 4


def test_without_root(service):
    assert service("start") == 0
    os.chmod(service.server.directory, 0o755)
    for verb in ("start", "stop", "restart", "reload"):
        assert service(verb, user=65534, group=65534, extra_groups=[]) == 4
    assert client.echoes()
    end(service)


def test_under_start_stop_daemon(service):
    """As Debian's own scripts do it: found by pid file and executable, stopped within the drain."""
    def tool(*arguments):
        return subprocess.run(["start-stop-daemon", *arguments], capture_output=True, check=False,
                              env=service.server.environment(), timeout=seconds(PATIENCE)).returncode
    match = ("--pidfile", service.server.pid_path, "--exec", service.daemon)
    start = ("--start", *match, "--", "-d", "-f", service.server.config_path)
    assert tool("--status", *match) == 3
    assert tool(*start) == 0
    assert client.echoes()
    service.server.master = service.pid()
    service.server.note_children()
    assert tool(*start) == 1, "it runs already"
    assert tool("--status", *match) == 0
    assert tool("--stop", "--retry", "TERM/10/KILL/5", *match) == 0
    assert client.refuses()
    service.server.check_nothing_left()
