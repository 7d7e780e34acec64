"""Waiting for facts, never for time. Every limit goes through seconds(), because a build with
sanitizers is several times slower than one without, and everything is slower on a machine that
others use too. What has no limit of its own has PATIENCE: far more than it takes."""
import os
import time

SCALE = float(os.environ.get("ACCEPTD_TIME_SCALE", "1"))
SANITIZED = False
PATIENCE = 20.0


def set_sanitized():
    """The program was built with a sanitizer. The environment has the last word on the scale."""
    global SCALE, SANITIZED
    SANITIZED = True
    if "ACCEPTD_TIME_SCALE" not in os.environ:
        SCALE = 4.0


def is_sanitized():
    return SANITIZED


def crowding():
    """How many want each of our processors, now or within the last minute; at least 1."""
    with open("/proc/loadavg", encoding="ascii") as file:
        words = file.read().split()
    wanting = max(float(words[0]), float(words[3].split("/")[0]))
    return max(1.0, wanting / len(os.sched_getaffinity(0)))


def seconds(limit):
    return limit * SCALE * crowding()


def wait_for(what, fact, limit=PATIENCE):
    """Ask until fact() is true (its value is returned) or the limit, in seconds, has passed."""
    began = time.monotonic()
    while True:
        value = fact()
        if value:
            return value
        passed = time.monotonic() - began
        if passed > limit and passed > seconds(limit):
            raise AssertionError(f"not within {passed:.1f} s: {what}")
        time.sleep(0.01)


def holds_for(what, fact, duration):
    """The opposite claim: fact() stays true for so many seconds."""
    end = time.monotonic() + duration
    while time.monotonic() < end:
        assert fact(), f"no longer true: {what}"
        time.sleep(0.01)
