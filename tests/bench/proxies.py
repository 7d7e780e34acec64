"""The proxies that are measured, and the back ends behind them."""

import itertools
import os
import re
import shutil
import subprocess

import readings
from contestants import Acceptd, BenchError, Contestant, Yardstick

DESCRIPTORS_MAX = 19900  # of one process; a session takes two
FRONT_BACKLOG = 16384


class BackEnd(Yardstick):
    """The neutral echo server behind all proxies; one process, at every loopback address.

    Each start of a proxy gets an address of its own: ports that an earlier one left in TIME_WAIT
    would make its connects search, and slow.
    """

    name = "back-end"

    def __init__(self, port, temp_dir, program):
        super().__init__(port, temp_dir, program)
        self.starts = itertools.count()

    def command(self, workers, max_connections, spread_evenly):
        return [self.program, "-w", str(workers), "-l", f"0.0.0.0:{self.port}"]

    def next_addresses(self, count=1):
        """So many that no running proxy has used."""
        numbers = itertools.islice(self.starts, count)
        return [f"127.254.{number // 250 % 250}.{number % 250 + 1}:{self.port}"
                for number in numbers]


class PacedBackEnd(BackEnd):
    """A weak one: a short accept queue, from which it takes so many connections a second."""

    name = "paced-back-end"
    is_reference = False  # without a proxy in front it does lose clients

    def __init__(self, port, temp_dir, program, backlog, rate):
        super().__init__(port, temp_dir, program)
        self.backlog = backlog
        self.rate = rate

    def command(self, workers, max_connections, spread_evenly):
        return [self.program, "-l", f"0.0.0.0:{self.port}", "-b", str(self.backlog),
                "-a", str(self.rate)]


class Proxy(Contestant):
    """A proxy in front of `back`, which may be changed between two starts."""

    def __init__(self, port, temp_dir, program, back):
        super().__init__(port, temp_dir)
        self.program = program
        self.back = back

    def is_installed(self):
        """Whether it can be measured at all."""
        return self.program is not None


class Floor(Proxy):
    """The least proxy: tests/bench/yardstick_proxy."""

    name = "floor"
    is_reference = True
    arguments = ()

    def command(self, workers, max_connections, spread_evenly):
        return [self.program, "-w", str(workers), "-l", self.target,
                "-t", self.back.next_addresses()[0], *self.arguments]


class SpliceFloor(Floor):
    """The least proxy that moves bulk by splice(2)."""

    name = "floor-splice"
    arguments = ("-s",)


class SecondFloor(Floor):
    """The floor against itself: how far the measurement can be trusted."""

    name = "floor-again"
    is_reference = False


class SecondSpliceFloor(SpliceFloor):
    """The same for splice."""

    name = "floor-splice-again"
    is_reference = False


class AcceptdProxy(Proxy):
    """The proxy of this project."""

    name = "acceptd"
    server_settings = ""
    server_count = 1

    version = Acceptd.version
    is_worker = Acceptd.is_worker

    @property
    def socket_path(self):
        """Where acceptctl asks."""
        return self.temp_dir / f"{self.name}.sock"

    def command(self, workers, max_connections, spread_evenly):
        self.write_config(workers, max_connections, self.back.next_addresses(self.server_count))
        return [self.program, "-f", str(self.config_path)]

    @property
    def config_path(self):
        """Its configuration."""
        return self.temp_dir / f"{self.name}.conf"

    def write_config(self, workers, max_connections, addresses, idle_timeout="10m"):
        """The configuration, with one server at each of the addresses."""
        servers = ",\n".join(f'        {{ address = "{address}"; {self.server_settings}}}'
                             for address in addresses)
        self.config_path.write_text(
            f"workers = {workers};\n"
            f'user = "nobody";\n'
            f'pid_file = "{self.temp_dir}/{self.name}.pid";\n'
            f'log = "stderr";\n'
            f"max_connections = {max_connections};\n"
            f'admin = {{ socket = "{self.socket_path}"; }};\n'
            f'listeners = ( {{ name = "front"; address = "{self.target}"; protocol = "proxy";\n'
            f'                backlog = {FRONT_BACKLOG}; idle_timeout = "{idle_timeout}";\n'
            f'                upstream = "back"; }} );\n'
            f'upstreams = ( {{ name = "back"; servers = (\n{servers} ); }} );\n',
            encoding="ascii")


class EarlierAcceptdProxy(AcceptdProxy):
    """Another build of it, to see what a change has brought."""

    name = "earlier"


class Nginx(Proxy):
    """nginx with its stream module, as Debian builds it."""

    name = "nginx"
    is_peer = True
    buffer_size = "16k"
    MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def __init__(self, port, temp_dir, back):
        super().__init__(port, temp_dir, find_program("nginx"), back)

    def is_installed(self):
        return self.program is not None and os.path.exists(self.MODULE)

    def command(self, workers, max_connections, spread_evenly):
        config = self.temp_dir / "nginx.conf"
        connections = min(2 * max_connections + 100, DESCRIPTORS_MAX)
        config.write_text(
            f"load_module {self.MODULE};\n"
            f"daemon off;\nuser nobody nogroup;\nworker_processes {workers};\n"
            f"worker_rlimit_nofile {DESCRIPTORS_MAX + 50};\n"
            f"pid {self.temp_dir}/nginx.pid;\nerror_log {self.log_path} crit;\n"
            f"events {{ worker_connections {connections}; }}\n"
            f"stream {{ access_log off; server {{\n"
            f"    listen {self.target} backlog={FRONT_BACKLOG};\n"
            f"    proxy_pass {self.back.next_addresses()[0]};\n"
            f"    proxy_buffer_size {self.buffer_size};\n"
            f"    proxy_connect_timeout 60s; proxy_timeout 10m; }} }}\n", encoding="ascii")
        return [self.program, "-c", str(config)]

    def is_worker(self, pid):
        return readings.command_line(pid).startswith("nginx: worker")

    def version(self):
        shown = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False)
        return shown.stderr.strip()


class HAProxy(Proxy):
    """HAProxy in its TCP mode, as Debian builds it: one process, a thread per worker."""

    name = "haproxy"
    is_peer = True
    options = ""
    server_settings = ""

    def __init__(self, port, temp_dir, back):
        super().__init__(port, temp_dir, find_program("haproxy"), back)

    def command(self, workers, max_connections, spread_evenly):
        config = self.temp_dir / f"{self.name}.conf"
        connections = min(max_connections, DESCRIPTORS_MAX // 2 - 50)
        config.write_text(
            f"global\n    nbthread {workers}\n    maxconn {connections}\n    user nobody\n"
            f"defaults\n    mode tcp\n    maxconn {connections}\n    backlog {FRONT_BACKLOG}\n"
            f"    timeout connect 60s\n    timeout queue 60s\n"
            f"    timeout client 10m\n    timeout server 10m\n{self.options}"
            f"listen front\n    bind {self.target}\n"
            f"    server back {self.back.next_addresses()[0]} {self.server_settings}\n",
            encoding="ascii")
        return [self.program, "-db", "-f", str(config)]

    def is_worker(self, pid):
        return True

    def expect_workers(self, count):
        threads = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.pids())
        if threads != count:
            raise BenchError(f"{self.name} has {threads} threads, not {count}:\n{self.log_tail()}")

    def version(self):
        shown = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False)
        return re.sub(r" - https?:.*", "", shown.stdout.splitlines()[0])


class QueueingHAProxy(HAProxy):
    """HAProxy with a limit of connections at the server, beyond which its own queue holds clients.

    It fits a back end whose sessions are short: those that stay keep everybody else in the queue.
    """

    name = "haproxy-queue"


def find_program(name):
    """Daemons are in sbin, which the path of a user lacks."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join([*folders, "/usr/sbin", "/sbin"]))
