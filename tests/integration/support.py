"""What tests do with a stack: be a device, ask the store, wait, kill."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import paho.mqtt.client as mqtt
from deploy.local.processes import wait_until
from deploy.local.stack import Stack, registry_csv

WAIT_S = 20.0  # far above what anything here takes, also with sanitizers on two busy cores


def now_us() -> int:
    """The present in microseconds since 1970."""
    return time.time_ns() // 1000


class Wire:
    """Makes messages of the wire contract."""

    def __init__(self, module: ModuleType) -> None:
        self.v1 = module

    def report(self, sequence: int, samples: dict[str, Any] | None = None, *, boot: int = 1, at: int | None = None,
               **fields: Any) -> Any:
        """A report; `samples` maps metric names to float, int, bool or str, `at` is microseconds (default now)."""
        message = self.v1.Report(boot_counter=boot, sequence=sequence, time=now_us() if at is None else at, **fields)
        for metric, value in ({"temperature": 20.5} if samples is None else samples).items():
            message.samples.append(self.sample(metric, value))
        return message

    def sample(self, metric: str, value: Any, at: int = 0) -> Any:
        """One sample with the value in the field of its type."""
        field = {float: "number", int: "integer", bool: "flag", str: "text"}[type(value)]
        return self.v1.Sample(metric=metric, time=at, **{field: value})


class Client:
    """One MQTT client over mutual TLS with a thread of its own. Methods are called from the test's thread."""

    def __init__(self, port: int, ca: Path, certificate: Path | None, *, client_id: str = "", clean: bool = True) -> None:
        self.connected = threading.Event()
        self.refused = threading.Event()
        self.messages: list[mqtt.MQTTMessage] = []
        self._port = port
        self._mqtt = mqtt.Client(client_id=client_id or "x", clean_session=clean, protocol=mqtt.MQTTv311)
        context = ssl.create_default_context(cafile=str(ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(str(certificate), str(certificate.with_suffix(".key")))
        self._mqtt.tls_set_context(context)
        self._thread = threading.Thread(target=self._run, name=f"mqtt {client_id}", daemon=True)
        self._mqtt.on_connect = lambda _client, _data, _flags, code: (self.connected if code == 0 else self.refused).set()
        self._mqtt.on_disconnect = lambda _client, _data, _code: self._on_disconnect()
        self._mqtt.on_message = lambda _client, _data, message: self.messages.append(message)
        # With this set only the client's own thread writes; Paho would write from the test's thread too, and a TLS session
        # does not bear two.
        self._mqtt.on_socket_register_write = lambda *_: None

    def connect(self, deadline: float = WAIT_S) -> bool:
        """True once the broker has accepted the session, False when it or TLS refused."""
        try:
            self._mqtt.connect("127.0.0.1", self._port, keepalive=60)
            self._mqtt.loop(0)  # makes the pipe by which publishing wakes the thread
        except OSError:  # ssl.SSLError is one
            self.refused.set()
            return False
        self._thread.start()
        wait_until(lambda: self.connected.is_set() or self.refused.is_set(), deadline)
        return self.connected.is_set() and not self.refused.is_set()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, deadline: float = WAIT_S) -> None:
        """Publishes with QoS 1 and waits for the broker's acknowledgement."""
        token = self._mqtt.publish(topic, payload, qos=1, retain=retain)
        token.wait_for_publish(deadline)
        assert token.is_published(), f"no PUBACK for {topic} within {deadline} s"

    def publish_nowait(self, topic: str, payload: bytes) -> None:
        """Publishes with QoS 1 and does not wait."""
        self._mqtt.publish(topic, payload, qos=1)

    def subscribe(self, topic: str) -> None:
        """Subscribes with QoS 1 and waits for the answer."""
        answered = threading.Event()
        self._mqtt.on_subscribe = lambda *_: answered.set()
        self._mqtt.subscribe(topic, qos=1)
        assert answered.wait(WAIT_S), f"no SUBACK for {topic}"

    def close(self) -> None:
        """Says goodbye."""
        with contextlib.suppress(OSError):  # the broker may have closed it
            self._mqtt.disconnect()
        if self._thread.is_alive():
            self._thread.join(WAIT_S)

    def _run(self) -> None:
        """The client's thread: Paho's own one would die of a refusal with a traceback."""
        try:
            self._mqtt.loop_forever()
        except OSError:  # TLS 1.3 tells of a refused certificate only with the first read
            self.refused.set()

    def _on_disconnect(self) -> None:
        if not self.connected.is_set():
            self.refused.set()
        self.connected.clear()


class Device(Client):
    """A device with its certificate."""

    def __init__(self, port: int, ca: Path, certificate: Path, credential: str) -> None:
        super().__init__(port, ca, certificate, client_id=credential)
        self.credential = credential

    def send(self, report: Any) -> None:
        """Publishes a report, or bytes, on its own topic."""
        self.publish(f"vedette/v1/{self.credential}/report", _encoded(report))

    def send_nowait(self, report: Any) -> None:
        """Like send, without waiting for the acknowledgement."""
        self.publish_nowait(f"vedette/v1/{self.credential}/report", _encoded(report))


def _encoded(report: Any) -> bytes:
    return report if isinstance(report, bytes) else bytes(report.SerializeToString())


class Installation:
    """A started stack and everything a test wants of it."""

    def __init__(self, stack: Stack, wire: Wire) -> None:
        self.stack = stack
        self.wire = wire
        self._clients: list[Client] = []
        self._sessions: dict[str, Any] = {}

    def certificate(self, credential: str) -> Path:
        """The certificate of a device, registered or not."""
        return self.stack.authority.issue(credential, self.stack.authority.devices / credential)

    def register(self, *credentials: str, **fields: str) -> None:
        """Puts devices into the registry."""
        self.stack.register(registry_csv(*({"credential": name, "model": "test-model", **fields} for name in credentials)))

    def client(self, port: int, certificate: Path | None, *, ca: Path | None = None, client_id: str = "",
               clean: bool = True) -> Client:
        """A client that is closed after the test."""
        made = Client(port, ca or self.stack.authority.ca, certificate, client_id=client_id, clean=clean)
        self._clients.append(made)
        return made

    def device(self, credential: str) -> Device:
        """A connected device."""
        made = Device(self.stack.ports.devices, self.stack.authority.ca, self.certificate(credential), credential)
        self._clients.append(made)
        assert made.connect(), f"the broker refused {credential}: {self.stack.broker.log_text()[-2000:]}"
        return made

    def query(self, statement: str, *values: Any, role: str = "vedette_console") -> list[tuple[Any, ...]]:
        """Rows of a statement, as a role of Vedette."""
        if role not in self._sessions:
            self._sessions[role] = self.stack.postgres.connect(role)
        with self._sessions[role].cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def value(self, statement: str, *values: Any, role: str = "vedette_console") -> Any:
        """The one value of a statement."""
        ((value,),) = self.query(statement, *values, role=role)
        return value

    def wait_for(self, statement: str, *values: Any, expect: Any, role: str = "vedette_console",
                 deadline: float = WAIT_S) -> None:
        """Waits until the one value of a statement is as expected."""
        assert wait_until(lambda: self.value(statement, *values, role=role) == expect, deadline, step=0.05), (
            f"{statement} {values} was {self.value(statement, *values, role=role)!r} after {deadline} s, not {expect!r}")

    def wait(self, condition: Callable[[], object], deadline: float = WAIT_S) -> None:
        """Waits until something holds."""
        assert wait_until(condition, deadline), f"it did not come to hold within {deadline} s"

    def wait_log(self, words: str, deadline: float = WAIT_S) -> None:
        """Waits until the broker's log has these words."""
        assert wait_until(lambda: words in self.stack.broker.log_text(), deadline), (
            f"the broker did not log {words!r}: {self.stack.broker.log_text()[-3000:]}")

    def kill9(self, name: str) -> None:
        """Kills a process of the stack without a warning."""
        if name == "postgres":
            self.forget_sessions()
        self.stack.kill9(name)

    def forget_sessions(self) -> None:
        """Ends the sessions to the database."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def close(self) -> None:
        """Ends what the test left open."""
        for client in self._clients:
            client.close()
        self.forget_sessions()
