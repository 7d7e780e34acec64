"""Trouble that only the C library can make: memory that runs out in one process, a wall clock that
jumps (preload.c). For builds without a sanitizer, which has an allocator of its own."""
import mmap
import os
import shutil
import struct

FIELDS = ("clock_offset_seconds", "pid", "permille", "failed")


class Preload:
    """In a server's directory; its children inherit it (build with --enable-faults)."""

    def __init__(self, directory):
        library = os.path.join(directory, "preload.so")
        shutil.copy(os.path.join(os.environ["ACCEPTD_BUILD"], "tests/system/preload.so"), library)
        os.chmod(library, 0o755)
        with open(library + ".orders", "wb") as file:
            file.write(bytes(8 * len(FIELDS)))
        os.chmod(library + ".orders", 0o666)  # the workers' user counts in it
        with open(library + ".orders", "r+b") as file:
            self.orders = mmap.mmap(file.fileno(), 8 * len(FIELDS))
        self.environment = {"LD_PRELOAD": library}

    def read(self, field):
        return struct.unpack_from("q", self.orders, 8 * FIELDS.index(field))[0]

    def order(self, field, value):
        struct.pack_into("q", self.orders, 8 * FIELDS.index(field), value)

    def starve(self, pid, permille):
        """So many of a thousand allocations of this process fail from now on."""
        self.order("permille", permille)
        self.order("pid", pid)

    def feed(self):
        self.order("pid", 0)

    def jump(self, offset_seconds):
        """The wall clock shows this much more than the real time."""
        self.order("clock_offset_seconds", int(offset_seconds))
