"""The session log: one line of key=value for each connection that ended."""
import re

VALUE = r"[^\s=\"\\]|\\x[0-9a-f]{2}"
LINE = re.compile(rf"time=\S+( \w+=(?:{VALUE})+)+")


def parsed(line):
    """{key: value}; a line of any other form is a mistake."""
    assert LINE.fullmatch(line), line
    return dict(field.split("=", 1) for field in line.split(" "))


def lines(*paths):
    """Those of several files in order; a file may not be there yet."""
    found = []
    for path in paths:
        try:
            with open(path, encoding="ascii") as file:
                text = file.read()
        except FileNotFoundError:
            continue
        # what is just being written may show only in part
        found += [parsed(line) for line in text[:text.rfind("\n") + 1].splitlines()]
    return found
