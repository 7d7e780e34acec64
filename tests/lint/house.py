#!/usr/bin/python3
"""The rules of the house that a machine can read: who includes whom, sizes, left-overs.

  house.py DIRECTORY        prints file:line: what; exit 1 when a rule is broken

- common/ includes only common/, and there only files listed above it in COMMON;
- the other folders include common/ and themselves, never each other; master/main.c may join them;
- paths are from the root, in the order own header, system, common/, own folder, each sorted;
- only common/clock.c reads clocks, so that no deadline goes by a clock that somebody sets;
- headers have #pragma once and no typedef of a struct;
- a file ends at 700 lines, a function at 60 unless a comment at its head says "Long because";
- blocks nest three deep at most, and a function has seven parameters at most;
- nothing is left open for later.
"""
import os
import re
import sys

# The order inside common/: a file uses only files above it.
COMMON = """defs protocols.def stats.def text fault clock log address endpoint network siphash maglev proxy_protocol descriptor net loop json table
privilege cell sources config histogram board channel child_end inherit snmp sock_diag machine doctor.h examination
doctor""".split()
FOLDERS = ("common", "master", "worker", "monitor", "ctl")
JOINS = ("master/main.c",)  # the program: it may call the other folders' entry points
FILE_MAX, FUNCTION_MAX, NESTING_MAX, PARAMETERS_MAX = 700, 60, 3, 7
LEFT_OPEN = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|not implemented", re.IGNORECASE)
CLOCK = re.compile(r"\b(clock_gettime|gettimeofday|time|ftime|timespec_get|ev_time|ev_now)\s*\(")
INCLUDE = re.compile(r'\s*#\s*include\s+([<"])([^>"]+)[>"]')


def sources(top):
    for folder, folders, files in os.walk(top):
        at_top = os.path.samefile(folder, top)
        folders[:] = sorted(
            f for f in folders
            if f not in (".git", "autom4te.cache", "__pycache__")
            and not (at_top and re.match(r"build|b-|acceptd-\d", f)))
        for name in sorted(files):
            yield os.path.relpath(os.path.join(folder, name), top)


def stem(path):
    """common/net.h, common/net.c, common/config_file.c -> the name in COMMON, or None."""
    name = os.path.basename(path)
    if name in COMMON:
        return name
    name = name.rsplit(".", 1)[0]
    while name not in COMMON and "_" in name:  # config_load.c belongs to config
        name = name.rsplit("_", 1)[0]
    return name if name in COMMON else None


class Lint:
    def __init__(self, top):
        self.top = top
        self.errors = 0

    def error(self, path, line, text):
        self.errors += 1
        print(f"{path}:{line}: error: {text}")

    def run(self):
        for path in sources(self.top):
            if path.endswith((".c", ".h", ".def", ".py", ".sh")) or path in ("quickstart",) \
                    or path.startswith("tools/"):
                with open(os.path.join(self.top, path), encoding="utf-8") as file:
                    lines = file.read().split("\n")
                self.left_open(path, lines)
                if path.endswith((".c", ".h")) and path != "build.h":
                    self.sizes(path, lines)
                    self.includes(path, lines)
                    self.headers(path, lines)
                    self.clocks(path, lines)
        return self.errors

    def clocks(self, path, lines):
        if path.split("/")[0] in FOLDERS and path != "common/clock.c":
            for number, line in enumerate(lines, 1):
                if CLOCK.search(re.sub(r"/\*.*|\".*?\"", "", line)) and not line.startswith(" *"):
                    self.error(path, number, "reads a clock; ask common/clock.h")

    def left_open(self, path, lines):
        for number, line in enumerate(lines, 1):
            if LEFT_OPEN.search(line) and path != "tests/lint/house.py":
                self.error(path, number, "left open; do it, or leave it out")

    def sizes(self, path, lines):
        if len(lines) - 1 > FILE_MAX:
            self.error(path, len(lines) - 1, f"more than {FILE_MAX} lines; split the duty")
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
                self.parameters(path, lines[:number - 1])
            elif line == "}" and start is not None:
                length = number - start - 1
                head = "\n".join(lines[max(0, start - 10):start + 5])
                if length > FUNCTION_MAX and "Long because" not in head:
                    self.error(path, start, f"function of {length} lines; at most {FUNCTION_MAX}, "
                               'or a comment "Long because ..." at its head')
                self.nesting(path, start, lines[start:number - 1])
                start = None

    def nesting(self, path, start, body):
        depth = 0
        for number, line in enumerate(body, start + 1):
            depth -= line.lstrip().startswith("}")
            depth += line.endswith("{")
            if depth > NESTING_MAX and line.endswith("{"):
                self.error(path, number, f"a block {depth} deep; at most {NESTING_MAX}")

    def parameters(self, path, before):
        """The layout puts a function's name at the start of a line."""
        begin = next((i for i in range(len(before) - 1, -1, -1) if re.match(r"\w+\(", before[i])),
                     None)
        if begin is None:
            return
        commas = re.sub(r"\([^()]*\)", "", " ".join(before[begin:]).split("(", 1)[1]).count(",")
        if commas >= PARAMETERS_MAX:
            self.error(path, begin + 1, f"{commas + 1} parameters; at most {PARAMETERS_MAX}")

    def headers(self, path, lines):
        if not path.endswith(".h"):
            return
        if "#pragma once" not in lines:
            self.error(path, 1, "header without #pragma once")
        for number, line in enumerate(lines, 1):
            if re.match(r"\s*typedef\s+struct\b", line):
                self.error(path, number, "no typedef for structs")

    def includes(self, path, lines):
        folder = path.split("/")[0]
        found = []
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            kind, name = match.groups()
            if kind == '"':
                self.who(path, folder, number, name)
            if not name.endswith(".def"):
                found.append((number, kind, name))
        self.order(path, folder, found)

    def who(self, path, folder, number, name):
        if name == "build.h" or folder not in FOLDERS:
            return
        target = name.split("/")[0]
        if "/" not in name:
            self.error(path, number, f'"{name}": paths are from the root')
        elif target not in FOLDERS:
            self.error(path, number, f'"{name}": not a folder of the house')
        elif target == "common" and folder == "common":
            mine, other = stem(path), stem(name)
            if mine is None or other is None:
                self.error(path, number, f"{path if mine is None else name} is not in the order of "
                           "common/ (COMMON in tests/lint/house.py)")
            elif COMMON.index(other) > COMMON.index(mine):
                self.error(path, number, f'"{name}" stands below {mine} in the order of common/')
        elif target not in ("common", folder) and path not in JOINS:
            self.error(path, number, f'"{name}": {folder}/ never includes {target}/')

    def order(self, path, folder, found):
        def is_own(name):  # worker/upstream.h and worker/upstream_private.h for worker/upstream_plan.c
            return path.endswith(".c") and path.startswith(re.sub(r"(_private)?\.h$", "", name))

        def rank(kind, name):
            if kind == "<":
                return 1
            if name == "build.h" or (is_own(name) and last in (None, (0, ""))):
                return 0
            return 2 if name.startswith("common/") else 3
        last = None
        for number, kind, name in found:
            key = (rank(kind, name), name if rank(kind, name) else "")
            if folder in FOLDERS and last is not None and key < last:
                self.error(path, number, f"{name}: order is own header, system, common/, own "
                           "folder, each sorted")
                return
            last = key


if __name__ == "__main__":
    sys.exit(1 if Lint(sys.argv[1] if len(sys.argv) > 1 else ".").run() else 0)
