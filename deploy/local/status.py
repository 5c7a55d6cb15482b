"""The live status of a running stack: one screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from types import TracebackType

from .observe import Observer, Snapshot
from .stack import Stack

PLAIN_EVERY_S = 5.0
MOST_ALERTS = 10
HOME, CLEAR, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
BOLD, DIM, RED, YELLOW, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
COLOURS = {"critical": RED, "major": RED, "warning": YELLOW, "info": ""}


class Display:
    """Draws snapshots of a stack; a context manager that leaves the terminal as it was."""

    def __init__(self, stack: Stack, *, simulated: bool) -> None:
        self._stack = stack
        self._simulated = simulated
        self._observer = Observer(stack)
        self._screen = sys.stdout.isatty()
        self._notes: deque[str] = deque(maxlen=4)
        self._open: dict[int, str] = {}
        self._next_line = 0.0

    def __enter__(self) -> "Display":
        if self._screen:
            sys.stdout.write(CLEAR + HIDE_CURSOR)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._screen:
            sys.stdout.write(PLAIN + SHOW_CURSOR + "\n")
            sys.stdout.flush()
        self._observer.close()

    def note(self, line: str) -> None:
        """Something that happened to the stack itself."""
        stamped = f"{time.strftime('%H:%M:%S')} {_printable(line)}"
        self._notes.append(stamped)
        if not self._screen:
            print(stamped, flush=True)

    def draw(self) -> None:
        """Looks and shows."""
        snapshot = self._observer.look()
        if self._screen:
            self._draw_screen(snapshot)
        else:
            self._print_lines(snapshot)

    def _draw_screen(self, snapshot: Snapshot) -> None:
        width, height = shutil.get_terminal_size()
        body = []
        for text, style in self._lines(snapshot)[: height - 1]:
            body.append(style + _printable(text)[:width] + (PLAIN if style else "") + REST_OF_LINE)
        sys.stdout.write(HOME + "\n".join(body) + "\n" + REST_OF_SCREEN)
        sys.stdout.flush()

    def _lines(self, now: Snapshot) -> list[tuple[str, str]]:
        """The screen as lines with their style."""
        ports = self._stack.ports
        lines = [(f"Vedette  {time.strftime('%H:%M:%S')}   devices at mqtts://127.0.0.1:{ports.devices}   data in .run   "
                  "Ctrl-C stops it all", BOLD), ("", "")]
        lines += [(line, "") for line in devices_lines(now)]
        lines += [(reports_line(now), ""), ("", "")]
        lines += self._alert_lines(now)
        if self._simulated:
            lines += [("", ""), ("Scripted faults active now (from the simulator's truth file)", BOLD)]
            lines += [(f"  {fault}", "") for fault in now.faults[:8]] or [("  none", DIM)]
        lines += [("", "")] + [(line, YELLOW) for line in (*self._notes, *now.troubles)]
        return lines + [(hint, DIM) for hint in self._hints()]

    def _alert_lines(self, now: Snapshot) -> list[tuple[str, str]]:
        lines = [(f"Open alerts: {now.alerts_open}", BOLD)]
        for alert in now.alerts[:MOST_ALERTS]:
            when = f"{alert.opened.astimezone():%H:%M:%S}"
            lines.append((f"  {when} {alert.severity:8} {alert.kind:22.22} {alert.credential}: {alert.sentence}",
                          COLOURS.get(alert.severity, "")))
        if now.alerts_open > MOST_ALERTS:
            lines.append((f"  … and {now.alerts_open - MOST_ALERTS} older ones", DIM))
        return lines

    def _hints(self) -> list[str]:
        build = self._stack.programs.build
        command = f"{build.relative_to(build.parents[1])}/cli/vedette --config .run/vedette.yaml"
        return [f"In another terminal:  {command} alert list", f"{'':22}{command} device list   (or: tail, status)"]

    def _print_lines(self, now: Snapshot) -> None:
        current = {alert.number: f"{alert.severity} {alert.kind} {alert.credential}" for alert in now.alerts}
        for alert in reversed(now.alerts):
            if alert.number not in self._open:
                self.note(f"ALERT {alert.severity} {alert.kind} {alert.credential}: {alert.sentence}")
        if now.complete:
            for number in self._open.keys() - current.keys():
                if number not in now.open_numbers:
                    self.note(f"cleared {self._open[number]}")
            self._open = {number: text for number, text in {**self._open, **current}.items() if number in now.open_numbers}
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + PLAIN_EVERY_S
            summary = "; ".join(part.strip() for part in (*devices_lines(now), reports_line(now), *now.troubles))
            self.note(f"{summary}; open alerts {now.alerts_open}; faults active {len(now.faults)}")


def _printable(text: str) -> str:
    """Names and sentences hold what devices sent: nothing of it may reach the terminal as a command."""
    return "".join(char if char.isprintable() else "?" for char in text)


def devices_lines(now: Snapshot) -> list[str]:
    """Who is there."""
    heard = sum(count for state, count in now.connectivity.items() if state != "never seen")
    states = ", ".join(f"{count} {state}" for state, count in sorted(now.connectivity.items(), key=lambda item: -item[1]))
    lines = [f"Devices   {sum(now.connectivity.values())} registered, {heard} heard" + (f" ({states})" if states else "")]
    if now.simulator:
        lines.append(f"Simulator {now.simulator}")
    return lines


def reports_line(now: Snapshot) -> str:
    """What went through."""
    return (f"Reports   {now.rate:.1f}/s, {now.stored:,} stored, {now.pending:,} pending, {now.rejected:,} rejected, "
            f"{now.duplicates:,} duplicate")
