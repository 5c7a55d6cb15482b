"""Processor time and memory of processes, from /proc."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import descendants

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """Microseconds of processor time."""

    user: int = 0
    system: int = 0

    @property
    def total(self) -> int:
        """User and system."""
        return self.user + self.system

    def __sub__(self, other: "Used") -> "Used":
        return Used(self.user - other.user, self.system - other.system)

    def __add__(self, other: "Used") -> "Used":
        return Used(self.user + other.user, self.system + other.system)


def _read(stat: Path, *, children: bool = False) -> Used:
    fields = stat.read_bytes().rpartition(b")")[2].split()
    user, system, child_user, child_system = (int(field) * TICK_US for field in fields[11:15])
    return Used(user + child_user, system + child_system) if children else Used(user, system)


def of_process(pid: int) -> Used:
    """All threads of a process, those that ended included."""
    return _read(Path(f"/proc/{pid}/stat"))


def with_ended(pid: int) -> Used:
    """A process, and those it has waited for."""
    return _read(Path(f"/proc/{pid}/stat"), children=True)


def of_family(pid: int) -> Used:
    """A process, those below it, and those it has waited for."""
    while True:
        reaped = _reaped(pid)
        used = with_ended(pid)
        for child in descendants(pid):
            with contextlib.suppress(OSError):
                used += of_process(child)
        if _reaped(pid) == reaped:  # otherwise one of them ended in between
            return used


def _reaped(pid: int) -> tuple[bytes, ...]:
    """Which children there are, and the time of those that were waited for: the same as long as none ends."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (fields[13], fields[14], Path(f"/proc/{pid}/task/{pid}/children").read_bytes())


def of_threads(pid: int) -> dict[str, Used]:
    """By role. Paho names its threads; the first thread is the loop; another one without a name is the journal's."""
    found: dict[str, Used] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            name = (task / "comm").read_text().strip()
            if int(task.name) == pid:
                name = "loop"
            elif name.startswith("vedette"):
                name = "journal sync"
            found[name] = found.get(name, Used()) + _read(task / "stat")
    return found


def resident_kib(pid: int, leave_out: str) -> tuple[int, int]:
    """Resident memory in KiB: without, and only, the mappings of files whose path contains `leave_out`."""
    rest, left = 0, 0
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            inside = len(words) > 5 and leave_out in words[5]
        elif words[0] == "Rss:":
            if inside:
                left += int(words[1])
            else:
                rest += int(words[1])
    return rest, left
