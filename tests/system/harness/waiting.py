"""Waiting for facts, never for time. Every limit goes through seconds(), because a build with
sanitizers is several times slower than one without."""
import os
import time

SCALE = float(os.environ.get("ACCEPTD_TIME_SCALE", "1"))
SANITIZED = False


def set_sanitized():
    """The program was built with a sanitizer. The environment has the last word on the scale."""
    global SCALE, SANITIZED
    SANITIZED = True
    if "ACCEPTD_TIME_SCALE" not in os.environ:
        SCALE = 4.0


def is_sanitized():
    return SANITIZED


def seconds(limit):
    return limit * SCALE


def wait_for(what, fact, limit=5.0):
    """Ask until fact() is true (its value is returned) or the limit, in seconds, has passed."""
    end = time.monotonic() + seconds(limit)
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds(limit):g} s: {what}")
        time.sleep(0.01)


def holds_for(what, fact, duration):
    """The opposite claim: fact() stays true for so many seconds."""
    end = time.monotonic() + duration
    while time.monotonic() < end:
        assert fact(), f"no longer true: {what}"
        time.sleep(0.01)
