"""A broker that is its own witness: MQTT 5 over mutual TLS for exactly the session of one ingest worker.

It plays prepared messages with QoS 1 as a real broker with a kept session does: no more under way than the worker's Receive
Maximum, each kept until its PUBACK, all that are not acknowledged sent again with DUP when the worker comes back. What the worker
acknowledged, and when, is written down here and nowhere near the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.pki import INGEST_NAME

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
NOT_AUTHORISED = 0x87
# Properties that a CONNECT of the worker may have, with their sizes in bytes.
SESSION_EXPIRY, RECEIVE_MAXIMUM, TOPIC_ALIASES, PACKET_MAXIMUM, RESPONSES, PROBLEMS = 0x11, 0x21, 0x22, 0x27, 0x19, 0x17
PROPERTY_SIZES = {SESSION_EXPIRY: 4, RECEIVE_MAXIMUM: 2, TOPIC_ALIASES: 2, PACKET_MAXIMUM: 4, RESPONSES: 1, PROBLEMS: 1}
RELEASE_EVERY_S = 0.2  # in bursts, so that a kill meets messages under way
START_S = 10.0


class Breach(Exception):
    """The worker did what its protocol does not allow, or what this broker does not know."""


@dataclass(eq=False)
class Message:
    """One message to the worker and what became of it."""

    topic: str
    payload: bytes
    sent: int = 0                       # how often; more than once means with DUP, after a reconnect
    acknowledged: float | None = None   # time.monotonic() of its PUBACK


@dataclass(frozen=True)
class Hello:
    """What a CONNECT says, as far as it matters here."""

    client: str
    clean: bool
    keeps_session: bool
    receive_maximum: int


class ScriptedBroker:
    """Listens on 127.0.0.1 in a thread of its own. Every public member may be used from the test's thread."""

    def __init__(self, port: int, ca: Path, certificate: Path, *, rate: float) -> None:
        self.breaches: list[str] = []          # has to stay empty
        self.subscriptions: list[str] = []     # topic filters, as the session has them
        self.connections = 0                   # accepted so far
        self.notices = 0
        self.sent = 0                          # messages that were sent, each counted once
        self.acknowledged = 0                  # messages with a PUBACK
        self._port = port
        self._rate = rate                      # messages a second that devices publish, whether the worker is there or not
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_verify_locations(str(ca))
        self._context.load_cert_chain(str(certificate), str(certificate.with_suffix(".key")))
        self._prepared: deque[Message] = deque()
        self._queue: deque[Message] = deque()           # published, not sent yet
        self._in_flight: dict[int, Message] = {}        # by packet id, in the order of the first sending
        self._resend: deque[int] = deque()              # packet ids to send again on this connection
        self._last_id = 0
        self._unanswered: set[int] = set()              # packet ids sent on this connection
        self._window = 0
        self._present = False                           # a session is kept
        self._writer: asyncio.StreamWriter | None = None
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), name="scripted broker",
                                        daemon=True)

    def start(self) -> None:
        """Begins to listen."""
        self._thread.start()
        assert self._started.wait(START_S), f"the scripted broker could not listen on port {self._port}"

    def stop(self) -> None:
        """Ends the connection and stops listening."""
        if self._thread.is_alive():
            self._call(self._stop.set)
            self._thread.join(START_S)

    def play(self, messages: Iterable[Message]) -> None:
        """Publishes these after all earlier ones, at the broker's rate."""
        prepared = list(messages)
        self._call(lambda: self._prepared.extend(prepared))

    def drop(self) -> None:
        """Cuts the connection; the session stays."""
        self._call(self._hang_up)

    def _call(self, what: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(what)

    # --- the broker's thread

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._converse, "127.0.0.1", self._port, ssl=self._context)
        release = asyncio.ensure_future(self._release())
        self._started.set()
        await self._stop.wait()
        release.cancel()
        self._hang_up()
        server.close()
        await server.wait_closed()
        conversations = asyncio.all_tasks() - {asyncio.current_task()}
        if conversations:
            await asyncio.wait(conversations, timeout=START_S)

    async def _release(self) -> None:
        """Lets the devices publish: moves what is prepared to the queue, at the rate."""
        began, due = time.monotonic(), 0.0
        while True:
            await asyncio.sleep(RELEASE_EVERY_S)
            now = time.monotonic()
            due = min(due + (now - began) * self._rate, len(self._prepared))
            began = now
            while due >= 1:
                self._queue.append(self._prepared.popleft())
                due -= 1
            self._pump()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from CONNECT to its end however it comes."""
        try:
            kind, body = await _packet(reader)
            if kind != CONNECT << 4:
                raise Breach(f"packet {kind:#x} came before CONNECT")
            self._accept(_hello(body), writer)
            while self._writer is writer:
                await self._take(*await _packet(reader))
        except (OSError, asyncio.IncompleteReadError):
            pass  # it was killed, or cut off
        except Breach as breach:
            self.breaches.append(str(breach))
        finally:
            if self._writer is writer:
                self._writer = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _accept(self, hello: Hello, writer: asyncio.StreamWriter) -> None:
        """Answers CONNECT; a new connection takes the session over."""
        name = dict(part[0] for part in writer.get_extra_info("peercert")["subject"])["commonName"]
        if (name, hello.client) != (INGEST_NAME, INGEST_NAME):
            writer.write(_frame(CONNACK << 4, bytes((0, NOT_AUTHORISED, 0))))
            raise Breach(f"{name} connected as {hello.client}")
        if hello.clean or not hello.keeps_session:
            raise Breach("the worker asked for a session that is not kept")
        self._hang_up()
        self._writer = writer
        self._window = hello.receive_maximum
        self._resend = deque(self._in_flight)
        self._unanswered = set()
        self.connections += 1
        writer.write(_frame(CONNACK << 4, bytes((self._present, 0, 0))))
        self._present = True
        self._pump()

    async def _take(self, kind: int, body: bytes) -> None:
        """One packet of the worker."""
        assert self._writer is not None
        if kind == PUBACK << 4:
            self._take_puback(body)
        elif kind == SUBSCRIBE << 4 | 2:
            filters = _filters(body)
            self.subscriptions = [name for name, _ in filters]
            self._writer.write(_frame(SUBACK << 4, body[:2] + b"\0" + bytes(min(options & 3, 1) for _, options in filters)))
        elif kind == PINGREQ << 4:
            self._writer.write(_frame(PINGRESP << 4, b""))
        elif kind == DISCONNECT << 4:
            self._hang_up()
        elif kind == PUBLISH << 4:  # QoS 0: a notice
            topic = body[2:2 + int.from_bytes(body[:2], "big")]
            if not topic.endswith(b"/notice"):
                raise Breach(f"the worker publishes on {topic!r}")
            self.notices += 1
        else:
            raise Breach(f"packet {kind:#x} is nothing that an ingest worker sends")
        self._pump()

    def _take_puback(self, body: bytes) -> None:
        packet_id = int.from_bytes(body[:2], "big")
        if packet_id not in self._unanswered:
            raise Breach(f"PUBACK for packet {packet_id}, which is not under way")
        if len(body) > 2 and body[2] != 0:
            raise Breach(f"PUBACK with reason {body[2]:#x}")
        self._unanswered.remove(packet_id)
        self._in_flight.pop(packet_id).acknowledged = time.monotonic()
        self.acknowledged += 1

    def _pump(self) -> None:
        """Sends what the worker's Receive Maximum allows, first of all what it did not acknowledge on earlier connections."""
        if self._writer is None or not self.subscriptions:
            return
        while len(self._unanswered) < self._window and (self._resend or self._queue):
            if self._resend:
                packet_id = self._resend.popleft()
            else:
                packet_id = self._new_id()
                self._in_flight[packet_id] = self._queue.popleft()
                self.sent += 1
            message = self._in_flight[packet_id]
            self._unanswered.add(packet_id)
            message.sent += 1
            flags = PUBLISH << 4 | 2 | (8 if message.sent > 1 else 0)
            self._writer.write(_frame(flags, _text(message.topic) + packet_id.to_bytes(2, "big") + b"\0" + message.payload))

    def _new_id(self) -> int:
        while True:
            self._last_id = self._last_id % 65535 + 1
            if self._last_id not in self._in_flight:
                return self._last_id

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None


# --- packets

async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next packet: its first byte and what follows the length."""
    kind = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind, await reader.readexactly(length)


def _frame(first: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while True:
        length.append(rest & 127 | (128 if rest > 127 else 0))
        rest >>= 7
        if rest == 0:
            return bytes((first,)) + bytes(length) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _hello(body: bytes) -> Hello:
    """Takes a CONNECT apart."""
    if body[:7] != _text("MQTT") + b"\5":
        raise Breach("the worker does not speak MQTT 5")
    flags = body[7]
    properties, at = _properties(body, 10)
    size = int.from_bytes(body[at:at + 2], "big")
    return Hello(client=body[at + 2:at + 2 + size].decode(), clean=bool(flags & 2),
                 keeps_session=properties.get(SESSION_EXPIRY, 0) > 0, receive_maximum=properties.get(RECEIVE_MAXIMUM, 65535))


def _properties(body: bytes, at: int) -> tuple[dict[int, int], int]:
    """The properties that begin at `at`, and where they end. Their length is below 128 here."""
    end = at + 1 + body[at]
    at += 1
    found: dict[int, int] = {}
    while at < end:
        kind = body[at]
        if kind not in PROPERTY_SIZES:
            raise Breach(f"CONNECT has property {kind:#x}")
        size = PROPERTY_SIZES[kind]
        found[kind] = int.from_bytes(body[at + 1:at + 1 + size], "big")
        at += 1 + size
    return found, end


def _filters(body: bytes) -> list[tuple[str, int]]:
    """Topic filters of a SUBSCRIBE with their options."""
    at = 3 + body[2]
    found: list[tuple[str, int]] = []
    while at < len(body):
        size = int.from_bytes(body[at:at + 2], "big")
        found.append((body[at + 2:at + 2 + size].decode(), body[at + 2 + size]))
        at += 3 + size
    return found
