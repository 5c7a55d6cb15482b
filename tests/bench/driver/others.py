"""What else the machine was doing: figures that were taken beside other work say nothing."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path

from . import cpu
from deploy.local.processes import descendants, wait_until

QUIET = 0.1         # cores that others may use; the kernel's own threads are among them
LOOK_S = 2.0
LONGEST_WAIT_S = 120.0


class Others:
    """Processor time of all that is not ours, from its making on."""

    def __init__(self) -> None:
        self._begun, self._all, self._ours = time.monotonic(), _all_us(), _ours_us()

    def cores(self) -> float:
        """How many cores they have used since, on average. Time that the host took from this machine counts as theirs."""
        others = (_all_us() - self._all) - (_ours_us() - self._ours)
        return max(0.0, others / 1e6 / (time.monotonic() - self._begun))


def wait_quiet() -> bool:
    """Waits until others leave the machine alone; False when they do not for too long."""
    def quiet() -> bool:
        others = Others()
        time.sleep(LOOK_S)
        return others.cores() < QUIET

    return wait_until(quiet, LONGEST_WAIT_S)


def _all_us() -> int:
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]]
    user, nice, system, stolen = (*fields[:3], fields[7])  # not interrupts: they are counted with no process, or with the wrong one
    return (user + nice + system + stolen) * cpu.TICK_US


def _ours_us() -> int:
    """We, our children that ended, and all processes below us."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = cpu.of_process(os.getpid()).total + int((ended.ru_utime + ended.ru_stime) * 1e6)
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            used += cpu.with_ended(pid).total
    return used
