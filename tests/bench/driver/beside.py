"""What goes on beside ingest: the keeper at its work, and an erasure."""

from __future__ import annotations

import datetime as dt
import time
import urllib.request

from deploy.local.errors import StackError
from deploy.local.processes import Process

from . import firehose
from .filling import Fleet, empty, fill, register
from .lab import Lab
from .results import Results, Row
from .store import compress, roll_up

HALF = 0.5


def keeper(lab: Lab) -> dict[str, float]:
    """Ingest from the firehose while the keeper, with its usual share of time, has more to compress, roll up and delete than it can do."""
    empty(lab)
    lab.sql("DELETE FROM store.model_retention")
    kept = register(lab, "backlog", lab.scale.store_devices, 4, 60)
    fill(lab, kept, peer=False)
    figures = firehose.ingest(lab, fresh=False, beside=_start_keeper)
    done = _counted(lab)
    lab.stack.processes["vedette-keeper"].stop(grace=10)
    empty(lab)
    return figures | {f"keeper {name}": done[name] for name in ("rollups", "samples_compressed")}


def _start_keeper(lab: Lab) -> Process:
    lab.stack.overrides = {**lab.stack.overrides, "keeper": {"compress_after_h": 1}}
    lab.stack.write_config()
    return lab.stack.start_keeper(ready=False)


def _counted(lab: Lab) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{lab.stack.ports.keeper_http}/metrics", timeout=5) as answer:
        lines = [line.split() for line in answer.read().decode().splitlines() if line.startswith("vedette_keeper_") and "{" not in line]
    return {name.removeprefix("vedette_keeper_").removesuffix("_total"): float(value) for name, value in lines}


def erasure(lab: Lab, rate: float) -> dict[str, float]:
    """One of many owners is erased while ingest takes in half of what the broker can carry; then there is no row of theirs."""
    empty(lab)
    fleet = register(lab, "owned", lab.scale.fleet_devices, 3, 600, owners=True)
    fill(lab, fleet, peer=False)
    lab.sql("DELETE FROM store.stale WHERE hour < %s", fleet.end - dt.timedelta(days=1))  # a day of rollups will do
    roll_up(lab, fleet)
    compress(lab, 2)
    lab.fresh_broker()
    worker = lab.start_ingest(firehose=False)
    sim = lab.simulator(rate)
    time.sleep(lab.scale.settle_s)
    taken = []
    for number in range(3):
        begun = time.monotonic()
        lab.stack.vedette("--json", "owner", "erase", f"{fleet.prefix}-owner-{number}", "--yes", "--wait", "0")
        lab.wait(worker, lambda: _is_done(lab), "the end of the erasure", sim)
        taken.append(time.monotonic() - begun)
        _check(lab, fleet, number)
    offered = lab.published()
    sim.stop(grace=10)
    worker.stop(grace=15)
    empty(lab)
    return {"most_s": max(taken), "asked_per_s": rate, "published": float(offered)}


def _is_done(lab: Lab) -> bool:
    """But for workers of other parts, which do not run."""
    ((open_,),) = lab.sql("SELECT count(*) FROM vedette.erasure WHERE deleted_at IS NULL OR retained > 0 OR 'ingest-1' = ANY (string_to_array(journals, ', '))")
    return bool(open_ == 0)


def _check(lab: Lab, fleet: Fleet, number: int) -> None:
    for table in ("report", "packed", "hour", "five", "latest", "stale", "metric_set"):
        ((left,),) = lab.sql(f"SELECT count(*) FROM store.{table} WHERE device = %s", fleet.base + number)
        if left:
            raise StackError(f"{left} rows of store.{table} are left of an erased device")


def beside_rows(results: Results) -> list[Row]:
    """Rows of the table."""
    rows = []
    if results.has("keeper"):
        ratio = results.ratio("keeper", "per_s", "ingest", "per_s")
        rows.append(Row("firehose → ingest beside the keeper at work", f"{results.median('keeper', 'per_s') or 0:,.0f}/s",
                        "" if ratio is None else f"{ratio:.2f} of ingest without it",
                        f"meanwhile {results.median('keeper', 'keeper rollups') or 0:,.0f} hours rolled up,"
                        f" {results.median('keeper', 'keeper samples_compressed') or 0:,.0f} samples compressed; keeper.share 0.1"))
    if results.has("erasure"):
        f = results.rounds["erasure"][0]
        rows.append(Row("erasing one of 10,000 owners at half load", f"{f['most_s']:.1f} s", f"{f['most_s'] / 10:.2f} of the 10 s wanted",
                        f"the longest of three, with the workers' part; {f['asked_per_s']:,.0f} reports/s meanwhile"))
    return rows
