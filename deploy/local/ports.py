"""The TCP ports of a stack, and who has one that we want."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import astuple, dataclass
from pathlib import Path

from .errors import StackError

LISTENING = "0A"  # state in /proc/net/tcp


@dataclass(frozen=True)
class Ports:
    """All on 127.0.0.1."""

    devices: int = 8883
    ingest: int = 8884
    ingest_http: int = 9601
    analysis_http: int = 9602
    keeper_http: int = 9603

    @classmethod
    def starting_at(cls, first: int) -> "Ports":
        """Five ports in a row."""
        return cls(*range(first, first + 5))

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody has at this moment, for tests."""
        with contextlib.ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in range(5)]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            return cls(*(one.getsockname()[1] for one in sockets))

    def require_free(self) -> None:
        """An error that says who has the first port that is taken, and what to do."""
        for port in astuple(self):
            if not _is_free(port):
                raise StackError(f"port {port} is taken by {holder(port)}; stop it, or let Vedette use other ports, for example "
                                 f"./run --port {18883 if port != 18883 else 28883}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Whether some process listens there; seen from the outside, without a connection."""
    return bool(_listening_inodes(port))


def holder(port: int) -> str:
    """Name and number of the process that listens on a port, as far as we may see it."""
    inodes = _listening_inodes(port)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return f"another user's process (sudo ss -ltnp 'sport = :{port}' names it)"


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found
