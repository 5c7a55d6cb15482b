"""What is known of an owner's devices: exported whole, and for nobody else to read."""

from __future__ import annotations

import json
import stat
from collections import Counter
from typing import Any

from support import Installation, now_us
from test_retention import call


def lines(text: str) -> list[dict[str, Any]]:
    """The objects of an export."""
    return [json.loads(line) for line in text.splitlines()]


def test_an_export_has_everything(stack: Installation) -> None:
    """Of this owner's devices and of no other's; the last line counts the others."""
    stack.register("ada-1", "ada-2", owner="Ada")
    stack.register("bob-1", owner="Bob")
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    v1 = stack.wire.v1
    for name in ("ada-1", "ada-2", "bob-1"):
        device = stack.device(name)
        for sequence in (1, 2):
            report = stack.wire.report(sequence, {"t": 20.5 + sequence, "mode": f"mode of {name}"}, at=now_us())
            report.firmware.version = "1.2"
            report.events.append(v1.Event(kind=v1.EVENT_KIND_TAMPER, subject=f"lid of {name}"))
            report.traffic.CopyFrom(v1.Traffic(interval=1_000_000, bytes_in=1, flows=[v1.Flow(address=b"\xc0\0\2\1", port=1)]))
            device.send(report)
        for _ in range(6):
            device.send(b"no report")
        device.publish(f"vedette/v1/{name}/connectivity", v1.Connectivity(boot_counter=1, connection=1, state=1, time=now_us()).SerializeToString())
    stack.wait_for("SELECT sum(records)::int FROM vedette.batch", expect=27)
    stack.wait_for("SELECT count(*)::int FROM vedette.latest", expect=6)
    stack.wait_for("SELECT count(DISTINCT device)::int FROM vedette.alert", expect=3)
    path = stack.stack.folder / "journal" / "ada.jsonl"  # a folder that the command's account may write
    stack.stack.vedette("owner", "export", "Ada", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text(encoding="utf-8")
    rows = lines(text)
    assert rows[-1] == {"kind": "end", "devices": 2, "lines": len(rows) - 1}
    kinds = Counter(row["kind"] for row in rows)
    expected = {"device": 2, "report": 4, "sample": 8, "hour": 2, "traffic": 4, "flow": 4, "event": 4, "connectivity": 2, "dead letter": 12}
    assert {kind: kinds[kind] for kind in expected} == expected, kinds
    assert kinds["firmware"] >= 2 and kinds["connectivity change"] >= 2 and kinds["alert"] >= 2
    assert "mode of ada-1" in text and "lid of ada-2" in text and "bob" not in text
    assert sorted(row["row"]["value"] for row in rows if row["kind"] == "sample" and row["row"]["metric"] == "t") == [21.5, 21.5, 22.5, 22.5]
    assert lines(stack.stack.vedette("owner", "export", "Bob"))[-1]["devices"] == 1
    assert call(stack, "owner", "export", "Eve") == (1, 'vedette: no device belongs to "Eve"; vedette owner list shows who has some\n')
    code, said = call(stack, "owner", "export", "Ada", str(path))
    assert code == 1 and "exists" in said and path.read_text(encoding="utf-8") == text
    assert json.loads(stack.stack.vedette("--json", "owner", "list")) == [{"owner": "Ada", "devices": 2}, {"owner": "Bob", "devices": 1}]
