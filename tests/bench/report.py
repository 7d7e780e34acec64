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

`make bench` writes this file. `tests/bench/run --help` tells how to measure a part of it, another
build beside this one, or a million sessions.

## Echo

The yardstick is `tests/bench/yardstick_echo.c`, the least echo server that is correct: no timeouts,
no limits, no statistics, no supervision, no balance. CPU time per operation is judged with one worker on a core of its own, where the
yardstick equals itself within 4 %; with two workers and the client mixed on the same cores it
differs from itself by a quarter from round to round, and the ratio is shown only.

{echo}

## What the proxy costs

The floor is `tests/bench/yardstick_proxy.c`, the least proxy that is correct: it passes on bytes,
ends and resets, and has no timeouts, no limits, no statistics, no choice of servers, no supervision. The floor moves bytes by
recv and send, floor-splice by splice(2) through a pipe. nginx (its stream module) and HAProxy (its TCP mode) are
those of the distribution, without logs, with as many workers or threads as the others. Both are measured in each
third round only. One echo server (`tests/bench/yardstick_echo.c`) is the back end of all.

What an operation costs depends on how much is ready at each wake-up, and so on everybody's pace. It is measured in two ways, both with
real-time priority, so that nothing else gets in between. On a core of its own, client and back end on the others, a proxy is what it
is on a machine to itself; but the faster it is, the more often it sleeps and the smaller its batches are, so slow ones look
better than they are. In turns on one core, all find the same batches: this is the sharper comparison, in which the
floor equals itself within 2 %. Blocks are measured there only: on a core of its own who splices is done with a block long before
client and back end, which copy it four times, have the next one ready, and pays for a sleep and a wake-up instead of for the block.
Receive buffers keep the size they begin with (`net.ipv4.tcp_moderate_rcvbuf` is 0 in the run's namespace): how far one has
grown decides whether its acknowledgements are made in the time of the sender or of the receiver. The segments are the same, but by
chance a tenth of a block is counted for one process or for another.

{proxy}

## What the proxy protects from

The weak back end is `tests/bench/paced_back_end.c`: one thread, a backlog of {backlog}, {rate} accepts a second; the kernel drops the
SYNs of those who find its queue full, and they try again after 1 s, 3 s, 7 s. All clients connect at once. Whoever has no
answer in {timeout} s has failed. The same load goes straight at the back end (column paced-back-end), and through the
peers, to HAProxy as it is and with `maxconn {backlog}` at its server (column haproxy-queue), which makes it hold the rest in its own queue: that is as
good here, where sessions are short, and limits the back end to {backlog} sessions where they are not. acceptd is told the
backlog, and limits nothing but the connects under way.

{guard}

{summary}
"""


def wrap(text):
    """Prose filled anew, because the values in it have any length; the rest as it is."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(paragraph, 100, break_on_hyphens=False,
                                     break_long_words=False)
                       if paragraph[:1].isalpha() else paragraph for paragraph in paragraphs)


def write(path, tables, facts, summary):
    """The document; `facts` are what its text wants to know beside the tables."""
    by_name = {name: "Not measured." for name in ("echo", "proxy", "guard")}
    by_name.update({table.name: as_markdown(table.cells) for table in tables})
    # Versions are several lines each; a block keeps them as they are.
    versions = dict.fromkeys(line for table in tables for version in table.versions
                             for line in version.splitlines())
    text = TEXT.format(
        date=datetime.date.today().isoformat(), machine=machine(), summary=summary,
        versions="\n".join(f"    {line}" for line in versions), **facts, **by_name)
    path.write_text(wrap(text).rstrip() + "\n", encoding="utf-8")
