#!/usr/bin/python3
"""A complete device in Python: reports this machine's load, free memory and free disk to Vedette.

Debian 12: apt install python3-paho-mqtt python3-protobuf protobuf-compiler
The wire's classes are generated from the contract, into any folder:

    protoc --proto_path=proto --python_out=generated vedette/v1/telemetry.proto
    PYTHONPATH=generated docs/examples/device.py --broker localhost:8883 --ca ca.crt \
        --cert sensor-1.crt --key sensor-1.key --credential sensor-1 --state sensor-1.boot

What to copy from here: the boot counter that is on the disk before it is used; a queue of unsent reports, bounded; a report
that is sent again is the same to the byte; each connection has a will with its own number; and coming back with jitter.
"""

import argparse
import collections
import os
import queue
import random
import shutil
import signal
import ssl
import sys
import time
from typing import Deque, Optional, Tuple

import paho.mqtt.client as mqtt

try:
    from vedette.v1 import telemetry_pb2 as wire
except ImportError:
    sys.exit("device.py: vedette/v1/telemetry_pb2.py is not found; generate it with protoc and name its folder in PYTHONPATH")

QUEUE_MAX = 1000  # unsent reports that are kept; the oldest go first, and the hole in the sequence tells
RETRY_FIRST_S = 2.0
RETRY_MAX_S = 60.0
ANSWER_S = 15.0  # how long the broker may take for an answer
HISTORICAL_AFTER_S = 60.0  # a report that waited for this describes the past
UNITS = {"load.1m": "1", "memory.available": "By", "disk.free": "By"}


def next_boot(path: str) -> int:
    """Takes the next boot number; it is on the disk before it is used."""
    try:
        with open(path, encoding="ascii") as file:
            boot = int(file.read()) + 1
    except FileNotFoundError:
        boot = 1
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(f"{boot}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    return boot


def now_us() -> int:
    return time.time_ns() // 1000


def memory_available() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["MemAvailable"].split()[0]) * 1024


class Reports:
    """Makes reports, and keeps them until the broker has acknowledged them."""

    def __init__(self, credential: str, boot: int) -> None:
        self.credential = credential
        self.boot = boot
        self.sequence = 0
        self.waiting: Deque[Tuple[float, wire.Report]] = collections.deque(maxlen=QUEUE_MAX)
        self.under_way: Optional[bytes] = None  # sent at least once: never changes again

    def make(self) -> None:
        self.sequence += 1
        report = wire.Report(boot_counter=self.boot, sequence=self.sequence, time=now_us(), credential=self.credential)
        report.samples.add(metric="load.1m", number=os.getloadavg()[0])
        report.samples.add(metric="memory.available", integer=memory_available())
        report.samples.add(metric="disk.free", integer=shutil.disk_usage("/").free)
        if self.sequence == 1:  # once a boot
            for metric, unit in UNITS.items():
                report.metrics.add(metric=metric, kind=wire.METRIC_KIND_GAUGE, unit=unit)
            report.firmware.version = os.uname().release[:64]
        self.waiting.append((time.monotonic(), report))

    def next(self) -> Optional[bytes]:
        """The oldest report that is not acknowledged."""
        if self.under_way is None and self.waiting:
            made, report = self.waiting.popleft()
            report.historical = time.monotonic() - made > HISTORICAL_AFTER_S
            self.under_way = report.SerializeToString()
        return self.under_way

    def acknowledged(self) -> None:
        self.under_way = None

    def all_sent(self) -> bool:
        return self.under_way is None and not self.waiting


class Connection:
    """One connection, from its birth to its end. A new one is made for each attempt, because the will carries its number."""

    def __init__(self, options: argparse.Namespace, boot: int, number: int) -> None:
        self.topic = f"vedette/v1/{options.credential}"
        self.boot = boot
        self.number = number
        self.events: "queue.SimpleQueue[Tuple[str, str]]" = queue.SimpleQueue()  # from paho's thread to ours
        self.client = mqtt.Client(client_id=options.credential, protocol=mqtt.MQTTv311)
        self.client.tls_set(options.ca, options.cert, options.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.will_set(f"{self.topic}/connectivity", self.connectivity(wire.CONNECTIVITY_STATE_OFFLINE, "will"), 1, True)
        self.client.on_connect = lambda _client, _data, _flags, code: self.events.put(("connect", mqtt.connack_string(code)))
        self.client.on_disconnect = lambda _client, _data, code: self.events.put(("lost", mqtt.error_string(code)))
        self.client.on_publish = lambda _client, _data, token: self.events.put(("sent", str(token)))
        self.client.on_message = lambda _client, _data, message: tell_notice(message.payload)

    def connectivity(self, state: int, reason: str) -> bytes:
        message = wire.Connectivity(state=state, boot_counter=self.boot, connection=self.number, reason=reason)
        if reason != "will":  # a will is written before it happens
            message.time = now_us()
        return message.SerializeToString()

    def open(self, host: str, port: int) -> None:
        """Connects and says birth. Raises OSError, or ConnectionError, with the reason."""
        self.client.connect(host, port, keepalive=30)
        self.client.loop_start()
        kind, text = self.events.get(timeout=ANSWER_S)
        if kind != "connect" or text != mqtt.connack_string(mqtt.CONNACK_ACCEPTED):
            raise ConnectionError(text)
        self.client.subscribe(f"{self.topic}/notice", 0)
        self.publish("connectivity", self.connectivity(wire.CONNECTIVITY_STATE_ONLINE, ""), True)

    def publish(self, what: str, payload: bytes, retain: bool) -> None:
        """Publishes at QoS 1 and returns when the broker has acknowledged it."""
        info = self.client.publish(f"{self.topic}/{what}", payload, 1, retain)
        deadline = time.monotonic() + ANSWER_S
        while True:
            kind, text = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            if kind == "lost":
                raise ConnectionError(text)
            if kind == "sent" and text == str(info.mid):
                return

    def close(self, goodbye: bool) -> None:
        if goodbye:
            self.publish("connectivity", self.connectivity(wire.CONNECTIVITY_STATE_OFFLINE, "shutdown"), True)
        self.client.disconnect()
        self.client.loop_stop()


def tell_notice(payload: bytes) -> None:
    notice = wire.Notice.FromString(payload)
    if notice.HasField("refused"):
        reason = wire.Reason.Name(notice.refused.reason)
        print(f"report {notice.refused.sequence} was refused: {reason}: {notice.refused.detail}", file=sys.stderr)


class Device:
    """Reports at its cadence whether there is a connection or not; sends when there is one."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        host, _, port = options.broker.rpartition(":")
        self.address = (host, int(port))
        self.reports = Reports(options.credential, next_boot(options.state))
        self.stop: "queue.SimpleQueue[None]" = queue.SimpleQueue()  # put to by the signal handler, which SimpleQueue allows
        self.stopping = False
        self.due = time.monotonic()

    def report_if_due(self) -> None:
        while time.monotonic() >= self.due and not (self.options.once and self.reports.sequence):
            self.reports.make()
            self.due = max(self.due + self.options.interval, time.monotonic())

    def wait(self, until: float) -> bool:
        """Waits, making reports in between. True when asked to stop."""
        while time.monotonic() < until:
            self.report_if_due()
            try:
                self.stop.get(timeout=max(0.0, min(until, self.due) - time.monotonic()))
                self.stopping = True
                return True
            except queue.Empty:
                pass
        return False

    def converse(self, connection: Connection) -> None:
        """Sends what waits, until asked to stop. Raises when the connection is lost."""
        connection.open(*self.address)
        print(f"connected, connection {connection.number}", file=sys.stderr)
        while True:
            self.report_if_due()
            payload = self.reports.next()
            while payload is not None:
                connection.publish("report", payload, False)
                self.reports.acknowledged()
                payload = self.reports.next()
            if (self.options.once and self.reports.sequence) or self.wait(self.due):
                connection.close(goodbye=True)
                return

    def run(self) -> int:
        number = 0
        failures = 0
        if self.wait(time.monotonic() + random.uniform(0, RETRY_FIRST_S)):  # power comes back to many devices at once
            return 0
        while True:
            number += 1
            connection = Connection(self.options, self.reports.boot, number)
            began = time.monotonic()
            try:
                self.converse(connection)
                return 0
            except (OSError, queue.Empty) as error:
                connection.client.loop_stop()
                if self.stopping:  # the connection went away before the goodbye
                    return 0
                failures = 0 if time.monotonic() - began > 60 else failures + 1
                pause = random.uniform(0.1, min(RETRY_MAX_S, RETRY_FIRST_S * 2**failures))
                print(f"no connection: {error or 'no answer'}; again in {pause:.1f} s", file=sys.stderr)
            if self.wait(time.monotonic() + pause):
                return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A complete device of Vedette in Python.")
    parser.add_argument("--broker", required=True, metavar="HOST:PORT", help="the broker's listener for devices (TLS)")
    parser.add_argument("--ca", required=True, metavar="FILE", help="authority that signed the broker's certificate, PEM")
    parser.add_argument("--cert", required=True, metavar="FILE", help="this device's certificate, PEM")
    parser.add_argument("--key", required=True, metavar="FILE", help="its private key, PEM")
    parser.add_argument("--credential", required=True, metavar="NAME", help="the common name in the certificate")
    parser.add_argument("--state", required=True, metavar="FILE", help="where the boot counter is kept")
    parser.add_argument("--interval", type=float, default=10.0, metavar="SECONDS", help="time between reports (default 10)")
    parser.add_argument("--once", action="store_true", help="send one report and exit")
    options = parser.parse_args()
    host, _, port = options.broker.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f'--broker is "{options.broker}", not HOST:PORT')
    if options.interval <= 0:
        parser.error("--interval has to be above 0")
    return options


def main() -> int:
    try:
        device = Device(arguments())
    except (OSError, ValueError) as error:
        print(f"device.py: cannot read or write the boot counter: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: device.stop.put(None))
    return device.run()


if __name__ == "__main__":
    sys.exit(main())
