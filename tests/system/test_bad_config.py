"""Every bad configuration of tests/bad-config, through -t, start and reload. A file says itself
what must be answered, in lines "# expect: WORDS"; "# exit: 3" means that the machine, not the file,
is at fault."""
import glob
import os
import re
import shutil

import pytest

from harness import client

DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bad-config")
NAMES = sorted(os.path.basename(path) for path in glob.glob(os.path.join(DIRECTORY, "*.conf")))


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def wanted(name):
    """@return words that must be answered, and the exit status"""
    text = read(os.path.join(DIRECTORY, name))
    expected = re.findall(r"^(?:#|//) expect: (.*)$", text, re.MULTILINE)
    status = re.search(r"^(?:#|//) exit: (\d)$", text, re.MULTILINE)
    assert expected, f"{name} does not say what is expected"
    return expected, int(status.group(1)) if status else 2


@pytest.fixture
def bad(server):
    """A copy of the directory, whose owner and rights are right whatever those of the source are."""
    shutil.copytree(DIRECTORY, server.path("bad"), copy_function=shutil.copyfile)
    for folder, _, _ in os.walk(server.path("bad")):
        os.chmod(folder, 0o755)  # copied with those of a checkout under another umask
    return server


def test_there_are_bad_configurations():
    assert len(NAMES) > 100


@pytest.mark.parametrize("name", NAMES)
def test_bad_file_is_answered_by_check_and_start(bad, name):
    expected, status = wanted(name)
    bad.config_path = bad.path(f"bad/{name}")
    for arguments in (("-t",), ()):
        result = bad.run(*arguments)
        assert result.returncode == status, result.stderr
        assert [words for words in expected if words not in result.stderr] == [], result.stderr


def test_reload_of_every_bad_file_changes_nothing_and_says_the_same(bad):
    bad.config_path = bad.path("bad/in-force.conf")
    bad.start()
    workers = bad.workers()
    held = client.Held(5)
    missing = []
    for name in NAMES:
        expected, _ = wanted(name)
        shutil.copyfile(bad.path(f"bad/{name}"), bad.config_path)
        said = bad.reload_fails(write=False)
        missing += [(name, words, said) for words in expected if words not in said]
    assert not missing
    held.prove_all()
    held.close()
    assert bad.workers() == workers
    assert client.echoes()
