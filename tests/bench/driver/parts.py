"""The parts of the benchmark in the order of a round, and the rows that their figures make."""

from __future__ import annotations

from collections.abc import Callable

from . import backlog, beside, broker, connections, connectivity, firehose, instructions, peers, persistence, recorded, series, soak, store
from .lab import DEVICES, Lab
from .results import Results, Row

Part = Callable[[Lab, Results], dict[str, float]]

OF_NULL_OFFERED = 0.7
HALF = 0.5


def _offered(share: float) -> Part:
    """Ingest at a share of what the null subscriber reached in this round."""
    def part(lab: Lab, results: Results) -> dict[str, float]:
        return broker.ingest_at(lab, share * results.rounds["null"][-1]["per_s"])

    return part


# name → what it does. Parts of one round run one after another, so that what is compared was measured side by side.
PARTS: dict[str, Part] = {
    "paho": lambda lab, _: firehose.paho_null(lab),
    "paho-quiet": lambda lab, _: firehose.paho_null(lab, quiet=True),
    "ingest": lambda lab, _: firehose.ingest(lab),
    "keeper": lambda lab, _: beside.keeper(lab),
    "repeats": lambda lab, _: firehose.ingest(lab, repeating=1),
    "repeats-dup": lambda lab, _: firehose.ingest(lab, repeating=1, marked=True),
    "repeats-all": lambda lab, _: firehose.ingest(lab, repeating=DEVICES),
    "copy": lambda lab, _: firehose.raw_copy(lab),
    "psql": lambda lab, _: peers.psql(lab),
    "node": lambda lab, _: peers.node(lab),
    "psql-work": lambda lab, _: peers.psql(lab, work=True),
    "node-work": lambda lab, _: peers.node(lab, work=True),
    "paho64": lambda lab, _: firehose.paho_null(lab, 64),
    "ingest64": lambda lab, _: firehose.ingest(lab, 64),
    "copy64": lambda lab, _: firehose.raw_copy(lab, 64),
    "null": lambda lab, _: broker.null_subscriber(lab),
    "offered": _offered(OF_NULL_OFFERED),
    "half": _offered(HALF),
    "erasure": lambda lab, results: beside.erasure(lab, HALF * results.rounds["null"][-1]["per_s"]),
    "saturated": lambda lab, results: broker.ingest_at(lab, results.rounds["null"][-1]["asked_per_s"]),
    "connections": lambda lab, _: connections.connections(lab),
    "backlog": backlog.store_away,
    "backlog-broker": backlog.ingest_away,
    "persistence": lambda lab, _: persistence.persistence(lab),
    "soak": lambda lab, _: soak.soak(lab),
    "recorded": lambda lab, _: recorded.recorded(lab),
    "store": lambda lab, _: store.store(lab),
    "connectivity": lambda lab, _: connectivity.connectivity(lab),
    "series": lambda lab, _: series.series(lab),
    "callgrind": lambda lab, _: instructions.callgrind(lab),
    "callgrind64": lambda lab, _: instructions.callgrind(lab, 64),
}
# The same every time, or long.
ONCE = {"connections", "backlog", "backlog-broker", "persistence", "soak", "erasure", "recorded", "store", "connectivity", "series", "callgrind", "callgrind64"}
IF_NAMED = {"soak"}  # longer than all others
NEEDS = {"paho-quiet": "paho", "offered": "null", "half": "null", "saturated": "null", "erasure": "null", "keeper": "ingest", "ingest": "paho", "ingest64": "paho64",
         "repeats": "ingest", "repeats-dup": "ingest", "repeats-all": "ingest",
         "backlog": "null", "backlog-broker": "null"}


def _number(value: float | None, unit: str = "", digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def _ratio(value: float | None, to: str) -> str:
    return "" if value is None else f"{value:.2f} of {to}"


def rows(results: Results) -> list[Row]:
    """The table."""
    makers = (_paho, _ingest, _repeats, _copy, _peers, _null, _offered_rows, connections.connection_rows, backlog.backlog_rows,
              persistence.persistence_rows, soak.soak_rows, beside.beside_rows, recorded.recorded_rows, store.store_rows, connectivity.connectivity_rows,
              series.series_rows,
              _instructions)
    return [row for maker in makers for row in maker(results)]


def _cost(results: Results, part: str, *figures: tuple[str, str]) -> str:
    found = [(name, results.median(part, figure)) for name, figure in figures]
    return ", ".join(f"{name} {value:.1f} µs" for name, value in found if value is not None)


def _paho(results: Results) -> list[Row]:
    return [Row(f"firehose → Paho null client, {what}", _number(results.median(part, "per_s"), "/s"),
                _ratio(results.ratio(part, "per_s", "paho", "per_s"), "Paho null") if part == "paho-quiet" else "1",
                _cost(results, part, ("client", "cpu_us"), ("of it system", "system_us"), ("firehose", "firehose_us"))
                + f"; {_number(results.median(part, 'message_bytes'))} bytes a packet")
            for part, what in (("paho", "8 samples"), ("paho-quiet", "8 samples, no trace in memory"), ("paho64", "64 samples"))
            if results.has(part)]


def _ingest(results: Results) -> list[Row]:
    found = []
    for part, null, samples in (("ingest", "paho", 8), ("ingest64", "paho64", 64)):
        if not results.has(part):
            continue
        threads = sorted({name for figures in results.rounds[part] for name in figures if name.startswith("thread ")})
        found += [
            Row(f"firehose → ingest → committed, {samples} samples", _number(results.median(part, "per_s"), "/s"),
                _ratio(results.ratio(part, "per_s", null, "per_s"), "Paho null") + _untraced(results, part),
                f"{_number(results.median(part, 'samples_per_s'))} samples/s; acknowledged at"
                f" {_number(results.median(part, 'acknowledged_per_s'))}/s; {_number(results.median(part, 'batch_size'))} reports a batch"),
            Row("  its CPU a report", _number(results.median(part, "cpu_us"), " µs", 1),
                _ratio(results.ratio(part, "cpu_us", null, "cpu_us"), "Paho null"),
                _cost(results, part, *((name.removeprefix("thread "), name) for name in threads), ("PostgreSQL", "postgres_us"))),
            Row("  its CPU a report beyond Paho's", _number(_beyond(results, part, null), " µs", 1),
                _ratio(_beyond_ratio(results, part, null), "Paho null"), "its CPU less that of the null client in the same round"),
            Row("  its memory", _number(results.median(part, "resident_mib"), " MiB", 1), "",
                f"beside {_number(results.median(part, 'journal_mib'))} MiB of the journal's mapping;"
                f" a report takes {_number(results.median(part, 'store_bytes'))} bytes in the store, indexes included"),
        ]
    return found


def _untraced(results: Results, part: str) -> str:
    """The same against a null client that keeps no trace: what is left to gain with Paho as it is."""
    ratio = results.ratio(part, "per_s", "paho-quiet", "per_s") if part == "ingest" else None
    return "" if ratio is None else f", {ratio:.2f} of it without trace"


def _beyond(results: Results, part: str, null: str) -> float | None:
    own, other = results.median(part, "cpu_us"), results.median(null, "cpu_us")
    return None if own is None or other is None else own - other


def _beyond_ratio(results: Results, part: str, null: str) -> float | None:
    ratio = results.ratio(part, "cpu_us", null, "cpu_us")
    return None if ratio is None else ratio - 1


def _repeats(results: Results) -> list[Row]:
    return [Row(f"firehose → ingest, {what} every report twice", _number(results.median(part, "per_s"), "/s"),
                _ratio(results.ratio(part, "per_s", "ingest", "per_s"), "ingest without repeats"),
                f"messages; {_number(results.median(part, 'duplicates'))} of them repeats; "
                + _cost(results, part, ("CPU", "cpu_us"), ("PostgreSQL", "postgres_us")))
            for part, what in (("repeats", "one of 200 devices sends"), ("repeats-dup", "one of 200 devices sends, marked DUP,"),
                               ("repeats-all", "all devices send")) if results.has(part)]


def _copy(results: Results) -> list[Row]:
    return [Row(f"raw COPY of the same rows, {samples} samples", _number(results.median(part, "per_s"), "/s"),
                _ratio(results.ratio(ingest, "per_s", part, "per_s"), "it is ingest"),
                f"{_number(results.median(part, 'samples_per_s'))} samples/s; {_number(results.median(part, 'row_bytes'))} bytes a row; "
                + _cost(results, part, ("PostgreSQL", "postgres_us")))
            for part, ingest, samples in (("copy", "ingest", 8), ("copy64", "ingest64", 64)) if results.has(part)]


def _peers(results: Results) -> list[Row]:
    names = {"psql": "mosquitto_sub | psql COPY, raw text", "node": "Node mqtt + pg, raw text",
             "psql-work": "mosquitto_sub | psql, then SQL does our work", "node-work": "Node mqtt + pg, doing our work"}
    return [Row(f"firehose → {name}", _number(results.median(part, "per_s"), "/s"),
                _ratio(results.ratio(part, "per_s", "ingest", "per_s"), "ingest"),
                _cost(results, part, ("client", "cpu_us"), ("PostgreSQL", "postgres_us")))
            for part, name in names.items() if results.has(part)]


def _cores(results: Results, part: str) -> str:
    names = [name for name in results.rounds[part][0] if name.startswith("cores ")]
    return "cores used: " + ", ".join(f"{name.removeprefix('cores ')} {results.median(part, name):.2f}" for name in names)


def _null(results: Results) -> list[Row]:
    if not results.has("null"):
        return []
    return [Row("200 devices → Mosquitto → null subscriber, saturated", _number(results.median("null", "per_s"), "/s"), "1",
                _cores(results, "null"))]


def _offered_rows(results: Results) -> list[Row]:
    found = []
    for part, what in (("offered", "0.7 of that offered to ingest"), ("half", "0.5 of that offered to ingest"),
                       ("saturated", "200 devices → Mosquitto → ingest, saturated")):
        if not results.has(part):
            continue
        ratio = (results.ratio(part, "per_s", "null", "per_s") if part == "saturated"
                 else results.ratio(part, "per_s", part, "asked_per_s"))
        found.append(Row(what, _number(results.median(part, "per_s"), "/s"),
                         _ratio(ratio, "null subscriber" if part == "saturated" else "what was offered"), _cores(results, part)))
        p99, floor = results.median(part, "p99_ms"), _floor(results, part)
        found.append(Row("  PUBLISH (the report's time) → committed", f"p50 {_number(results.median(part, 'p50_ms'))} ms,"
                         f" p99 {_number(p99)} ms", _ratio(p99 / floor if p99 and floor else None, "floor"),
                         f"most {_number(results.median(part, 'most_ms'))} ms;{' p99 at most 250 ms is wanted;' if part == 'half' else ''} floor 100 (batch age) + 10 (sync) + 20 one-row commits of"
                         f" {_number(results.median(part, 'one_row_commit_ms'), ' ms', 2)} = {_number(floor)} ms"))
    return found


def _floor(results: Results, part: str) -> float | None:
    commit = results.median(part, "one_row_commit_ms")
    return None if commit is None else 110 + 20 * commit


def _instructions(results: Results) -> list[Row]:
    found = []
    for part, samples in (("callgrind", 8), ("callgrind64", 64)):
        if results.has(part):
            figures = results.rounds[part][0]
            found.append(Row(f"instructions a report, {samples} samples", _number(figures["all"]), "",
                             f"decode and validate {figures['decode']:,.0f}, admit and digest"
                             f" {figures['decode and admit'] - figures['decode']:,.0f}, number {figures['number']:,.0f},"
                             f" rows {figures['rows']:,.0f}, encode {figures['encode']:,.0f}; alone"
                             f" {sum(figures[f'{step} ns'] for step in ('add', 'metrics', 'rows', 'encode')) / 1000:.2f} µs"))
    return found
