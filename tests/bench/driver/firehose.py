"""Parts on the firehose: the Paho null client, ingest, raw COPY."""

from __future__ import annotations

import time
from collections.abc import Callable

from deploy.local.errors import StackError
from deploy.local.processes import Process

from . import cpu
from .lab import DEVICES, Lab, Played, finished, json_lines


def paho_null(lab: Lab, samples: int = 8, *, quiet: bool = False) -> dict[str, float]:
    """A Paho client that counts and acknowledges: what the MQTT library costs."""
    count = lab.scale.reports if samples == 8 else lab.scale.big_reports
    hose = lab.firehose(count, samples=samples)
    null = lab.process("bench_paho_null", [
        lab.program("bench_paho_null"), "--port", str(lab.firehose_port), *lab.client_files(), "--count", str(count + lab.scale.warm),
        "--skip", str(lab.scale.warm), *(["--quiet"] if quiet else [])])
    played = lab.played(hose)
    finished(null, "the Paho null client")
    finished(hose, "the firehose")
    (said,) = json_lines(null)
    return {"per_s": said["messages"] / said["seconds"], "cpu_us": (said["user_us"] + said["system_us"]) / said["messages"],
            "system_us": said["system_us"] / said["messages"], "firehose_us": played.cpu_us / played.measured,
            "message_bytes": played.bytes / played.messages}


def ingest(lab: Lab, samples: int = 8, *, repeating: int = 0, marked: bool = False, fresh: bool = True,
           beside: Callable[[Lab], Process] | None = None) -> dict[str, float]:
    """Ingest from the firehose until all is committed; so many devices send every report twice, which may be marked as a repeat.
    `beside` starts something that works meanwhile."""
    if fresh:
        lab.empty_store()
    words = ("--repeat", str(repeating), *(("--dup",) if marked else ()))
    hose = lab.firehose(lab.scale.reports if samples == 8 else lab.scale.big_reports, *words, samples=samples)
    worker = lab.start_ingest(firehose=True)
    if beside is not None:
        beside(lab)
    lab.warmed(hose)
    before, store_before = cpu.of_threads(worker.pid), cpu.of_family(lab.postmaster)
    played = lab.played(hose)
    committed_us, batches, duplicates = _all_committed(lab, worker, played)
    after, store_after = cpu.of_threads(worker.pid), cpu.of_family(lab.postmaster)
    rest, journal = cpu.resident_kib(worker.pid, "/journal")
    worker.stop(grace=15)
    hose.stop()
    store_bytes = _check_rows(lab, played, repeating)
    seconds = (committed_us - played.first_us) / 1e6
    used = {name: (after[name] - before.get(name, cpu.Used())) for name in after}
    total = sum((one for one in used.values()), cpu.Used())
    figures = {
        "per_s": played.measured / seconds, "samples_per_s": played.measured * samples / seconds,
        "acknowledged_per_s": played.measured / ((played.last_us - played.first_us) / 1e6),
        "cpu_us": total.total / played.measured, "system_us": total.system / played.measured,
        "postgres_us": (store_after - store_before).total / played.measured, "firehose_us": played.cpu_us / played.measured,
        "batches": batches, "batch_size": played.measured / batches, "resident_mib": rest / 1024, "journal_mib": journal / 1024,
        "message_bytes": played.bytes / played.messages, "duplicates": duplicates, "store_bytes": store_bytes,
    }
    return figures | {f"thread {name}": one.total / played.measured for name, one in used.items()}


def _all_committed(lab: Lab, worker: Process, played: Played) -> tuple[int, int, int]:
    """When the last batch was committed, how many it took, and how many messages were there before."""
    state = (0, 0, 0, 0)

    def done() -> bool:
        nonlocal state
        state = lab.batches(played.first_us)
        time.sleep(0.1)  # asking costs the database something too
        return state[0] + state[2] >= played.measured

    try:
        lab.wait(worker, done, "the last commit")
    except StackError as error:
        raise StackError(f"{error}: {state[0]} of {played.measured} messages are committed, {state[2]} were there before") from None
    return state[3], state[1], state[2]


def _check_rows(lab: Lab, played: Played, repeating: int) -> float:
    """Every report must be there once; returns the bytes that one takes in the store, indexes included."""
    ((rows, size),) = lab.sql(
        "SELECT (SELECT count(*) FROM store.report r JOIN store.device d ON d.id = r.device WHERE d.credential LIKE 'dev-%%'), sum(pg_total_relation_size(relid)) FROM pg_partition_tree('store.report') WHERE isleaf")
    once = played.messages * DEVICES // (DEVICES + repeating)
    if rows != once:
        raise StackError(f"store.report has {rows} rows after {played.messages} messages with {once} reports")
    return float(size / rows)


def raw_copy(lab: Lab, samples: int = 8) -> dict[str, float]:
    """The same rows by COPY alone, in batches of 2,000."""
    lab.empty_store()
    count = lab.scale.reports if samples == 8 else lab.scale.big_reports
    before = cpu.of_family(lab.postmaster)
    copy = lab.process("bench_raw_copy", [
        lab.program("bench_raw_copy"), "--conninfo", f"host={lab.stack.postgres.socket} user=vedette_ingest dbname=vedette",
        "--rows", str(count), "--samples", str(samples)])
    finished(copy, "raw COPY")
    (said,) = json_lines(copy)
    used = cpu.of_family(lab.postmaster) - before
    return {"per_s": said["rows"] / said["seconds"], "samples_per_s": said["rows"] * samples / said["seconds"],
            "postgres_us": used.total / said["rows"], "row_bytes": said["bytes"] / said["rows"]}
