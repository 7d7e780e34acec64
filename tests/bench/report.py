"""The table, on the terminal and as docs/benchmarks.md."""

import dataclasses
import datetime
import os
import platform
import re
import textwrap


@dataclasses.dataclass
class Table:
    """A part of the report."""

    name: str
    rows: list
    cells: list  # headings first
    versions: list  # of the programs in it, several lines each


def verdict(row):
    """One word."""
    return {True: "met", False: "MISSED", None: ""}[row.is_met]


def cells(rows, ours, yardstick, others=()):
    """The table as text, headings first."""
    return [["what", ours, yardstick, *others, "ratio", "target", "verdict"]] + [
        [row.what, row.ours, row.yardstick, *(row.others.get(name, "") for name in others),
         row.ratio, row.target, verdict(row)] for row in rows]


def as_text(table):
    """Columns of even width."""
    widths = [max(map(len, column)) for column in zip(*table)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in table)


def as_markdown(table):
    """The same for the document."""
    head, *body = table
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine():
    """Processor, cores, memory, kernel."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        model = re.search(r"^model name\s*: (.*)$", cpuinfo.read(), re.M)
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        memory_kb = int(re.search(r"^MemTotal: +(\d+)", meminfo.read())[1])
    return (f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), "
            f"{memory_kb / 1048576:.0f} GiB, Linux {platform.release()}")


TEXT = """# Benchmarks

Made by `{command}` on {date} in {took_s:.0f} s; do not edit.
{machine}; load average at the beginning {load_average:.1f}.

{versions}

Client and servers share the machine over loopback, in a network namespace of the run's own. All
values come from one run. CPU time is measured in {cpu_rounds} rounds, bursts in {burst_rounds};
the contestants take turns, and a ratio is the median of the ratios of the rounds, with the least
and the greatest behind it. Take ratios, not absolutes: `tests/bench/run --self` tells how far, by measuring the yardsticks
beside themselves. CPU time, memory and wake-ups are those of all processes of a server, read
from outside. The client, `tests/bench/load.c`, checks every byte that comes back.
`tests/bench/run --help` tells how to measure a part of this.

## Echo

The yardstick is `tests/bench/yardstick_echo.c`, the least echo server that is correct: no timeouts,
no limits, no statistics, no supervision, no balance. CPU time per operation is judged with one worker on a core of its own, where the
yardstick equals itself within 4 %; with two workers and the client mixed on the same cores it
differs from itself by a quarter from round to round, and the ratio is shown only.

{echo}

## Proxy

{proxy_text}

{proxy}

{summary}
"""

PROXY_TEXT = """The floor is `tests/bench/yardstick_proxy.c`, the least proxy that is correct: it passes on bytes,
ends and resets, and has no timeouts, no limits, no statistics, no choice of servers, no supervision. It moves bytes by recv and
send, floor-splice moves them by splice(2) through a pipe. nginx (its stream module) and HAProxy (its TCP mode) are
those of the distribution, without logs, with as many workers or threads as the others and with room for all clients. One echo
server (`tests/bench/yardstick_echo.c`) is the back end of all."""


def wrap(text):
    """Prose filled anew, because the values in it have any length; the rest as it is."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(paragraph, 100, break_on_hyphens=False,
                                     break_long_words=False)
                       if paragraph[:1].isalpha() else paragraph for paragraph in paragraphs)


def write(path, tables, command, sizes, load_average, took_s, summary):
    """The document."""
    by_name = {table.name: as_markdown(table.cells) for table in tables}
    # Versions are several lines each; a block keeps them as they are.
    shown = "\n".join(f"    {line}" for table in tables for version in table.versions
                      for line in version.splitlines())
    text = TEXT.format(
        command=command, date=datetime.date.today().isoformat(), machine=machine(),
        load_average=load_average, took_s=took_s, versions=shown, cpu_rounds=sizes.cpu_rounds,
        burst_rounds=sizes.burst_rounds, echo=by_name.get("echo", "Not measured."),
        proxy=by_name.get("proxy", "Not measured."), proxy_text=PROXY_TEXT, summary=summary)
    path.write_text(wrap(text).rstrip() + "\n", encoding="utf-8")
