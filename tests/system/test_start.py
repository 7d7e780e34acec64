"""What stands when the server has started."""
import os
import pwd
import socket
import subprocess

import pytest

from harness import admin, client, config, processes
from harness.namespace import can_mount, with_mounts
from harness.waiting import wait_for

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
with_mount_rights = pytest.mark.skipif(not can_mount(), reason="may not mount")


@pytest.mark.smoke
def test_echoes_once_it_says_that_it_serves(server):
    server.start()
    assert client.echoes()


def test_limits_of_the_queue_are_shown_from_the_first_moment_on(server):
    server.start()
    first = admin.asked_json(server, "listeners")[0]
    assert first["queue_limit"] == first["queue_asked"] > 0


def test_processes_have_titles_that_ps_finds(server):
    server.options["workers"] = 3
    server.start()
    assert processes.title(server.master) == f"acceptd: master {server.config_path}"
    assert sorted(server.workers()) == [0, 1, 2]
    found = subprocess.run(["pgrep", "-f", f"^acceptd: master {server.config_path}$"],
                           capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(server.master)]


@as_root
def test_workers_have_given_up_every_right(server):
    server.start()
    nobody = pwd.getpwnam("nobody")
    for pid in server.workers().values():
        assert processes.status(pid, "Uid").split() == [str(nobody.pw_uid)] * 4
        assert processes.status(pid, "Gid").split() == [str(nobody.pw_gid)] * 4
        assert processes.status(pid, "Groups") == ""
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(processes.status(pid, capabilities), 16) == 0
        assert processes.status(pid, "NoNewPrivs") == "1"


@as_root
def test_memory_of_a_worker_is_closed_to_its_own_user(server):
    server.start()
    pid = server.workers()[0]
    for name in ("environ", "maps"):
        read = subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", "cat",
                               f"/proc/{pid}/{name}"], capture_output=True, check=False)
        assert read.returncode != 0 and b"Permission denied" in read.stderr


def test_workers_inherit_nothing_but_what_they_need(server):
    """A descriptor that leaked into the master does not reach the workers."""
    leaked = os.open("/etc/hostname", os.O_RDONLY)
    try:
        server.start(pass_fds=(leaked,))
        for pid in server.workers().values():
            assert "/etc/hostname" not in processes.descriptors(pid).values()
            assert server.config_path not in processes.descriptors(pid).values()
    finally:
        os.close(leaked)


def test_workers_have_address_layouts_of_their_own(server):
    server.start()

    def program_mapping(pid):  # the first mapping may be a sanitizer's, which is fixed
        with open(f"/proc/{pid}/maps", encoding="ascii") as file:
            return next(line.split("-")[0] for line in file if line.rstrip().endswith("/acceptd"))
    if os.geteuid() != 0:
        pytest.skip("a worker's maps are closed to its own user")
    layouts = {program_mapping(pid) for pid in [server.master, *server.workers().values()]}
    assert len(layouts) == 3


def test_one_worker_for_each_usable_processor(server):
    server.options["workers"] = "auto"
    server.start()
    assert len(server.workers()) == len(os.sched_getaffinity(0))


def test_auto_respects_the_affinity(server):
    server.options["workers"] = "auto"
    cpu = min(os.sched_getaffinity(0))
    server.start(wrapper=("taskset", "-c", str(cpu)))
    assert len(server.workers()) == 1


def test_auto_adds_workers_where_descriptors_are_few(server):
    """2000 connections do not fit into 256 descriptors a process."""
    server.options["workers"] = "auto"
    server.options["max_connections"] = 2000
    server.start(wrapper=("prlimit", "--nofile=256"))
    assert len(server.workers()) > 2000 // 256
    server.wait_log(r"workers?\b.*descriptor")


def test_every_worker_serves(server):
    server.options["workers"] = 3
    server.start()
    socks = [client.connect() for _ in range(48)]
    for sock in socks:
        assert client.ask(sock) == b"hello\n"
    assert len(set(server.workers_of(socks))) == 3


def test_pinning_gives_each_worker_one_processor(server):
    server.options["cpu_pinning"] = True
    server.start()
    assert all(len(os.sched_getaffinity(pid)) == 1 for pid in server.workers().values())


def listening_limit(port=7000):
    """The effective backlog, as ss shows it."""
    out = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True,
                         check=True).stdout
    return int(out.split()[2])


def write_somaxconn(number):
    with open("/proc/sys/net/core/somaxconn", "w", encoding="ascii") as file:
        file.write(str(number))


def read_somaxconn():
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        return int(file.read())


@as_root
def test_auto_raises_somaxconn_to_the_largest_backlog(server):
    server.listeners[0]["backlog"] = 30000
    write_somaxconn(128)
    server.start()
    assert (read_somaxconn(), listening_limit()) == (30000, 30000)
    server.wait_log(r"somaxconn.*128.*30000")


@as_root
def test_auto_never_lowers_somaxconn(server):
    server.listeners[0]["backlog"] = 10
    write_somaxconn(5000)
    server.start()
    assert (read_somaxconn(), listening_limit()) == (5000, 10)


@as_root
def test_keep_leaves_somaxconn_and_says_what_it_costs(server):
    server.options["kernel"] = {"somaxconn": "keep"}
    server.listeners[0]["backlog"] = 4000
    write_somaxconn(128)
    server.start()
    assert (read_somaxconn(), listening_limit()) == (128, 128)
    assert "4000" in server.wait_log(r"listener echo.*\b128\b")


READ_ONLY = with_mounts("mount -o bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys")


@with_mount_rights
def test_read_only_proc_sys_costs_the_backlog_and_names_the_remedy(server):
    server.listeners[0]["backlog"] = 30000
    write_somaxconn(128)
    server.start(wrapper=READ_ONLY)
    assert client.echoes()
    assert listening_limit() == 128
    line = server.wait_log(r"somaxconn.*[Rr]ead-only")
    assert "sysctl -w net.core.somaxconn=30000" in line


@with_mount_rights
def test_strict_refuses_a_backlog_that_is_cut(server):
    server.options["strict"] = True
    server.listeners[0]["backlog"] = 30000
    write_somaxconn(128)
    server.write_config()
    result = server.run(wrapper=READ_ONLY)
    assert result.returncode == 3
    assert "somaxconn" in result.stderr


def test_several_addresses_of_one_listener(server):
    server.listeners[0]["address"] = ["127.0.0.1:7000", "127.0.0.2:7000", "[::1]:7000"]
    server.start()
    for address in (("127.0.0.1", 7000), ("127.0.0.2", 7000), ("::1", 7000)):
        assert client.echoes(address)


def test_several_listeners(server):
    server.listeners += [config.listener(f"more{i}", f"127.0.0.1:{7100 + i}") for i in range(70)]
    server.start()
    for i in range(70):
        assert client.echoes(("127.0.0.1", 7100 + i))


def test_ipv6_alone_leaves_ipv4_alone(server):
    server.listeners[0]["address"] = "[::]:7000"
    server.start()
    assert client.echoes(("::1", 7000))
    assert client.refuses(("127.0.0.1", 7000))


def test_both_wildcards_stand_beside_each_other(server):
    server.listeners[0]["address"] = ["0.0.0.0:7000", "[::]:7000"]
    server.start()
    assert client.echoes(("::1", 7000)) and client.echoes(("127.0.0.1", 7000))


def test_star_serves_both_families(server):
    server.listeners[0]["address"] = "*:7000"
    server.start()
    assert client.echoes(("::1", 7000)) and client.echoes(("127.0.0.1", 7000))


def test_unix_socket(server):
    path = server.path("echo.sock")
    server.listeners[0].update(address=f"unix:{path}", unix_mode="0600")
    server.start()
    assert client.echoes(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert server.stop() == 0
    assert not os.path.exists(path)


def test_unix_socket_of_a_dead_server_is_taken_over(server):
    path = server.path("echo.sock")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    server.listeners[0]["address"] = f"unix:{path}"
    server.start()
    assert client.echoes(path)


def test_port_in_use_names_its_owner(server):
    with socket.create_server(("127.0.0.1", 7000)):
        server.write_config()
        result = server.run()
    assert result.returncode == 3
    assert "127.0.0.1:7000" in result.stderr
    assert f"pid {os.getpid()}" in result.stderr


@as_root
def test_without_root_everything_but_the_user_change(server):
    os.chmod(server.directory, 0o777)
    server.options["workers"] = 2
    server.write_config()
    os.chmod(server.directory, 0o755)
    os.chown(server.directory, 65534, 65534)
    os.chown(server.config_path, 65534, 65534)
    server.launch(wrapper=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    server.wait_ready()
    assert client.echoes()
    assert processes.status(server.master, "Uid").split()[0] == "65534"
    processes.kill(server.workers()[0])
    server.expect_log(r"worker 0 .*killed by SIGKILL")
    wait_for("both workers", lambda: len(server.workers()) == 2)
    assert client.echoes()
    server.wait_log(r"not as root: workers run as the same user")


@as_root
def test_privileged_port_without_root_names_the_capability(server):
    server.listeners[0]["address"] = "127.0.0.1:80"
    server.options["pid_file"] = ""
    server.write_config()
    os.chown(server.config_path, 65534, 65534)
    result = server.run(wrapper=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    assert result.returncode == 3
    assert "CAP_NET_BIND_SERVICE" in result.stderr


@with_mount_rights
def test_tmp_is_not_needed(server):
    """A read-only machine without /tmp: the log on stderr, no pid file."""
    server.options["pid_file"] = ""
    server.start(wrapper=with_mounts("mount -t tmpfs -o ro,size=4k none /var/tmp"))
    assert client.echoes()
