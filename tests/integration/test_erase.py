"""Erasure: afterwards nothing tells of a device, anywhere, and nothing that comes late brings it back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from deploy.local.postgres import PORT, PROGRAMS
from support import Device, Installation, now_us
from test_metrics import scrape
from test_compression import configure, wait_settled
from test_retention import ADMIN, KEEPER, ago, call

NAMING = """SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
            WHERE c.table_schema = 'store' AND t.table_type = 'BASE TABLE' AND c.column_name IN ('device', 'publisher')
              AND c.table_name !~ '_(2[0-9]+|default)$' ORDER BY 1, 2"""


def says_everything(stack: Installation, device: Device, first: int = 1) -> list[Any]:
    """Whatever a device can send; the reports, to be sent again."""
    v1 = stack.wire.v1
    sent = []
    for sequence in range(first, first + 3):
        at = now_us() - (sequence - first) * 3_600_000_000
        report = stack.wire.report(sequence, {"t": 20.5 + sequence, "mode": f"mode of {device.credential}"}, at=at, historical=sequence > first)
        report.firmware.version = "1.2"
        report.events.append(v1.Event(kind=v1.EVENT_KIND_TAMPER, subject=f"lid of {device.credential}"))
        report.traffic.CopyFrom(v1.Traffic(interval=1_000_000, bytes_in=1, flows=[v1.Flow(address=b"\xc0\0\2\1", port=1)]))
        device.send(report)
        sent.append(report)
    for _ in range(6):
        device.send(b"no report")
    device.publish(f"vedette/v1/{device.credential}/connectivity",
                   v1.Connectivity(boot_counter=1, connection=1, state=1, time=now_us()).SerializeToString(), retain=True)
    return sent


def rows_of(stack: Installation, numbers: list[int]) -> dict[str, int]:
    """Rows about these devices, by table and column."""
    found = {}
    for table, column in stack.query(NAMING, role=ADMIN):
        count = stack.value(f"SELECT count(*)::int FROM store.{table} WHERE {column} = ANY (%s)", numbers, role=ADMIN)
        if count:
            found[f"{table}.{column}"] = count
    return found


def dump(stack: Installation) -> bytes:
    """The whole database, as text."""
    postgres = stack.stack.postgres
    return subprocess.run([f"{PROGRAMS}/pg_dump", "-h", str(postgres.socket), "-p", str(PORT), "-U", "postgres", "--inserts", "vedette"],
                          capture_output=True, check=True, timeout=120).stdout


def files_with(folder: Path, word: bytes) -> list[str]:
    """Files that hold a word."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and word in path.read_bytes())


def erased(stack: Installation, *words: str) -> dict[str, Any]:
    """Erases, and gives the receipt."""
    return dict(json.loads(stack.stack.vedette("--json", *words, "--yes")))


def test_nothing_is_left(stack: Installation) -> None:
    """Of an owner's devices: no row, no byte in the database or a journal, no message at the broker; others keep what is theirs."""
    stack.register("eva-pump", "eva-valve", owner="Eva Example")
    stack.register("eva-pumpkin", owner="Ida")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    eva, valve, ida = (stack.device(name) for name in ("eva-pump", "eva-valve", "eva-pumpkin"))
    sent = says_everything(stack, eva)
    says_everything(stack, valve)
    says_everything(stack, ida)
    # Others name her: a stranger in its topic, a device that claims to be her, or speaks for her.
    stranger = stack.device("nobody-1")
    stranger.publish("vedette/v1/nobody-1/report", b"eva-pump")
    ida.send(stack.wire.report(10, {"t": 1.0}, credential="eva-pump"))
    for sequence in range(11, 17):
        ida.send(stack.wire.report(sequence, {"t": 1.0}, child="eva-valve"))
    stack.wait_for("SELECT sum(records)::int FROM vedette.batch", expect=38)
    stack.wait_for("SELECT count(*)::int FROM vedette.latest", expect=6)
    stack.wait_for("SELECT count(DISTINCT device)::int FROM vedette.alert", expect=3)
    numbers = [row[0] for row in stack.query("SELECT device FROM vedette.device WHERE credential IN ('eva-pump', 'eva-valve')")]
    keeps = stack.value("SELECT count(*)::int FROM vedette.sample WHERE credential = 'eva-pumpkin'")
    assert rows_of(stack, numbers) and files_with(stack.stack.folder / "journal", b"eva-pump")

    code, said = call(stack, "owner", "erase", "Eva Example")
    assert code == 2 and "2 devices" in said and "--yes" in said and rows_of(stack, numbers)
    receipt = erased(stack, "owner", "erase", "Eva Example")
    assert receipt["state"] == "done" and receipt["devices"] == 2 and receipt["counts"]["reports"] == 6, receipt
    assert "eva" not in json.dumps(receipt).lower()
    assert rows_of(stack, numbers) == {}
    text = dump(stack)
    for word in (b"Eva Example", b"eva-pump", b"eva-valve"):
        assert word not in text.replace(b"eva-pumpkin", b""), [line[:300] for line in text.splitlines() if word in line.replace(b"eva-pumpkin", b"")]
        assert files_with(stack.stack.folder / "journal", word + b"/") == []
    assert stack.value("SELECT count(*)::int FROM vedette.sample WHERE credential = 'eva-pumpkin'") == keeps

    # Everything once more, and one more: turned away, or refused where others speak of her, without a trace.
    for report in sent:
        eva.send(report)
    eva.send(stack.wire.report(99, {"t": 1.0}))
    valve.send(b"no report")
    ida.send(stack.wire.report(17, {"t": 1.0}, child="eva-valve"))
    ida.send(stack.wire.report(18, {"t": 2.0}))
    stack.wait_for("SELECT sum(records)::int FROM vedette.batch", expect=40)
    assert scrape(stack.stack.ports.ingest_http)["vedette_ingest_turned_away_total", ""] == 5
    stack.wait(lambda: files_with(stack.stack.folder / "journal", b"eva-valve") == [])
    assert rows_of(stack, numbers) == {} and b"eva-valve" not in dump(stack)
    assert stack.query("SELECT count(*)::int FROM vedette.report WHERE credential = 'eva-pumpkin' AND sequence = 18") == [(1,)]
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")
    assert stack.query("SELECT kind FROM vedette.alert WHERE device = 0") == []

    # The broker keeps nothing for whoever subscribes, nor in its file.
    stack.stack.broker.stop()
    assert [word for word in (b"eva-pump/", b"eva-valve/") if word in (stack.stack.broker.folder / "data" / "mosquitto.db").read_bytes()] == []
    assert b"eva-pumpkin/" in (stack.stack.broker.folder / "data" / "mosquitto.db").read_bytes()


def test_a_name_may_come_back(stack: Installation) -> None:
    """A credential that is registered again begins anew: what its device kept of before is refused, what it measures from now on is stored."""
    stack.register("door-1")
    stack.stack.start_ingest()
    device = stack.device("door-1")
    device.send(stack.wire.report(1, {"t": 1.0}))
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=1)
    before = now_us()
    assert erased(stack, "device", "erase", "door-1")["counts"]["reports"] == 1
    assert call(stack, "device", "erase", "door-1")[0] == 1
    stack.register("door-1")
    sequence = iter(range(10, 10_000))

    def welcome() -> bool:
        device.send(stack.wire.report(next(sequence), {"t": 3.0}))
        return bool(stack.query("SELECT FROM vedette.report"))

    stack.wait(welcome)  # within two seconds the worker learns of it
    device.send(stack.wire.report(2, {"t": 2.0}, at=before, historical=True))
    stack.wait_for("SELECT count(*)::int FROM store.ledger WHERE term = 'rejected' AND reason = 10", expect=1, role=ADMIN)
    assert stack.query("SELECT FROM vedette.report WHERE sequence < 10") == []


def test_a_worker_that_does_not_know(stack: Installation) -> None:
    """While devices send without a pause, no row comes in after the deletion, and analysis misses none."""
    stack.register("busy-1", "busy-2")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    one, two = stack.device("busy-1"), stack.device("busy-2")
    number = dict(stack.query("SELECT credential, device FROM vedette.device"))["busy-1"]
    total = 0
    for sequence in range(1, 2001):
        one.send_nowait(stack.wire.report(sequence, {"t": 1.0}))
        two.send_nowait(stack.wire.report(sequence, {"t": 1.0}))
        total += 2
        if sequence == 1000:
            stack.wait_for("SELECT count(*) > 0 FROM vedette.report", expect=True)
            erasure = stack.value("SELECT store.begin_erasure('device', ARRAY[%s])", number, role=ADMIN)
            stack.query("SELECT store.finish_erasure(%s)", erasure, role=ADMIN)
            assert rows_of(stack, [number]).keys() <= {"erasing.device"}
    stack.wait_for("SELECT count(*)::int FROM vedette.report WHERE credential = 'busy-2'", expect=total // 2)
    stack.wait_for("SELECT state FROM vedette.erasure", expect="done")
    assert rows_of(stack, [number]) == {}
    assert stack.value("SELECT count(*)::int FROM vedette.report") == 2000
    stack.wait_for("SELECT count(*)::int FROM store.batch b WHERE NOT EXISTS (SELECT FROM store.analysed_batch a WHERE a.feed = b.feed AND a.number = b.number)"
                   " AND b.reports > 0", expect=0, role=ADMIN)
    assert stack.query("SELECT kind, sentence FROM vedette.alert WHERE kind = 'rows missing'") == []
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")


def test_whoever_dies(stack: Installation) -> None:
    """The keeper finishes what a command left, and a worker that was away refuses and empties when it comes back."""
    stack.register("gone-1", "stays-1")
    worker = stack.stack.start_ingest()
    stack.device("gone-1").send(stack.wire.report(1, {"t": 1.0}))
    stack.wait_for("SELECT count(*)::int FROM vedette.report", expect=1)
    number = stack.value("SELECT device FROM vedette.device WHERE credential = 'gone-1'")
    worker.stop()
    stack.query("SELECT store.begin_erasure('device', ARRAY[%s])", number, role=ADMIN)
    assert stack.value("SELECT state FROM vedette.erasure") == "deleting"
    stack.query("UPDATE store.erasure SET asked_at = asked_at - interval '2 minutes' RETURNING id", role=ADMIN)
    stack.query("SELECT store.finish_erasures()", role=KEEPER)
    assert rows_of(stack, [number]) == {"erasing.device": 1}  # until the broker was asked
    assert stack.query("SELECT state, journals, retained FROM vedette.erasure") == [("waiting for workers", "ingest-1", 1)]
    assert json.loads(stack.stack.vedette("--json", "erasure", "list"))[0]["state"] == "waiting for workers"
    stack.stack.start_ingest()
    stack.wait_for("SELECT state FROM vedette.erasure", expect="done")
    assert rows_of(stack, [number]) == {} and files_with(stack.stack.folder / "journal", b"gone-1") == []


def test_in_pieces(stack: Installation) -> None:
    """An owner of many: a few devices in each transaction, one receipt for all; whoever dies between leaves the rest to the keeper."""
    names = [f"many-{n}" for n in range(25)]
    stack.register(*names, owner="Max Many")
    stack.query("INSERT INTO store.latest (device, set, time) SELECT id, 1, now() FROM store.device RETURNING 1", role=ADMIN)
    numbers = [row[0] for row in stack.query("SELECT device FROM vedette.device")]
    erasure = stack.value("SELECT store.begin_erasure('owner', %s)", numbers, role=ADMIN)
    assert stack.value("SELECT store.finish_erasure(%s)", erasure, role=ADMIN) == 15
    assert stack.query("SELECT state, counts ->> 'latest' FROM vedette.erasure") == [("deleting", "10")]
    stack.query("UPDATE store.erasure SET asked_at = asked_at - interval '2 minutes' RETURNING id", role=ADMIN)
    stack.stack.start_keeper()
    stack.wait_for("SELECT deleted_at IS NOT NULL FROM vedette.erasure", expect=True)
    assert stack.value("SELECT counts ->> 'latest' FROM vedette.erasure") == "25"
    assert rows_of(stack, numbers) == {"erasing.device": 25}


def test_inside_a_compressed_day(stack: Installation) -> None:
    """Chunks and rollups go too, and those of others do not."""
    configure(stack)
    stack.register("old-1", "old-2")
    stack.query("SELECT store.housekeep()", role=ADMIN)
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    day = ago(2).replace(hour=1, minute=0, second=0, microsecond=0)
    for name in ("old-1", "old-2"):
        device = stack.device(name)
        for sequence in range(1, 41):
            at = int(day.timestamp() * 1e6) + sequence * 60_000_000
            device.send_nowait(stack.wire.report(sequence, {"t": float(sequence)}, at=at, historical=True))
    stack.wait_for("SELECT sum(records)::int FROM vedette.batch", expect=80)
    wait_settled(stack)
    stack.stack.start_keeper()
    stack.wait_for("SELECT sum(reports)::int FROM vedette.compression WHERE state = 'packed'", expect=80)
    stack.wait_for("SELECT count(*)::int FROM store.stale", expect=0, role=ADMIN)
    number = stack.value("SELECT device FROM vedette.device WHERE credential = 'old-1'")
    counts = erased(stack, "device", "erase", "old-1")["counts"]
    assert (counts["compressed reports"], counts["reports"], counts["hour"]) == (40, 0, 1)
    assert rows_of(stack, [number]) == {}
    assert stack.value("SELECT count(*)::int FROM vedette.sample") == 40
    assert stack.value("SELECT count(*)::int FROM vedette.hour") == 1
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")


LETTERS = (  # topic, detail, payload; whether it names one of the erased
    ("vedette/v1/pump.1/report", "", b"", True), ("vedette/v1/pump.1.2/report", "", b"", False), ("vedette/v1/spump.1/report", "", b"", False),
    ("report", "pump.1 is not a child of this device", b"", True), ("report", "from pump.1.", b"", True),
    ("report", "from pump.1.2", b"", False), ("report", "from a.pump.1", b"", False), ("report", "from pump.1-b", b"", False),
    ("report", "", b"\x0a\x06pump.1", True), ("report", "", b"\x0a\x07pump.1x", False), ("report", "", b'{"id": "pump.1"}', True),
    ("report", "", b'{"id": 4711}', True), ("report", "", b'[4711,1]', True), ("report", "", b'{"id": 47110}', False),
    ("report", "", b'{"id": 4711.5}', False), ("report", "", b"\x0a\x80\x01" + b"x" * 128, True), ("report", "", b"\x80" + b"x" * 127, False),
    ("report", "", b"\xff\x00{\\\n:4711}", True))


def test_letters_that_name_one(stack: Installation) -> None:
    """Letters of strangers go if they name an erased device, as a level of the topic, a word of the text, or a name in the payload; others stay."""
    names = ["pump.1", "4711", "x" * 128]
    stack.register(*names)
    for record, (topic, detail, payload, _) in enumerate(LETTERS):
        stack.query("""INSERT INTO store.dead_letter (device, batch, record, received, reason, size, topic, detail, payload)
                       VALUES (0, 1, %s, now(), 1, 1, %s, %s, %s) RETURNING id""", record, topic, detail, payload, role=ADMIN)
    numbers = [row[0] for row in stack.query("SELECT device FROM vedette.device")]
    erasure = stack.value("SELECT store.begin_erasure('owner', %s)", numbers, role=ADMIN)
    read = stack.query("SELECT store.without_erased(detail) FROM store.dead_letter WHERE detail <> '' ORDER BY record", role="vedette_analysis")
    assert [text for (text,) in read] == ["an erased device is not a child of this device", "from an erased device.", "from pump.1.2",
                                          "from a.pump.1", "from pump.1-b"]
    assert stack.value("SELECT store.finish_erasure(%s)", erasure, role=ADMIN) == 0
    left = {row[0] for row in stack.query("SELECT record::int FROM store.dead_letter", role=ADMIN)}
    assert left == {record for record, letter in enumerate(LETTERS) if not letter[3]}
    assert stack.value("SELECT count(*)::int FROM store.unbooked", role=ADMIN) == 0


def test_a_name_that_is_a_word_or_a_number(stack: Installation) -> None:
    """Numbers and keys in what alerts of others say are no names."""
    stack.register("7", "observed", "other-1")
    said = '{"observed": {"publisher": 7, "text": "as 7 and pump-7 said", "list": ["observed", 7]}}'
    stack.query("""INSERT INTO store.alert (device, kind, state, severity, opened_at, changed_at, sentence, explanation)
                   SELECT id, 'identity mismatch', 'open', 'major', now(), now(), 'by 7', %s FROM store.device WHERE credential = 'other-1' RETURNING id""",
                said, role=ADMIN)
    for name in ("7", "observed"):
        stack.stack.vedette("device", "erase", name, "--yes", "--wait", "0")
    assert stack.query("SELECT sentence, explanation FROM vedette.alert") == [
        ("by an erased device", {"observed": {"publisher": 7, "text": "as an erased device and pump-7 said", "list": ["an erased device", 7]}})]
