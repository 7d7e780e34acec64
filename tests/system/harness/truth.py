"""What must hold of the statistics at any instant."""
import re
import threading

from .admin import asked_json
from .waiting import PATIENCE, seconds

GAUGES = re.compile(r"CurrEstab|master\.(start_time_seconds|generation)|.*\.(open|queue_depth|"
                    r"queue_limit|queue_asked|queue_peak.*|drained|resident_bytes|"
                    r"longest_turn_us)$")


class Watch:
    """Asks for every statistic again and again; a counter that falls is remembered."""

    def __init__(self, server):
        self.server, self.fallen, self.last, self.looks = server, [], {}, 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def look(self):
        now = asked_json(self.server, "stats")
        for name, value in now.items():
            if not GAUGES.match(name) and value < self.last.get(name, 0):
                self.fallen.append(f"{name}: {self.last[name]}, then {value}")
        missing = [name for name in self.last if name not in now]
        self.fallen += [f"{name}: gone" for name in missing]
        self.last = now
        self.looks += 1

    def _run(self):
        while not self._end.wait(0.02):
            self.look()

    def __enter__(self):
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(seconds(PATIENCE))
        self.look()
