"""Programs that cannot take over: nothing changes, and the answer says why. What could take over and
then cannot serve leaves those who serve where they are."""
import os
import re
import signal
import subprocess
import time

import pytest

from harness import admin, client, processes, upgrade
from harness.acceptd import RELOADED
from harness.waiting import seconds, wait_for

PATH = r"/\S+/acceptd"


@pytest.fixture
def installed(server):
    """Started, from a file of its own."""
    upgrade.install(server)
    server.options["upgrade_timeout"] = "20s"
    server.start()
    return server


def remove(server):
    os.unlink(server.binary)


def put_directory(server):
    os.unlink(server.binary)
    os.mkdir(server.binary)


def forbid(server):
    upgrade.install(server)
    os.chmod(server.binary, 0o644)


def change(server, edit):
    """Install a copy of ours with other bytes."""
    with open(upgrade.built(), "rb") as file:
        data = bytearray(file.read())
    with open(server.path("edited"), "wb") as file:
        file.write(edit(data))
    os.chmod(server.path("edited"), 0o755)
    upgrade.install(server, server.path("edited"))


def other_machine(server):
    def edit(data):
        data[18:20] = (8).to_bytes(2, "little")  # e_machine: MIPS
        return data
    change(server, edit)


def cut(server):
    change(server, lambda data: data[:1 << 16])


def cut_short(server):
    change(server, lambda data: data[:100])


def empty(server):
    change(server, lambda _: b"")


def script(server):
    change(server, lambda _: b"#!/bin/sh\nexit 0\n")


def behaviour(word):
    def put(server):
        with open(server.path("behaviour"), "w", encoding="ascii") as file:
            file.write(word)
        upgrade.install(server, upgrade.built("not_acceptd"))
    return put


def program(name):
    return lambda server: upgrade.install(server, upgrade.built(name))


def break_config(server):
    upgrade.install(server)
    server.write_config("workers = \"many\";\n")


def change_pid_file(server):
    upgrade.install(server)
    server.options["pid_file"] = server.path("another")
    server.write_config()


TOO_DIFFERENT = "too different for an upgrade in place: stop the running acceptd and start this one"


@pytest.mark.parametrize("prepare, cause", [
    (remove, rf"cannot open {PATH}: No such file or directory"),
    (put_directory, rf"{PATH} is no regular file"),
    (forbid, rf"{PATH} is not executable; run: chmod 755 {PATH}"),
    (other_machine, "it cannot execute its program: Exec format error"),
    (cut, rf"{PATH} is cut: it has 65536 bytes of at least \d+; install it anew"),
    (cut_short, "it cannot execute its program: (Exec format error|Input/output error)"),
    (empty, "it cannot execute its program: Exec format error"),
    (script, "it cannot execute its program: No such file or directory"),
    (behaviour("nothing"), "it ended with status 0 and did not say that it can take over"),
    (behaviour("boast"), "it ended with status 0 and did not say that it can take over"),
    (behaviour("complain"), "(?s)the moon is in the wrong place\n.*its check ended with status 1"),
    (behaviour("crash"), "its check was killed by SIGSEGV"),
    (program("acceptd_next_state"),
     "hands over state version 1, this program understands version 2; the two are " + TOO_DIFFERENT),
    (program("acceptd_next_board"),
     r"another build's: version 1 layout \w+, not version 2 layout \w+; the two are "
     + TOO_DIFFERENT),
    (program("acceptd_other_language"),
     r"speak the messages of acceptd \S+ \(\w+\), this program those of 0{15}1; the two are "
     + TOO_DIFFERENT),
    (break_config, r"acceptd\.conf:1: error: workers: .*many"),
    (change_pid_file, "pid_file: a change takes effect only at a restart"),
], ids=lambda value: getattr(value, "__name__", None))
def test_what_cannot_take_over_is_refused_and_changes_nothing(installed, prepare, cause):
    server = installed
    held = client.Held(3)
    prepare(server)
    said = upgrade.refused(server)
    if "execute its program" in cause or "killed by" in cause:
        said = re.sub("acceptctl: ", "", said)
    assert re.search(cause, said), said
    assert f"upgrade refused: {server.binary}: " in said
    assert "; nothing changed, acceptd " in said
    held.prove_all()
    held.close()
    assert client.echoes()
    assert admin.asked_json(server, "status")["upgrades_failed"] == 1
    # and what was wrong with it can be put right
    if os.path.isdir(server.binary):
        os.rmdir(server.binary)
    server.options["pid_file"] = server.pid_path
    server.write_config()
    wanted = upgrade.install(server)
    upgrade.upgrade(server)
    assert upgrade.program_of(server.master) == wanted
    server.wait_log(RELOADED)
    upgrade.settle(server)


def test_a_program_that_hangs_is_given_up_in_time(installed):
    server = installed
    server.options["upgrade_timeout"] = "300ms"
    server.reload()
    behaviour("hang")(server)
    said = upgrade.refused(server)
    assert "it was not ready after 300 ms (upgrade_timeout) and was killed" in said
    assert client.echoes()


def begin_hanging(server):
    """An upgrade that will not end by itself. @return the one who asked for it"""
    behaviour("hang")(server)
    asker = subprocess.Popen(
        [os.path.join(os.environ["ACCEPTD_BUILD"], "acceptctl"), "-s", server.path("admin.sock"),
         "upgrade"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    server.wait_log("upgrade: checking")
    return asker


def check_of(server):
    """The child that shows that it can take over, or does not."""
    def found():
        return [pid for pid in processes.children(server.master)
                if processes.title(pid) == "acceptd: check of an upgrade"]
    return wait_for("the check", found)[0]


def test_the_server_goes_on_while_a_program_is_checked(installed):
    """Workers are watched and replaced, clients served; requests beside it are put off or refused."""
    server = installed
    server.options["upgrade_timeout"] = "1h"
    server.reload()
    asker = begin_hanging(server)
    check = check_of(server)
    for word in ("upgrade", "reload"):
        result = admin.acceptctl(server, word)
        assert result.returncode == admin.UNREACHABLE, result
        assert "an upgrade is in progress" in result.stderr
    server.send(signal.SIGUSR2)
    server.wait_log("SIGUSR2: an upgrade is in progress")
    before = server.workers()
    server.expected.append(r"worker 0 .*SIGKILL")
    os.kill(before[0], signal.SIGKILL)
    wait_for("a replacement", lambda: server.workers().get(0, before[0]) != before[0])
    assert client.echoes()
    reloads = len(server.log_lines(RELOADED))
    server.send(signal.SIGHUP)
    assert client.echoes()
    assert len(server.log_lines(RELOADED)) == reloads
    server.expected.append("upgrade refused: .*its check was killed by SIGKILL")
    os.kill(check, signal.SIGKILL)
    assert asker.wait(seconds(20)) == admin.NEGATIVE
    assert "its check was killed by SIGKILL; nothing changed" in asker.stderr.read()
    asker.stdout.close()
    asker.stderr.close()
    server.wait_log(RELOADED, count=reloads + 1)
    assert client.echoes()


def test_a_stop_does_not_wait_for_a_check(installed):
    server = installed
    asker = begin_hanging(server)
    check = check_of(server)
    server.note_children()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < seconds(10)
    assert not processes.is_running(check)
    assert asker.wait(seconds(20)) == admin.NEGATIVE
    assert "the server has stopped" in asker.stderr.read()
    asker.stdout.close()
    asker.stderr.close()


def test_a_check_does_not_outlive_its_master(installed):
    server = installed
    behaviour("hang")(server)
    server.send(signal.SIGUSR2)
    server.wait_log("upgrade: checking")
    check_of(server)
    server.note_children()
    server.send(signal.SIGKILL)
    server.wait_exit()
    server.check_nothing_left()


def test_workers_that_crash_at_birth_cost_nobody_and_the_way_back_is_open(installed):
    server = installed
    old, held = server.workers(), client.Held(3)
    upgrade.install(server, upgrade.built("acceptd_without_workers"))
    server.expected += [r"worker \d+ \(pid \d+\).*SIGABRT", "its workers do not serve"]
    with client.Load() as load:
        result = admin.acceptctl(server, "upgrade")
        assert result.returncode == admin.NEGATIVE, result
        assert re.search(r"is the master, but its workers do not serve: .*SIGABRT.*the 2 workers of "
                         r"acceptd \S+ go on.*put the former program at \S+ and run acceptctl "
                         r"upgrade", result.stderr), result
        assert set(old.values()) <= set(server.workers().values())
        # a reload is not kept waiting by an upgrade that failed, and reaches who serves
        server.options["upgrade_drain_timeout"] = "1h"
        server.reload()
        held.prove_all()
        wanted = upgrade.install(server)
        server.wait_log(r"worker \d+ \(pid \d+\).*SIGABRT")
        upgrade.upgrade(server)
        assert upgrade.program_of(server.master) == wanted
    assert load.failures == [] and load.completed > 0
    held.prove_all()
    held.close()
    upgrade.settle(server)


def test_one_that_cannot_take_over_after_all_gives_the_place_back(installed):
    """Found out after the exec: the program before is executed again, with all that it had."""
    server = installed
    old, program_before = server.workers(), upgrade.program_of(server.master)
    held = client.Held(3)
    upgrade.install(server, upgrade.built("acceptd_unable"))
    server.expected += ["upgrade failed: the new program could not take over: "
                        "cannot take over the workers"]
    with client.Load() as load:
        result = admin.acceptctl(server, "upgrade")
        assert result.returncode == admin.NEGATIVE, result
        assert "has its place again, with all workers and sockets" in result.stderr
        assert upgrade.program_of(server.master) == program_before
        assert server.workers() == old
        held.prove_all()
        server.expected.append(r"worker 1 .*SIGKILL")
        os.kill(old[1], signal.SIGKILL)
        replacement = wait_for("a replacement", lambda: (
            lambda now: now if now not in (None, old[1]) else None)(server.workers().get(1)))
        assert upgrade.program_of(replacement) == program_before
    # the killed worker took its own clients along
    assert len(load.failures) <= 8
    held.close()
    upgrade.install(server)
    upgrade.upgrade(server)
    upgrade.settle(server)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGTTIN])
def test_a_signal_beside_a_way_back_is_heard_by_who_goes_back(server, number):
    upgrade.install(server)
    server.start(env={"UPGRADE_STAGE_SIGNAL": str(int(number))})
    server.note_children()
    upgrade.install(server, upgrade.built("acceptd_unable"))
    server.expected.append("upgrade failed: the new program could not take over")
    server.send(signal.SIGUSR2)
    if number == signal.SIGTERM:
        assert server.wait_exit() == 0
        server.check_nothing_left()
    else:
        wait_for("one worker more", lambda: len(server.workers()) == 3)
        upgrade.settle(server, 3)
