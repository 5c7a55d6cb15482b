"""The private stack that is measured, and what all parts do with it."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.ports import Ports, is_listening
from deploy.local.processes import Process, run, wait_until
from deploy.local.stack import Stack

DEVICES = 200
MODEL = "sensor-b"  # of the simulator's: samples only, no traffic
LONGEST_S = 180.0   # no single measurement takes longer
ONE_ROW_COMMITS = 200
PEERS_SCHEMA = """
CREATE SCHEMA bench;
CREATE TABLE bench.one (n integer);
CREATE TABLE bench.raw (topic text, payload text);
CREATE TABLE bench.metric_set (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, names text UNIQUE);
CREATE TABLE bench.report (
  time timestamptz NOT NULL, received timestamptz NOT NULL, boot bigint NOT NULL, sequence bigint NOT NULL,
  device integer NOT NULL, set smallint NOT NULL, values double precision[]);
CREATE UNIQUE INDEX report_key ON bench.report (device, time, boot, sequence);
GRANT USAGE ON SCHEMA bench TO vedette_ingest;
GRANT ALL ON ALL TABLES IN SCHEMA bench TO vedette_ingest;
"""


@dataclass(frozen=True)
class Scale:
    """How much is done: `full` for figures, `quick` to see that everything works."""

    reports: int        # of 8 samples a measurement on the firehose
    big_reports: int    # of 64 samples
    warm: int           # before the clock starts
    settle_s: int       # before the clock starts, with the simulator
    seconds: int        # with the simulator
    connections: int    # devices at one time
    cadence_s: float    # of their reports
    backlog_s: int      # of live traffic that a backlog is worth
    queued: int         # messages in the broker; with live ones below 1,000,000
    ask_save: bool      # the broker is asked to save instead of waited for
    after_save_s: int   # until it is killed
    minutes: int        # of the soak
    store_devices: int  # a report of 8 samples a minute each …
    store_days: int     # … for so many days
    fleet_devices: int  # a report each ten minutes, for two days
    quick_fleets: bool  # of the connectivity model: two days instead of thirty
    cost_devices: int   # in memory
    clean_series: int   # of each kind, for a month
    blind_devices: int  # during an outage of ours


FULL = Scale(reports=600_000, big_reports=200_000, warm=20_000, settle_s=5, seconds=10, connections=15_000, cadence_s=20,
             backlog_s=120, queued=960_000, ask_save=False, after_save_s=10, minutes=60,
             store_devices=100, store_days=30, fleet_devices=10_000, quick_fleets=False, cost_devices=1_000_000, clean_series=1_000, blind_devices=50_000)
QUICK = Scale(reports=30_000, big_reports=8_000, warm=4_000, settle_s=4, seconds=3, connections=300, cadence_s=4,
              backlog_s=10, queued=50_000, ask_save=True, after_save_s=2, minutes=2,
              store_devices=10, store_days=4, fleet_devices=200, quick_fleets=True, cost_devices=20_000, clean_series=20, blind_devices=500)


@dataclass(frozen=True)
class Played:
    """What the firehose says."""

    messages: int
    warm: int
    first_us: int
    last_us: int
    cpu_us: int
    mqtt: str
    bytes: int
    window: int

    @property
    def measured(self) -> int:
        """Messages after the warm-up."""
        return self.messages - self.warm


class Lab:
    """A stack in a temporary folder, with the benchmark's programs. Not thread-safe."""

    def __init__(self, root: Path, build: Path, scale: Scale) -> None:
        self.root = root
        self.build = build
        self.scale = scale
        self.folder = Path(tempfile.mkdtemp(prefix="vd-bench-"))
        self.folder.chmod(0o755)
        self.stack = Stack(self.folder, build, Ports.free())
        self.firehose_port = Ports.free().devices
        self._started: list[Process] = []

    # --- beginning and end

    def open(self) -> None:
        """Starts PostgreSQL with the schema; the broker and the daemons are started where they are needed."""
        stack = self.stack
        stack.prepare()
        stack.start_store()
        # batch.committed_at is taken when the transaction begins its work; this is the moment of the commit.
        self.sql("ALTER SYSTEM SET track_commit_timestamp = on")
        stack.postgres.stop()
        stack.postgres.start()
        stack.migrate()
        self.sql("SELECT store.housekeep()")
        self.sql(PEERS_SCHEMA)
        stack.register(run([*self._simulated(), "--list-credentials"], stack.account))  # with the children of its gateways

    def close(self) -> None:
        """Stops everything and removes the folder."""
        for process in reversed(self._started):
            process.stop(grace=1)
        self.stack.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- the database

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement, as superuser; values in order, or one dictionary."""
        session = self.stack.postgres.connect("postgres")
        try:
            with session.cursor() as cursor:
                cursor.execute(statement, values[0] if values and isinstance(values[0], dict) else values)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            session.close()

    def empty_store(self) -> None:
        """The same beginning for every measurement: empty tables, nothing left to write back."""
        self.sql("TRUNCATE store.report, bench.raw, bench.report, bench.one")
        self.sql("CHECKPOINT")

    def one_row_commit_ms(self) -> float:
        """Median of single-row transactions."""
        session = self.stack.postgres.connect("postgres")
        times = []
        with session.cursor() as cursor:
            for number in range(ONE_ROW_COMMITS):
                begun = time.perf_counter()
                cursor.execute("INSERT INTO bench.one VALUES (%s)", (number,))
                times.append(time.perf_counter() - begun)
        session.close()
        return statistics.median(times) * 1000

    @property
    def postmaster(self) -> int:
        """Number of PostgreSQL's first process."""
        return self.stack.postgres.process.pid

    # --- programs

    def program(self, name: str) -> Path:
        """A program of the benchmark that the stack's account can run."""
        return self._runnable(self.build / "tests" / "bench" / name)

    def _runnable(self, built: Path) -> Path:
        if not built.exists():
            raise StackError(f"{built} is not built: run tests/bench/run, which builds it")
        if self.stack.account.can_read(built):
            return built
        copy = self.folder / "bin" / built.name
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            shutil.copy2(built, copy)
            copy.chmod(0o755)
        return copy

    def process(self, name: str, argv: Sequence[str | Path]) -> Process:
        """A program as the stack's account, stopped at the latest when the lab closes; it is started."""
        process = Process(name, argv, self.stack.logs / f"{name}.log", self.stack.account)
        self._started = [one for one in self._started if one.alive()] + [process]
        process.start()
        return process

    def client_files(self) -> list[str | Path]:
        """Options that name the certificate of ingest."""
        pki = self.folder / "pki"
        return ["--ca", pki / "ca.crt", "--cert", pki / "ingest.crt", "--key", pki / "ingest.key"]

    # --- the firehose

    def firehose(self, count: int, *words: str, samples: int = 8, json_text: bool = False, seconds: int = int(LONGEST_S)) -> Process:
        """Starts it, with further options; it listens when this returns."""
        pki = self.folder / "pki"
        argv: list[str | Path] = [
            self.program("bench_firehose"), "--port", str(self.firehose_port), "--ca", pki / "ca.crt", "--cert", pki / "server.crt",
            "--key", pki / "server.key", "--count", str(count + self.scale.warm), "--warm", str(self.scale.warm),
            "--devices", str(DEVICES), "--samples", str(samples), "--seconds", str(seconds), *words]
        hose = self.process("bench_firehose", argv + (["--json"] if json_text else []))
        hose.wait_ready(lambda: is_listening(self.firehose_port), 60, "listening")
        return hose

    def warmed(self, hose: Process) -> None:
        """Waits for the pause between warm-up and measurement."""
        self.wait(hose, lambda: "warmed" in hose.log_text(), "the warm-up")

    def played(self, hose: Process) -> Played:
        """Waits until all is acknowledged."""
        self.wait(hose, lambda: "messages" in hose.log_text(), "the last PUBACK")
        said = json_lines(hose)[-1]
        return Played(warm=self.scale.warm, **said)

    def wait(self, process: Process, condition: Callable[[], object], what: str, *others: Process) -> None:
        """Waits until something holds, while the processes run."""
        def over() -> bool:
            return bool(condition()) or not all(one.alive() for one in (process, *others))

        if not wait_until(over, LONGEST_S, step=0.05):
            raise StackError(f"{what} did not come within {LONGEST_S:.0f} s")
        if not condition():
            raise StackError(next((one for one in (process, *others) if not one.alive()), process).failure())

    # --- ingest

    def start_ingest(self, *, firehose: bool) -> Process:
        """Starts ingest on the firehose, or on Mosquitto."""
        if firehose:
            self.stack.account.folder(self.folder / "journal-firehose")
            self.stack.overrides = {"broker": {"port": self.firehose_port},
                                    "ingest": {"worker": "ingest-firehose", "journal": {"folder": "journal-firehose"}}}
        else:
            self.stack.overrides = {}
        self.stack.write_config()
        return self.stack.start_ingest()

    def batches(self, since_us: int) -> tuple[int, int, int, int]:
        """Of batches that were committed after a time: reports, batches, duplicates, microseconds of the last commit."""
        ((reports, batches, duplicates, last),) = self.sql(
            "SELECT coalesce(sum(reports), 0), count(*) FILTER (WHERE reports > 0), coalesce(sum(duplicates), 0),"
            " (extract(epoch FROM max(pg_xact_commit_timestamp(xmin)) FILTER (WHERE reports > 0)) * 1e6)::bigint"
            " FROM store.batch WHERE pg_xact_commit_timestamp(xmin) >= to_timestamp(%s / 1e6)", since_us)
        return int(reports), int(batches), int(duplicates), int(last or 0)

    def check_ledger(self) -> None:
        """An error when anything was shed or rejected: all that the benchmark sends is good, and below the admission rates."""
        ((shed, rejected),) = self.sql("SELECT coalesce(sum(shed), 0), coalesce(sum(rejected), 0) FROM vedette.ledger")
        if shed or rejected:
            raise StackError(f"the ledger says that {shed} messages were shed and {rejected} rejected: these figures mean nothing")

    # --- the broker

    def fresh_broker(self) -> Process:
        """Mosquitto as it ships, without the sessions of earlier measurements."""
        broker = self.stack.broker
        broker.process.stop()
        shutil.rmtree(broker.folder / "data", ignore_errors=True)
        broker.start()
        return broker.process

    def _simulated(self) -> list[str | Path]:
        """The simulator, and which devices it is."""
        return [self.stack.programs.path("vedette-sim"), "--prefix", "dev-", "--model", MODEL, "--devices", str(DEVICES)]

    def simulator(self, rate: float, *, count: int = 0) -> Process:
        """Simulated devices that publish so many reports a second altogether; all are connected when this returns, unless they are to
        end by themselves after `count` reports."""
        status = self.stack.sim_status
        status.unlink(missing_ok=True)
        stack = self.stack
        sim = self.process("vedette-sim", [
            *self._simulated(), "--broker", f"127.0.0.1:{stack.ports.devices}", "--ca", stack.authority.ca, "--certs",
            stack.authority.devices, "--rate", f"{rate:.0f}",
            "--status", status, *(["--count", str(count)] if count else [])])
        if count == 0:
            self.wait(sim, lambda: self.published(key="connected") == DEVICES, "the connection of all simulated devices")
        return sim

    def published(self, key: str = "acknowledged") -> int:
        """A counter of the simulator; it writes them once a second."""
        try:
            return int(json.loads(self.stack.sim_status.read_text(encoding="utf-8"))[key])
        except (OSError, ValueError):
            return 0


def json_lines(process: Process) -> list[dict[str, Any]]:
    """The lines of JSON that a program has printed."""
    return [json.loads(line) for line in process.log_text().splitlines() if line.startswith("{")]


def finished(process: Process, what: str, longest: float = LONGEST_S) -> None:
    """Waits for the end of a program; an error unless it ended well."""
    if not wait_until(lambda: not process.alive(), longest, step=0.005):
        raise StackError(f"{what} did not end within {longest:.0f} s")
    if process.exit_code() != 0:
        raise StackError(process.failure())
