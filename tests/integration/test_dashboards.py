"""Grafana's dashboards: every query runs as Grafana's role on a real store, and reads views of the schema `vedette` only.

The macros are expanded as Grafana's PostgreSQL data source does (https://grafana.com/docs/grafana/latest/datasources/postgres/).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from support import Installation

GRAFANA = Path(__file__).resolve().parents[2] / "dashboards" / "grafana"
DASHBOARDS = sorted(GRAFANA.glob("*.json"))
PANELS = {"timeseries", "stat", "table", "bargauge", "state-timeline"}
DEVICE = "dash-1"
METRIC = "temperature"


def load(path: Path) -> dict[str, Any]:
    """A dashboard."""
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """All panels with a name for the test."""
    for path in DASHBOARDS:
        for panel in load(path)["panels"]:
            yield f"{path.stem}: {panel['title']}", panel


def time_group(match: re.Match[str]) -> str:
    """$__timeGroup(column, interval[, fill]); $__timeGroupAlias also names the column."""
    words = [word.strip().strip("'") for word in match[2].split(",")]
    seconds = {"s": 1, "m": 60, "h": 3600}[words[1][-1]] * int(words[1][:-1])
    return f"floor(extract(epoch from {words[0]})/{seconds})*{seconds}" + (' AS "time"' if match[1] else "")


def expand(sql: str, since: dt.datetime = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), until: dt.datetime = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)) -> str:
    """A panel's query as it reaches the database."""
    start, end = f"'{since.isoformat()}'", f"'{until.isoformat()}'"
    sql = sql.replace("$__interval", "10s").replace("$device", DEVICE).replace("$metric", METRIC)
    sql = re.sub(r"\$__timeGroup(Alias)?\(([^)]*)\)", time_group, sql)
    sql = re.sub(r"\$__timeFilter\(([^)]*)\)", lambda match: f"{match[1]} BETWEEN {start} AND {end}", sql)
    sql = sql.replace("$__timeFrom()", start).replace("$__timeTo()", end)
    assert "$" not in sql, f"something is not expanded: {sql}"
    return sql


@pytest.fixture
def filled(stack: Installation) -> Installation:
    """A store with one device's reports."""
    stack.register(DEVICE)
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    device = stack.device(DEVICE)
    traffic = stack.wire.v1.Traffic(interval=1_000_000, bytes_in=10, bytes_out=20)
    event = stack.wire.v1.Event(kind=stack.wire.v1.EVENT_KIND_LOGIN_FAILED, count=1, subject="root", source=bytes((192, 0, 2, 1)))
    device.send(stack.wire.report(1, {METRIC: 20.5}, traffic=traffic, events=[event]))
    device.send(stack.wire.report(2, {"a name with blanks": 1.0}))
    stack.wait_for("SELECT count(*) FROM vedette.report WHERE credential = %s", DEVICE, expect=1)
    stack.wait_for("SELECT count(*) FROM vedette.dead_letter WHERE credential = %s", DEVICE, expect=1)
    stack.wait_for("SELECT count(*) FROM vedette.connectivity_change WHERE credential = %s AND state = 'online'", DEVICE, expect=1)
    return stack


def test_queries_run_as_grafana(filled: Installation) -> None:
    """Every panel's and every variable's query runs, and those that have to see the device's data do."""
    found = {}
    for name, panel in panels():
        for target in panel["targets"]:
            found[name] = filled.query(expand(target["rawSql"]), role="vedette_grafana")
    for path in DASHBOARDS:
        for variable in load(path)["templating"]["list"]:
            found[f"variable {variable['name']}"] = filled.query(expand(variable["query"]), role="vedette_grafana")
    for name in ("fleet: Devices by connectivity", "fleet: Reports a minute", "fleet: $device: $metric", "fleet: $device: traffic",
                 "fleet: Security events", "fleet: Rejected, by reason", "fleet: $device: connectivity"):
        assert found[name], f"{name} shows nothing"
    assert found["variable device"] == [(DEVICE,)]
    assert found["variable metric"] == [(METRIC,)]


def test_grafana_reads_views_only(stack: Installation) -> None:
    """Neither tables nor writing."""
    for statement in ("SELECT 1 FROM store.device", "DELETE FROM store.device", "CREATE TABLE vedette.x ()", "CREATE TEMP TABLE x ()"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            stack.query(statement, role="vedette_grafana")


@pytest.mark.parametrize(("name", "panel"), panels())
def test_panel(name: str, panel: dict[str, Any]) -> None:
    """Only plain panels, the provisioned data source, and views."""
    assert panel["type"] in PANELS
    assert panel["datasource"] == {"type": "postgres", "uid": "vedette"}
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "vedette"
        read = re.findall(r"\b(?:FROM|JOIN)\s+([a-z_.]+)", target["rawSql"])
        assert read and all(view.startswith("vedette.") for view in read), f"{name} reads {read}"


def test_dashboards_are_provisioned() -> None:
    """The data source has the uid that the dashboards name, and no password."""
    ((source),) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "vedette.yaml").read_text(encoding="utf-8"))["datasources"]
    assert source["uid"] == "vedette" and source["user"] == "vedette_grafana"
    assert "secureJsonData" not in source
    uids = [load(path)["uid"] for path in DASHBOARDS]
    assert uids and len(uids) == len(set(uids))
    for path in DASHBOARDS:
        ids = [panel["id"] for panel in load(path)["panels"]]
        assert len(ids) == len(set(ids))
