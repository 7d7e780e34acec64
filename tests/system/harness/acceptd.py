"""The server under test: its files, its processes, its log, and the checks that end every test."""
import os
import re
import signal
import subprocess

from . import config, processes
from .waiting import PATIENCE, seconds, wait_for

# What the log says; the only place in the tests that knows these words.
READY = r"master\[\d+\]: serving: "
WORKERS = r"master\[\d+\]: \d+ workers?: "
RELOADED = r"master\[\d+\]: reload: configuration \d+ is in force"
RELOAD_REFUSED = r"master\[\d+\]: reload refused.*nothing changed"
ERROR_LINE = r"^\S+ error |^<3>"
SANITIZER = r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:"


class Acceptd:
    """Not started yet; `options` and `listeners` may be changed until then and before reload().

    `directory` is the server's own, `config_path` its file. Everything the server writes to stderr
    goes to `log_path`."""

    def __init__(self, binary, directory, port=7000):
        self.binary = binary
        self.directory = str(directory)
        self.config_path = os.path.join(self.directory, "acceptd.conf")
        self.log_path = os.path.join(self.directory, "log")
        self.pid_path = os.path.join(self.directory, "pid")
        self.options = {"workers": 2, "user": "nobody", "pid_file": self.pid_path,
                        "log": "stderr", "drain_timeout": "5s", "hang_timeout": "60s",
                        "max_connections": 2000,
                        "admin": {"socket": self.path("admin.sock")}}
        self.listeners = [config.listener(address=f"127.0.0.1:{port}")]
        self.process = None
        self.master = None  # pid
        self.baseline = None
        self.expected = []
        self.seen = {}  # pid: start ticks, of every process that was ever a child

    # -- files ------------------------------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.directory, name)

    def write_config(self, text=None):
        """The given text, or what options and listeners say; whole or not at all."""
        if text is None:
            text = config.text({**self.options, "listeners": self.listeners})
        with open(self.config_path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(self.config_path + ".new", self.config_path)

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def log_lines(self, pattern):
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern, limit=PATIENCE, count=1):
        """The last of at least `count` lines that match."""
        return wait_for(f"{count} × /{pattern}/ in the log:\n{self.log()}",
                        lambda: self.log_lines(pattern)[count - 1:], limit)[-1]

    def expect_log(self, pattern):
        """Declare lines of level error that this test provokes; they must come."""
        self.expected.append(pattern)

    # -- life -------------------------------------------------------------------------------------

    def environment(self, extra=None):
        report = self.path("sanitizer")  # workers of another user write there too
        os.makedirs(report, exist_ok=True)
        os.chmod(report, 0o1777)
        options = f"log_path={report}/report:exitcode=99:print_stacktrace=1"
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "ASAN_OPTIONS": options,
                "UBSAN_OPTIONS": options, **(extra or {})}

    def command(self, *arguments):
        return [self.binary, "-f", self.config_path, *arguments]

    def run(self, *arguments, wrapper=(), env=None, limit=PATIENCE, **more):
        """Run a command line that ends by itself, as -t."""
        return subprocess.run([*wrapper, *self.command(*arguments)], env=self.environment(env),
                              capture_output=True, text=True, errors="replace",
                              timeout=seconds(limit), check=False, stdin=subprocess.DEVNULL, **more)

    def launch(self, *arguments, wrapper=(), env=None, **more):
        """Start in the foreground and wait for nothing."""
        if not os.path.exists(self.config_path):
            self.write_config()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*wrapper, *self.command(*arguments)],
                                            env=self.environment(env), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, **more)
        self.master = self.process.pid
        return self

    def start(self, *arguments, wrapper=(), env=None, **more):
        """Write the configuration, start in the foreground, wait until the workers serve. The
        wrapper is a command that ends in executing its arguments, or strace."""
        self.write_config()
        ready = len(self.log_lines(READY))
        self.launch(*arguments, wrapper=wrapper, env=env, **more)
        return self.wait_ready(ready)

    def wait_ready(self, seen_before=0):
        def is_ready():
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"acceptd ended with {self.process.returncode}:\n{self.log()}")
            return len(self.log_lines(READY)) > seen_before
        try:
            wait_for("ready", is_ready)
        except AssertionError as error:
            raise AssertionError(f"{error}; the log:\n{self.log()}") from None
        if processes.title(self.master).startswith("strace "):
            self.master = wait_for("master under strace",
                                   lambda: processes.children(self.process.pid))[0]
        self.settle()
        return self

    def settle(self, slots=None):
        """What is there now is what must be there at the end of the test: the configured workers,
        or those of the given slots,
        the monitor if it has something to do, nobody on the way in or out, and the descriptors of a
        master that is not in the middle of something."""
        wanted = self.wanted_children(slots)

        def is_settled():
            titles = self.titles()
            self.baseline = processes.descriptor_kinds_of_sleeper(self.master), titles
            return titles == wanted and self.baseline[0] is not None
        try:
            wait_for(f"a master at rest with {wanted}", is_settled)
        except AssertionError as error:
            raise AssertionError(f"{error}: are {self.baseline}; the log:\n{self.log()}") from None

    def at_rest(self):
        """Descriptors of the master by kind, and titles of its children."""
        return processes.descriptor_kinds(self.master), self.titles()

    def titles(self):
        return sorted(processes.title(pid) for pid in self.note_children())

    def wanted_children(self, slots=None):
        """Titles of the children that the configuration asks for."""
        count = self.options["workers"]
        if count == "auto":
            count = int(self.wait_log(WORKERS).split()[3])
        slots = range(count) if slots is None else slots
        servers = [server for upstream in self.options.get("upstreams", ())
                   for server in upstream["servers"]]
        monitor = (any(self.options["admin"].values()) or
                   any(config.is_name(server["address"]) for server in servers))
        return ["acceptd: monitor"] * monitor + sorted(
            f"acceptd: worker {slot}" for slot in slots)

    def note_children(self):
        """@return pids"""
        found = processes.children(self.master)
        for pid in found:
            self.seen.setdefault(pid, processes.start_ticks(pid))
        return found

    def send(self, number):
        os.kill(self.master, number)

    def is_running(self):
        return self.master is not None and processes.is_running(self.master)

    def workers(self):
        """{slot: pid}, from the titles of the master's children."""
        found = {}
        for pid in self.note_children():
            match = re.fullmatch(r"acceptd: worker (\d+).*", processes.title(pid))
            if match and processes.is_running(pid):
                found[int(match.group(1))] = pid
        return found

    def worker_of(self, sock):
        """The worker that holds the other end of this client's TCP connection."""
        return self.workers_of([sock])[0]

    def workers_of(self, socks):
        """The same of many, in their order."""
        holders = {what: pid for pid in self.workers().values()
                   for what in processes.descriptors(pid).values()}
        with open(f"/proc/{os.getpid()}/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        found = {int(row[2].rpartition(":")[2], 16): holders[f"socket:[{row[9]}]"]
                 for row in rows if f"socket:[{row[9]}]" in holders}
        ports = [sock.getsockname()[1] for sock in socks]
        assert set(ports) <= set(found), "no worker holds this connection"
        return [found[port] for port in ports]

    def reload(self, expect=RELOADED, write=True, limit=PATIENCE):
        """Write the configuration, send HUP, wait for the verdict. @return the line"""
        if write:
            self.write_config()
        before = len(self.log_lines(expect))
        self.send(signal.SIGHUP)
        return self.wait_log(expect, limit, before + 1)

    def reload_fails(self, write=True):
        """The same for a configuration that is refused. @return all that the log says about it"""
        before = len(self.log())
        self.reload(RELOAD_REFUSED, write)
        said = self.log()[before:]
        self.expected += [re.escape(line) for line in said.splitlines()
                          if re.search(ERROR_LINE, line)]
        return said

    def wait_exit(self, limit=PATIENCE):
        """@return the exit status"""
        try:
            return self.process.wait(seconds(limit))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"acceptd did not end within {seconds(limit):g} s; the log:\n"
                                 f"{self.log()}") from None

    def stop(self, number=signal.SIGTERM, limit=PATIENCE):
        """@return the exit status"""
        self.note_children()
        self.send(number)
        status = self.wait_exit(limit)
        self.check_nothing_left()
        return status

    # -- the end of every test --------------------------------------------------------------------

    def left(self):
        return [pid for pid, start in self.seen.items()
                if processes.is_running(pid) and processes.start_ticks(pid) == start]

    def check_nothing_left(self, limit=PATIENCE):
        try:
            wait_for("all processes gone", lambda: not self.left(), limit)
        except AssertionError as error:
            titles = [f"{pid} {processes.title(pid)}" for pid in self.left()]
            raise AssertionError(f"{error}: {titles}") from None

    def check_at_rest(self):
        try:
            wait_for("descriptors and children back", lambda: self.at_rest() == self.baseline)
        except AssertionError as error:
            raise AssertionError(f"{error}: were {self.baseline}, are {self.at_rest()}") from None

    def check_log(self):
        for pattern in self.expected:
            assert self.log_lines(pattern), f"expected in the log, never came: /{pattern}/"
        errors = [line for line in self.log_lines(ERROR_LINE)
                  if not any(re.search(pattern, line) for pattern in self.expected)]
        assert not errors, "errors that the test did not provoke:\n" + "\n".join(errors)

    def check_sanitizer(self):
        reports = self.log_lines(SANITIZER)
        directory = self.path("sanitizer")
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                reports.append(file.read())
        assert not reports, "a sanitizer speaks:\n" + "\n".join(reports)

    def finish(self):
        """No descriptor and no process more or less than at the start, a clean stop, nothing left,
        no error that the test did not declare."""
        if self.is_running():
            self.check_at_rest()
            status = self.stop()
            self.check_sanitizer()
            assert status == 0
        self.check_sanitizer()
        self.check_log()
        self.check_nothing_left()

    def destroy(self):
        """Whatever the test left behind."""
        for pid in [self.master, *self.left()]:
            if pid is not None and processes.is_running(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self.process is not None:
            self.process.wait()
