"""Keeps the parts of a running stack running: what ends by itself is started again, a few times."""

from __future__ import annotations

import time
from collections import deque

from .errors import StackError
from .processes import describe_exit
from .stack import Stack

MOST_RESTARTS = 5
WINDOW_S = 60.0


class Supervisor:
    """Looks after the processes of a stack. A part that ends too often is an error with its last words."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._restarts: dict[str, deque[float]] = {}
        self._finished: set[str] = set()

    def look(self) -> list[str]:
        """Starts again what has ended; returns a line for each."""
        lines = []
        for name, process in self._stack.processes.items():
            code = process.exit_code()
            if code is None or name in self._finished:
                continue
            if code == 0 and name == "vedette-sim":  # it had no more to publish
                self._finished.add(name)
                lines.append("vedette-sim has finished")
                continue
            self._remember(name)
            lines.append(f"{name} ended ({describe_exit(code)}) and was started again")
            process.start()
        if lines:
            self._stack.record()
        return lines

    def _remember(self, name: str) -> None:
        times = self._restarts.setdefault(name, deque())
        now = time.monotonic()
        while times and times[0] < now - WINDOW_S:
            times.popleft()
        times.append(now)
        if len(times) > MOST_RESTARTS:
            raise StackError("it keeps ending: " + self._stack.processes[name].failure())
