"""The servers that are measured: how each is started, found ready, and stopped."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import readings

READY_S = 10
SETTLE_S = 0.25
STOP_S = 20


class BenchError(Exception):
    """The measurement itself cannot be done."""


class Contestant:
    """One server program. Used as `with contestant.running(...)`: it serves echo inside."""

    name = ""
    is_reference = False  # its results are taken for granted: a run in which it fails is void
    is_peer = False       # another program of the same trade

    def __init__(self, port, temp_dir):
        self.port = port
        self.temp_dir = pathlib.Path(temp_dir)
        self.process = None
        self.log_path = self.temp_dir / f"{self.name}.log"

    def command(self, workers, max_connections, spread_evenly):
        """The command line; may write configuration into the temporary directory."""
        raise NotImplementedError

    def is_worker(self, pid):
        """Whether this process of the family serves clients."""
        return pid != self.process.pid

    def version(self):
        """A line for the report."""
        return self.name

    @property
    def target(self):
        """Where the echo service is, as load wants it."""
        return f"127.0.0.1:{self.port}"

    def pids(self):
        """All processes of the server."""
        return readings.family(self.process.pid)

    def worker_pids(self):
        """Those that serve clients."""
        return [pid for pid in self.pids() if self.is_worker(pid)]

    def running(self, workers, max_connections=10000, spread_evenly=False):
        """Starts the server; use with `with`."""
        command = self.command(workers, max_connections, spread_evenly)
        with open(self.log_path, "ab") as log:
            # The log goes to a file: a pipe that nobody reads would stop the server.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        return self

    def __enter__(self):
        try:
            self.await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def await_ready(self):
        """Ready means that a byte comes back and that no more processes appear."""
        self.await_echo()
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            before = self.pids()
            time.sleep(SETTLE_S)
            if self.pids() == before:
                return
        raise BenchError(f"the processes of {self.name} come and go:\n{self.log_tail()}")

    def await_echo(self):
        """A byte is sent until one comes back."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"?")
                    if probe.recv(1) == b"?":
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise BenchError(f"{self.name} does not serve:\n{self.log_tail()}")

    def expect_workers(self, count):
        """A comparison holds only between equal numbers of workers."""
        found = len(self.worker_pids())
        if found != count:
            raise BenchError(f"{self.name} has {found} workers, not {count}:\n{self.log_tail()}")

    def log_tail(self):
        """The last lines that the server wrote."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-15:])

    def stop(self):
        """Ends the server and all its processes."""
        members = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise BenchError(f"{self.name} did not stop:\n{self.log_tail()}") from None
        finally:
            for pid in members[1:]:
                end_orphan(pid)


def end_orphan(pid):
    """Ends a process whose parent is gone, which has made it ours: this is process 1 here."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


class Yardstick(Contestant):
    """The least correct echo server: tests/bench/yardstick_echo."""

    name = "yardstick"
    is_reference = True

    def __init__(self, port, temp_dir, program):
        super().__init__(port, temp_dir)
        self.program = program

    def command(self, workers, max_connections, spread_evenly):
        if workers == "auto":
            # Enough for one process to be short of its share without being full.
            workers = max(os.cpu_count(), -(-max_connections // 14000))
        command = [self.program, "-w", str(workers), "-l", self.target]
        return command + ["-r"] if spread_evenly else command


class SecondYardstick(Yardstick):
    """The yardstick against itself: how far the measurement can be trusted."""

    name = "yardstick-again"


class Acceptd(Contestant):
    """The server of this project."""

    name = "acceptd"

    def __init__(self, port, temp_dir, program):
        super().__init__(port, temp_dir)
        self.program = program

    def command(self, workers, max_connections, spread_evenly):
        config = self.temp_dir / "acceptd.conf"
        workers = f'"{workers}"' if workers == "auto" else str(workers)
        config.write_text(
            f"workers = {workers};\n"
            f'user = "nobody";\n'
            f'pid_file = "{self.temp_dir}/acceptd.pid";\n'
            f'log = "stderr";\n'
            f"max_connections = {max_connections};\n"
            f'listeners = ( {{ name = "echo"; address = "{self.target}"; protocol = "echo";\n'
            f'                backlog = 65535; idle_timeout = "10m"; }} );\n', encoding="ascii")
        return [self.program, "-f", str(config)]

    def is_worker(self, pid):
        return readings.command_line(pid).startswith("acceptd: worker")

    def version(self):
        shown = subprocess.run([self.program, "-V"], capture_output=True, text=True, check=False,
                               timeout=10)
        return (shown.stdout or shown.stderr).strip() or self.name
