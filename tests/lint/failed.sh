#!/bin/sh
# tools/failed finds the name of every test that failed, and no other.
set -eu
cd "$(dirname "$0")/../.."
expected='test_echo.py
test_proxy.py::test_it[a b]
test_proxy_ends.py::test_every_end[drain]
tests/system/run
tests/unit/test_clock
tests/unit/test_clock.c:71: it_goes_on
tests/unit/test_text.c:12: it_ends'
found=$(
	tools/failed <<'LOG'
PASS: tests/unit/test_text
FAIL: tests/system/run
ERROR: tests/unit/test_clock
# FAIL:  1
80%: Checks: 5, Failures: 1, Errors: 0
../../tests/unit/test_text.c:12:F:core:it_ends:0: Assertion 'a == b' failed
../tests/unit/test_clock.c:71:E:core:it_goes_on:3: (after this point) Early exit
../tests/unit/test_clock.c:80:P:core:it_passes:0: Passed
E   AssertionError: FAILED test_no.py::test_name - at the beginning of a line
2026-11-21T17:34:19.440Z error master[1]: FAIL: a line of a server
FAILED test_proxy_ends.py::test_every_end[drain] - AssertionError: not within 20 s
ERROR test_proxy.py::test_it[a b]
ERROR test_echo.py - SyntaxError: invalid syntax
SKIPPED [1] test_names.py:421: built with c-ares
FAIL tests/system/run (exit status: 1)
FAILED test_proxy_ends.py::test_every_end[drain] - AssertionError: not within 20 s
LOG
)
[ "$found" = "$expected" ] || { printf '%s\n' "tools/failed finds:" "$found" >&2; exit 1; }
