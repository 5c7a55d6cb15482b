"""What chaos does to a stack: a plan that follows from a seed, and the hands that carry it out. Single-threaded but for the cut."""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import signal
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import descendants
from deploy.local.stack import Stack

WORKER, ANALYSIS, STORE, BROKER = "vedette-ingest", "vedette-analysis", "postgres", "mosquitto"
SOCKET = ".s.PGSQL.5432"
LONGEST_S = 20.0  # of a fault
RESTART_S = 1.0   # after a worker has left by itself
DISK_MIB = 48     # of the journal, when it can be made full

# What may happen to whom, and how often relative to each other.
KINDS: dict[tuple[str, str], int] = {
    ("kill", WORKER): 5, ("stop", WORKER): 3, ("kill", BROKER): 2, ("stop", BROKER): 2, ("kill", STORE): 2, ("stop", STORE): 2,
    ("kill", ANALYSIS): 2, ("stall", "link"): 2, ("reset", "link"): 3, ("fill", "disk"): 2,
}


@dataclass(frozen=True)
class Fault:
    """One thing that happens: `kind` to `victim` at `at`, over at `until` (seconds since the start)."""

    kind: str
    victim: str
    at: float
    until: float

    def __str__(self) -> str:
        return f"{self.kind} {self.victim} for {self.until - self.at:.1f} s"


def plan(seed: int, seconds: float, *, without: frozenset[str] = frozenset()) -> list[Fault]:
    """The faults of a run in the order of their beginnings. Different victims may suffer at once, one has one fault at a time.
    Each kind comes once before any comes again, as far as the time reaches."""
    chance = random.Random(seed)
    kinds = [pair for pair in KINDS if not without & set(pair)]
    waiting = chance.sample(kinds, len(kinds))
    longest = min(LONGEST_S, max(3.0, seconds / 8))
    busy: dict[str, float] = {}
    faults: list[Fault] = []
    now = 2.0
    while now < seconds:
        kind, victim = waiting.pop() if waiting else chance.choices(kinds, [KINDS[pair] for pair in kinds])[0]
        begin = max(now, busy.get(victim, 0.0))
        lasts = 0.0 if kind == "kill" and chance.random() < 0.5 else chance.uniform(0.5, longest)
        if begin + lasts <= seconds:
            faults.append(Fault(kind, victim, begin, begin + lasts))
            busy[victim] = begin + lasts + 1.0
        now += chance.uniform(0.2, max(1.5, longest / 2))
    return sorted(faults, key=lambda fault: fault.at)


class Cut:
    """Forwards the database's Unix socket from one folder to another, until told to stall (nothing passes) or to reset."""

    def __init__(self, outer: Path, inner: Path) -> None:
        self._target = str(inner / SOCKET)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(outer / SOCKET))
        (outer / SOCKET).chmod(0o777)
        self._listener.listen(16)
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._ended = False
        self._wake, self._woken = os.pipe()
        threading.Thread(target=self._accept, name="cut", daemon=True).start()

    def stall(self) -> None:
        """Nothing passes any more, nobody is told."""
        self._open.clear()

    def reset(self) -> None:
        """Every connection breaks, and none is made."""
        self._open.clear()
        with self._lock:
            for pair in self._pairs:
                _shut(*pair)

    def heal(self) -> None:
        """Everything passes again."""
        self._open.set()

    def close(self) -> None:
        """Ends it for good."""
        self._ended = True
        self.reset()
        self._open.set()
        os.write(self._woken, b"x")
        self._listener.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as ready, contextlib.suppress(OSError, ValueError):
            ready.register(self._listener, selectors.EVENT_READ)
            ready.register(self._wake, selectors.EVENT_READ)
            while not self._ended:
                ready.select()
                self._open.wait()
                if not self._ended:
                    self._connect(self._listener.accept()[0])

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._target)
        except OSError:  # it is down
            _shut(client)
            client.close()
            server.close()
            return
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        pumps = [threading.Thread(target=self._pump, args=ends, daemon=True) for ends in (pair, pair[::-1])]
        for pump in pumps:
            pump.start()
        threading.Thread(target=self._forget, args=(pair, pumps), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
        _shut(source, target)

    def _forget(self, pair: tuple[socket.socket, socket.socket], pumps: list[threading.Thread]) -> None:
        for pump in pumps:
            pump.join()
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            end.close()


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Hands:
    """Carries faults out on a stack and restarts what is to run, as a service manager would. The main thread only."""

    def __init__(self, stack: Stack, cut: Cut) -> None:
        self.done: Counter[str] = Counter()
        self.restarts = 0  # of the worker after it left by itself, on a full disk
        self._stack = stack
        self._cut = cut
        self._down: set[str] = set()
        self._frozen: dict[str, list[int]] = {}
        self._ballast = stack.folder / "journal" / "ballast"
        self._disk_full = False
        self._start_at = 0.0  # of a worker that left by itself

    def begin(self, fault: Fault) -> None:
        """Does it."""
        self.done[f"{fault.kind} {fault.victim}"] += 1
        if fault.kind == "kill":
            self._down.add(fault.victim)
            self._stack.kill9(fault.victim)
        elif fault.kind == "stop":
            self._freeze(fault.victim)
        elif fault.kind == "fill":
            self._fill()
        elif fault.kind == "stall":
            self._cut.stall()
        else:
            self._cut.reset()

    def end(self, fault: Fault) -> None:
        """Undoes it."""
        if fault.kind == "kill":
            self._stack.processes[fault.victim].start()
            self._down.discard(fault.victim)
        elif fault.kind == "stop":
            self._thaw(fault.victim)
        elif fault.kind == "fill":
            self._ballast.unlink(missing_ok=True)
        else:
            self._cut.heal()

    def supervise(self) -> None:
        """Nobody may leave by himself, but the worker when its disk is full: it is started again until it stays."""
        for name in (WORKER, ANALYSIS, STORE, BROKER):
            process = self._stack.processes[name]
            if name in self._down or process.alive():
                continue
            if name != WORKER or not self._disk_full:
                raise AssertionError(f"it left by itself: {process.failure()}")
            if self._start_at == 0.0:
                self._start_at = time.monotonic() + RESTART_S
            elif time.monotonic() >= self._start_at:
                self._start_at = 0.0
                self.restarts += 1
                process.start()

    def release(self) -> None:
        """Lets everybody go on, whatever was under way: who is frozen cannot end."""
        for name in list(self._frozen):
            self._thaw(name)
        self._ballast.unlink(missing_ok=True)
        self._cut.heal()

    def _freeze(self, name: str) -> None:
        """Stops a process and all below it. A worker that has just left by itself is left alone."""
        if not self._stack.processes[name].alive():
            return
        pid = self._stack.processes[name].pid
        self._frozen[name] = [pid]
        os.kill(pid, signal.SIGSTOP)  # first, so that it makes no more children
        for child in descendants(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)
                self._frozen[name].append(child)

    def _thaw(self, name: str) -> None:
        """Lets it go on. The parent was stopped all the time: none of these numbers can be another process's now."""
        for pid in reversed(self._frozen.pop(name, [])):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _fill(self) -> None:
        """Takes all room of the journal's disk."""
        self._disk_full = True  # from the first time on: the worker may notice late
        with open(self._ballast, "wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(bytes(65536)):
                pass
