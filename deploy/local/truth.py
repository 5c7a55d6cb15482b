"""Reads the simulator's truth file: JSON lines, one when a fault begins (`end` null), one with both times when it ends."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

Key = tuple[str, str, str]  # fault, device, start


class TruthReader:
    """Follows the file; each look reads only what is new. A line that is not finished waits for the next look."""

    def __init__(self, path: Path, *, from_now_on: bool = True) -> None:
        self._path = path
        self._offset = path.stat().st_size if from_now_on and path.exists() else 0  # earlier runs ended without an end line
        self._active: dict[Key, dict[str, Any]] = {}

    def active(self) -> list[str]:
        """The faults that are on now, in words: one line for each fault and kind, oldest first."""
        self._read()
        groups: dict[tuple[str, str], list[str]] = {}
        since: dict[tuple[str, str], str] = {}
        for row in self._active.values():
            group = (row["fault"], row["kind"])
            groups.setdefault(group, []).append(row["device"])
            since.setdefault(group, row["start"][11:19])
        return [f"{since[group]} {group[1]:16} {group[0]}: {_some(devices)}" for group, devices in groups.items()]

    def counts(self) -> Counter[str]:
        """How many devices each kind of fault is on for."""
        self._read()
        return Counter(row["kind"] for row in self._active.values())

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return
        whole = content.rpartition(b"\n")[0]
        self._offset += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            row = json.loads(line)
            key = (row["fault"], row["device"], row["start"])
            if row["end"] is None:
                self._active[key] = row
            else:
                self._active.pop(key, None)


def _some(devices: list[str], most: int = 4) -> str:
    shown = ", ".join(devices[:most])
    return shown if len(devices) <= most else f"{shown} and {len(devices) - most} more"
