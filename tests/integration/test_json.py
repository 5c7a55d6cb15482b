"""Devices that send JSON on topics of their own: mappings make reports of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.stack import ROOT, Stack
from support import Installation, Wire, now_us

SETTINGS = {"ingest": {"journal": {"segment_mib": 4}, "mappings": "mappings"}}
DEVICES_MAY = "pattern write tele/%u/#\nuser zigbee2mqtt\ntopic write zigbee2mqtt/#\n"
INGEST_MAY = "topic read tele/#\ntopic read zigbee2mqtt/+\n"
RECORDS = "SELECT coalesce(sum(records), 0)::int FROM vedette.batch"


@pytest.fixture
def mapped(new_stack: Callable[..., Stack], migrated: Path, wire: Wire) -> Iterator[Installation]:
    """A stack with the mappings that ship, and a broker that lets their topics pass."""
    stack = new_stack(overrides=SETTINGS)
    shutil.copytree(ROOT / "deploy" / "mappings", stack.folder / "mappings")
    stack.start_store(template=migrated)
    stack.start_broker()
    for name, lines in (("devices.acl", DEVICES_MAY), ("ingest.acl", INGEST_MAY)):
        with (stack.broker.folder / name).open("a", encoding="utf-8") as file:
            file.write(lines)
    os.kill(stack.broker.process.pid, signal.SIGHUP)
    installation = Installation(stack, wire)
    installation.wait_log("Reloading config.")
    yield installation
    installation.close()


def sensor(at_us: int, **more: object) -> bytes:
    """What a Tasmota plug says, with its clock in UTC and whole seconds."""
    time = datetime.fromtimestamp(at_us // 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    energy = {"Total": 12.345, "Power": 42, "Voltage": 231, "Current": 0.216}
    return json.dumps({"Time": time, "ENERGY": energy, "TempUnit": "C"} | more).encode()


def test_a_plug_that_speaks_json_is_collected(mapped: Installation) -> None:
    """Samples with unit and kind; a repeat counts once, a broken message is a dead letter, and the books add up."""
    mapped.register("plug-1", "plug-2")
    mapped.stack.start_ingest()
    plug = mapped.device("plug-1")
    at = now_us() // 1_000_000 * 1_000_000
    plug.publish("tele/plug-1/SENSOR", sensor(at))
    mapped.wait_for("SELECT count(*) FROM vedette.report", expect=1)
    plug.publish("tele/plug-1/SENSOR", sensor(at))  # once more, in another batch
    plug.publish("tele/plug-1/SENSOR", sensor(at, DS18B20={"Temperature": "warm"}))
    plug.publish("tele/plug-1/SENSOR", b"{")
    plug.publish("tele/plug-2/SENSOR", sensor(at))  # the broker does not let it speak for another
    plug.publish("tele/plug-1/STATE", json.dumps({"UptimeSec": 7, "POWER": "ON"}).encode())  # tells no time
    plug.send(mapped.wire.report(1))  # and it may speak vedette/v1 too
    mapped.wait_for(RECORDS, expect=6)
    rows = mapped.query("SELECT metric, value, unit, kind, boot FROM vedette.sample WHERE time = to_timestamp(%s) ORDER BY 1",
                        at / 1e6)
    assert rows == [("current", 0.216, "A", "gauge", 0), ("energy", 12.345, "kW.h", "counter", 0), ("power", 42, "W", "gauge", 0),
                    ("voltage", 231, "V", "gauge", 0)]
    assert mapped.query("SELECT reason, detail, topic FROM vedette.dead_letter ORDER BY reason") == [
        ("malformed", "not JSON: string or '}' expected near end of file at byte 1", "tele/plug-1/SENSOR"),
        ("value", "DS18B20.Temperature is a text, not a number", "tele/plug-1/SENSOR")]
    assert mapped.query("SELECT sum(duplicate)::int, sum(rejected)::int, sum(stored)::int FROM vedette.ledger") == [(1, 2, 3)]
    assert mapped.query("SELECT metric, value FROM vedette.sample s JOIN vedette.report r USING (device, time) "
                        "WHERE r.clock = 'none' ORDER BY 1") == [("switch", 1), ("uptime", 7)]
    assert mapped.query("SELECT DISTINCT marks & 16, boot FROM store.report ORDER BY 1", role="vedette_admin") == [(0, 1), (16, 0)]
    assert "adds up" in mapped.stack.vedette("ledger", "--check", "--since", "1h")


def test_a_bridge_speaks_for_its_children_only(mapped: Installation) -> None:
    """The broker says who the bridge is, the registry for whom it may speak."""
    mapped.register("zigbee2mqtt", "plug-1")
    mapped.register("kitchen", gateway="zigbee2mqtt")
    mapped.stack.start_ingest()
    bridge = mapped.device("zigbee2mqtt")
    at = now_us() // 1000
    for name in ("kitchen", "plug-1", "unheard-of"):
        bridge.publish(f"zigbee2mqtt/{name}", json.dumps({"last_seen": at, "temperature": 21.5, "voltage": 2995}).encode())
    mapped.device("plug-1").publish("zigbee2mqtt/kitchen", b'{"temperature": 99}')
    mapped.wait_for(RECORDS, expect=3)
    assert mapped.query("SELECT credential, metric, value FROM vedette.sample ORDER BY 2") == [
        ("kitchen", "battery.voltage", 2.995), ("kitchen", "temperature", 21.5)]
    assert mapped.query("SELECT DISTINCT reason FROM vedette.dead_letter") == [("identity",)]
    assert mapped.query("SELECT missing FROM vedette.sequence WHERE credential = 'zigbee2mqtt'") == [(None,)]  # nobody can tell
    mapped.wait_log("Denied PUBLISH from plug-1")


def test_what_is_no_longer_mapped_is_unsubscribed(mapped: Installation) -> None:
    """The broker keeps the session over restarts of the worker, and with it what was subscribed to."""
    mapped.register("plug-1", "zigbee2mqtt")
    mapped.stack.start_ingest()
    mapped.stack.processes["vedette-ingest"].stop()
    (mapped.stack.folder / "mappings" / "tasmota.yaml").unlink()
    mapped.stack.start_ingest()
    mapped.wait_log("Sending UNSUBACK to vedette/ingest-1")
    remembered = mapped.stack.folder / "journal" / "subscriptions"
    mapped.wait(lambda: "tele/" not in remembered.read_text(encoding="utf-8"))
    plug = mapped.device("plug-1")
    plug.publish("tele/plug-1/SENSOR", sensor(now_us()))
    plug.send(mapped.wire.report(1))
    mapped.wait_for(RECORDS, expect=1)
    assert mapped.query("SELECT reason FROM vedette.dead_letter") == []


def test_a_wrong_mapping_is_one_clear_line(mapped: Installation) -> None:
    """`vedette config check` and the worker's start say file, line and field."""
    assert "JSON on tele/+/SENSOR is mapped" in mapped.stack.vedette("config", "check")
    filters = json.loads(mapped.stack.vedette("--json", "config", "check"))["mappings"]
    assert "zigbee2mqtt/+" in filters
    bad = mapped.stack.folder / "mappings" / "bad.yaml"
    bad.write_text("mappings:\n  - topic: mine/{publisher}\n    samples:\n      - {path: a, metric: UPPER}\n", encoding="utf-8")
    wanted = "bad.yaml, line 4: metric: is not 1 to 64 bytes"
    with pytest.raises(StackError, match=wanted):
        mapped.stack.vedette("config", "check")
    with pytest.raises(StackError, match=wanted):
        mapped.stack.start_ingest()
