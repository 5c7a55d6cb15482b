"""Child processes: started unprivileged, logged to a file, stopped in time, never left behind.

A child gets its stop signal from the kernel when the thread that started it dies (setpriv --pdeathsig), so start them from the
main thread. It is in a session of its own, so Ctrl-C reaches only us and we decide the order of stopping.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .account import Account
from .errors import StackError

KEPT_ENVIRONMENT = ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "TZ")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What children see: nothing of the caller's but the sanitizers' settings."""
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", **kept, **(extra or {})}


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot: with the pid it names a process for good. None: no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def wait_until(condition: Callable[[], object], deadline: float, step: float = 0.02) -> bool:
    """Polls until the condition holds (True) or `deadline` seconds have passed (False)."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(step)
    return True


def as_account(account: Account, stop_signal: signal.Signals | None = None) -> list[str]:
    """The words before a command that move it to the account and tie its life to ours."""
    words = []
    if account.switch:
        words += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--inh-caps=-all", "--no-new-privs"]
    if stop_signal is not None:
        words.append(f"--pdeathsig={stop_signal.name}")
    return ["/usr/bin/setpriv", *words, "--"] if words else []


def run(argv: Sequence[str | Path], account: Account, *, timeout: float = 120, text_input: str | None = None) -> str:
    """Runs a command to its end as the account and returns what it printed; a failure is a StackError with its last words."""
    words = [*as_account(account, signal.SIGKILL), *map(str, argv)]
    try:
        done = subprocess.run(words, env=environment(), input=text_input, capture_output=True, text=True,
                              timeout=timeout, cwd="/", stdin=None if text_input is not None else subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise StackError(f"cannot run {argv[0]}: {error.strerror}; install what deploy/packages.txt lists") from None
    except subprocess.TimeoutExpired:
        raise StackError(f"{Path(argv[0]).name} did not finish within {timeout:.0f} s") from None
    if done.returncode != 0:
        said = last_words(done.stderr or done.stdout)
        raise StackError(f"{Path(argv[0]).name} failed ({describe_exit(done.returncode)}): {said}")
    return done.stdout


def last_words(text: str, lines: int = 3) -> str:
    """The last lines of an output, joined into one."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-lines:]) or "it said nothing"


def describe_exit(code: int) -> str:
    """A return code in words."""
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Process:
    """One child process with its log file. Not thread-safe."""

    def __init__(self, name: str, argv: Sequence[str | Path], log: Path, account: Account, *,
                 stop_signal: signal.Signals = signal.SIGTERM, extra_environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = log
        self.account = account
        self.stop_signal = stop_signal
        self.extra_environment = dict(extra_environment or {})
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._asked = False

    def start(self) -> None:
        """Starts the program, appending to its log."""
        if self.alive():
            raise StackError(f"{self.name} runs already")
        self._asked = False
        with open(self.log, "ab") as log:
            self._log_start = log.tell()
            try:
                self._child = subprocess.Popen(
                    [*as_account(self.account, self.stop_signal), *self.argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd="/", env=environment(self.extra_environment), start_new_session=True, umask=0o077)
            except OSError as error:
                raise StackError(f"cannot start {self.name} ({self.argv[0]}): {error.strerror}") from None

    @property
    def pid(self) -> int:
        """Number of the process; only after a start."""
        if self._child is None:
            raise StackError(f"{self.name} was never started")
        return self._child.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.poll() is None

    def exit_code(self) -> int | None:
        """Its return code, negative for a signal; None while it runs or before the first start."""
        return None if self._child is None else self._child.poll()

    def log_text(self) -> str:
        """What it has logged since its last start."""
        with open(self.log, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def failure(self) -> str:
        """One line about why it is not running."""
        code = self.exit_code()
        how = "is not running" if code is None else describe_exit(code)
        return f"{self.name} {how}: {last_words(self.log_text())} (log: {self.log})"

    def wait_ready(self, ready: Callable[[], object], deadline: float, what: str) -> None:
        """Waits until `ready` holds; a process that ends meanwhile, or a passed deadline, is an error with its last words."""
        is_up = False

        def settled() -> bool:
            nonlocal is_up
            is_up = bool(ready())
            return is_up or not self.alive()

        wait_until(settled, deadline)
        if not self.alive():
            raise StackError(self.failure())
        if not is_up:
            raise StackError(f"{self.name} was not {what} within {deadline:.0f} s: "
                             f"{last_words(self.log_text())} (log: {self.log})")

    def ask_to_stop(self) -> None:
        """Sends the stop signal, once (a second one would tell it to drop everything), and returns."""
        if self.alive() and not self._asked:
            self._asked = True
            self._signal(self.stop_signal)

    def stop(self, grace: float = 5) -> int | None:
        """Stops it, by force after `grace` seconds; returns its exit code."""
        if self._child is None:
            return None
        if self.alive():
            self.ask_to_stop()
            if not wait_until(lambda: start_time(self.pid) is None, grace):
                self.kill9()
            else:  # its number is ours until it is waited for: what it left in its group can be ended safely
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
        return self._child.wait()

    def kill9(self) -> None:
        """Kills it and every process below it without a warning, and waits until they are gone."""
        if self._child is None:
            return
        family = [(pid, start_time(pid)) for pid in descendants(self._child.pid)] if self.alive() else []
        self._signal(signal.SIGKILL)
        self._child.wait()
        for pid, begun in family:
            if begun is not None and start_time(pid) == begun:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(begun is None or start_time(pid) != begun for pid, begun in family), 10)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, as far as they are there at this moment."""
    found: list[int] = []
    pending = [pid]
    while pending:
        for child in _children(pending.pop()):
            found.append(child)
            pending.append(child)
    return found


def _children(pid: int) -> Iterator[int]:
    for task in Path("/proc").glob(f"{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, task.read_text().split())


def stop_recorded(pid: int, begun: int, number: int, grace: float = 8) -> bool:
    """Stops a process that another run of ours recorded by number and start time; True when there was something to stop."""
    if start_time(pid) != begun:
        return False
    for attempt in (number, signal.SIGKILL):
        try:
            os.kill(pid, attempt)
        except ProcessLookupError:
            break
        except PermissionError:
            raise StackError("what runs here was started by another user; as root or with sudo, run: ./run down") from None
        if wait_until(lambda: start_time(pid) != begun, grace):
            break
    return True
