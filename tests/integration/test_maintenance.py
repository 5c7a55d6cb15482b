"""What is being worked on alarms nobody; who has not come back when it is over is one alert, across deaths of analysis."""

from __future__ import annotations

import itertools
import json
from typing import Any

from deploy.local.processes import wait_until
from support import WAIT_S, Device, Installation

DEVICES = ("dev-a", "dev-b", "dev-c")
PATIENCE_S = 3


def prepare(stack: Installation) -> list[Device]:
    """Three critical devices that are silent after three seconds; everything is up but analysis."""
    stack.register(*DEVICES, critical="yes", site="hall 3")
    stack.stack.vedette("model", "set", "test-model", "--patience", f"{PATIENCE_S}s")
    stack.stack.start_ingest()
    stack.wait_for("SELECT count(*) > 2 FROM vedette.batch", expect=True)  # we see: nobody is waited for because we had not
    return [stack.device(name) for name in DEVICES]


def add_window(stack: Installation, *words: str) -> str:
    """A window that is on from now; its number."""
    return str(json.loads(stack.stack.vedette("--json", "maintenance", "add", "--site", "hall 3", "--reason", "new switch", *words))["id"])


def windows(stack: Installation) -> list[dict[str, Any]]:
    """As the operator sees them."""
    return list(json.loads(stack.stack.vedette("--json", "maintenance", "list", "--all")))


def alerts(stack: Installation) -> list[tuple[Any, ...]]:
    """All there ever were."""
    return stack.query("SELECT credential, kind, state, count FROM vedette.alert ORDER BY opened_at")


def wait_state(stack: Installation, state: str, count: int) -> None:
    """Until so many devices are like that."""
    stack.wait_for("SELECT count(*)::int FROM vedette.device WHERE connectivity = %s", state, expect=count)


def test_who_does_not_return_is_one_alert(stack: Installation) -> None:
    """All fall silent in the window, one comes back after it; analysis is killed in it, and after it."""
    devices = prepare(stack)
    window = add_window(stack, "--for", "1h")
    stack.stack.start_analysis()
    for device in devices:
        device.send(stack.wire.report(1))
    wait_state(stack, "silent", len(DEVICES))
    assert alerts(stack) == []
    stack.kill9("vedette-analysis")
    stack.stack.start_analysis()
    stack.stack.vedette("maintenance", "end", window)
    numbers = itertools.count(2)

    def said_by_one() -> bool:
        """The one goes on reporting; true when it is told that the others do not."""
        devices[0].send(stack.wire.report(next(numbers)))
        return bool(alerts(stack))

    assert wait_until(said_by_one, WAIT_S, step=0.5)
    assert alerts(stack) == [("vedette", "did not return", "open", 1)]
    sentence, severity, explanation = stack.query("SELECT sentence, severity, explanation FROM vedette.alert")[0]
    assert sentence == "2 of 3 devices did not come back from maintenance (new switch): dev-b, dev-c."
    assert (severity, explanation["observed"]) == ("major", {"missing": 2, "devices": ["dev-b", "dev-c"]})
    (row,) = windows(stack)
    assert (row["state"], row["withheld"], row["missing"]) == ("over", 3, 2)
    stack.kill9("vedette-analysis")
    stack.stack.start_analysis()
    devices[1].send(stack.wire.report(2))
    stack.wait_for("SELECT connectivity FROM vedette.device WHERE credential = 'dev-b'", expect="online")
    assert alerts(stack)[0] == ("vedette", "did not return", "open", 1)
    devices[2].send(stack.wire.report(2))
    stack.wait(lambda: alerts(stack)[0] == ("vedette", "did not return", "cleared", 1))
    assert {alert[0] for alert in alerts(stack)[1:]} <= set(DEVICES)  # who is back is judged as ever


def test_all_return_and_then_are_judged_as_ever(stack: Installation) -> None:
    """Nobody is missing, which is written down; who falls silent later is an alert of its own."""
    devices = prepare(stack)
    stack.stack.start_analysis()
    for device in devices:
        device.send(stack.wire.report(1))
    wait_state(stack, "online", len(DEVICES))
    add_window(stack, "--for", "4s")
    numbers = itertools.count(2)

    def judged() -> bool:
        """All go on; true when the window's result is there."""
        for device in devices:
            device.send(stack.wire.report(next(numbers)))
        return windows(stack)[0]["missing"] is not None

    assert wait_until(judged, WAIT_S, step=0.5)
    (row,) = windows(stack)
    assert (row["withheld"], row["missing"]) == (0, 0)
    assert alerts(stack) == []
    stack.wait(lambda: sorted(alerts(stack)) == [(name, "silent", "open", 1) for name in DEVICES])
