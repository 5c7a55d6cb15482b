"""A client that asks the broker for a sign of life again and again, and remembers how long each took."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path

from deploy.local.errors import StackError

CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe"  # MQTT 3.1.1, clean session, keepalive 60 s
CONNACK = b"\x20\x02\x00\x00"
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"
PAUSE_S = 0.01
LONGEST_S = 60.0


class Probe:
    """PINGREQ to PINGRESP over mutual TLS, on a thread of its own, from its making to `end`."""

    def __init__(self, port: int, ca: Path, certificate: Path, key: Path) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(certificate, key)
        self._session = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S), server_hostname="127.0.0.1")
        self._session.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ask(CONNECT, CONNACK)
        self._trips: list[tuple[float, float]] = []  # monotonic begin and end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe")
        self._thread.start()

    def _ask(self, question: bytes, answer: bytes) -> None:
        self._session.sendall(question)
        got = b""
        while len(got) < len(answer):
            more = self._session.recv(len(answer) - len(got))
            if not more:
                raise OSError("the broker closed the connection")
            got += more
        if got != answer:
            raise OSError(f"the broker answered {got!r}")

    def _run(self) -> None:
        try:
            while not self._stop.wait(PAUSE_S):
                begun = time.monotonic()
                self._ask(PINGREQ, PINGRESP)
                self._trips.append((begun, time.monotonic()))
        except OSError:
            pass  # `end` sees that it stopped early

    def end(self) -> None:
        """Leaves; an error if the broker was lost before."""
        lost = not self._thread.is_alive()
        self._stop.set()
        self._thread.join()
        self._session.close()
        if lost:
            raise StackError("the probing client lost the broker")

    def round_trips_ms(self, begun: float, ended: float) -> list[float]:
        """Those that were under way at some moment of a span."""
        return [(back - out) * 1000 for out, back in list(self._trips) if out <= ended and back >= begun]
