"""One master for one pid file, told by the lock and never by the number."""
import os
import subprocess

import pytest

from harness import client, processes
from harness.waiting import wait_for

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def test_holds_the_master_and_goes_with_it(server):
    server.start()
    assert read(server.pid_path) == f"{server.master}\n"
    assert server.stop() == 0
    assert not os.path.exists(server.pid_path)


def test_second_instance_is_refused_with_the_number_of_the_first(server):
    server.start()
    result = server.run()
    assert result.returncode == 3
    assert f"already running: pid {server.master}" in result.stderr
    assert read(server.pid_path) == f"{server.master}\n"
    assert client.echoes()


def test_check_of_a_running_servers_file_is_no_second_instance(server):
    """-t before a reload: ports and pid file in use by ourselves are fine."""
    server.start()
    result = server.run("-t")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("content", ["1\n", "99999999\n", ""])
def test_stale_file_is_taken_over_whatever_number_it_holds(server, content):
    with open(server.pid_path, "w", encoding="ascii") as file:
        file.write(content)
    server.start()
    assert read(server.pid_path) == f"{server.master}\n"


def test_file_of_a_killed_master_does_not_stop_the_next(make_server):
    first = make_server()
    first.start()
    first.note_children()
    processes.kill(first.master)
    first.wait_exit()
    wait_for("port free", client.refuses)
    second = make_server()
    second.pid_path = second.options["pid_file"] = first.pid_path
    second.start()
    assert read(first.pid_path) == f"{second.master}\n"


def test_number_of_another_living_program_is_no_instance(server):
    other = subprocess.Popen(["sleep", "100"])
    try:
        with open(server.pid_path, "w", encoding="ascii") as file:
            file.write(f"{other.pid}\n")
        server.start()
        assert client.echoes()
    finally:
        other.kill()
        other.wait()


def test_symbolic_link_is_refused_and_its_target_untouched(server):
    target = server.path("target")
    with open(target, "w", encoding="ascii") as file:
        file.write("precious")
    os.symlink(target, server.pid_path)
    server.write_config()
    result = server.run()
    assert result.returncode == 3
    assert server.pid_path in result.stderr and "link" in result.stderr
    assert read(target) == "precious"


def test_file_with_other_content_is_refused_and_kept(server):
    with open(server.pid_path, "w", encoding="ascii") as file:
        file.write("a shopping list\n")
    server.write_config()
    result = server.run()
    assert result.returncode == 3
    assert server.pid_path in result.stderr
    assert read(server.pid_path) == "a shopping list\n"


def test_directory_in_its_place_is_refused(server):
    os.mkdir(server.pid_path)
    server.write_config()
    result = server.run()
    assert result.returncode == 3
    assert server.pid_path in result.stderr


def test_missing_directories_are_named(server):
    server.options["pid_file"] = server.path("no/such/directory/pid")
    server.write_config()
    for arguments in ((), ("-t",)):
        result = server.run(*arguments)
        assert result.returncode == 3
        assert "no/such/directory" in result.stderr


def test_without_a_pid_file(server):
    server.options["pid_file"] = ""
    server.start()
    assert client.echoes()
    assert not os.path.exists(server.pid_path)
