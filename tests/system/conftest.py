"""What every system test gets."""
import os

import pytest


@pytest.fixture(scope="session")
def acceptd_binary():
    return os.path.join(os.environ["ACCEPTD_BUILD"], "acceptd")
