"""The command line: options, usage, exit status."""
import subprocess

import pytest


@pytest.mark.smoke
def test_version_names_program(acceptd_binary):
    result = subprocess.run([acceptd_binary, "-V"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("acceptd")
