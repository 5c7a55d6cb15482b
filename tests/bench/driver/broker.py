"""Parts on the real Mosquitto in the configuration that ships, with simulated devices as load."""

from __future__ import annotations

import time

from deploy.local.processes import Process

from . import cpu
from .lab import Lab, finished, json_lines

FIRST_STEP, STEP = 12_000.0, 1.25  # reports a second offered to the null subscriber, and by how much more each time
KEEPS_UP = 0.95


class Window:
    """Processor time of the processes that take part, from its making to `per_message`."""

    def __init__(self, lab: Lab, **processes: Process) -> None:
        self._lab = lab
        self._processes = processes
        self._begun = self._look()
        self.begun_us = time.time_ns() // 1000

    def _look(self) -> dict[str, cpu.Used]:
        used = {name: cpu.of_process(process.pid) for name, process in self._processes.items()}
        return used | {"postgres": cpu.of_family(self._lab.postmaster)}

    def end(self) -> dict[str, float]:
        """Share of one core that each used."""
        now, ended_us = self._look(), time.time_ns() // 1000
        self.seconds = (ended_us - self.begun_us) / 1e6
        self.ended_us = ended_us
        return {f"cores {name}": (now[name] - self._begun[name]).total / 1e6 / self.seconds for name in now}


def null_subscriber(lab: Lab) -> dict[str, float]:
    """The most that a Paho client that only counts gets through Mosquitto. With more load than it can take Mosquitto spends its one
    thread on taking messages in and hands out fewer, so the load is raised step by step until less than it arrives."""
    best: dict[str, float] = {"per_s": 0}
    rate = FIRST_STEP
    while True:
        figures = null_at(lab, rate)
        if figures["per_s"] > best["per_s"]:
            best = figures
        if figures["per_s"] < KEEPS_UP * rate:
            return best
        rate *= STEP


def null_at(lab: Lab, rate: float) -> dict[str, float]:
    """What the null subscriber gets at an offered rate."""
    broker = lab.fresh_broker()
    null = lab.process("bench_paho_null", [
        lab.program("bench_paho_null"), "--port", str(lab.stack.ports.ingest), *lab.client_files(), "--settle", str(lab.scale.settle_s),
        "--seconds", str(lab.scale.seconds)])
    sim = lab.simulator(rate)
    time.sleep(lab.scale.settle_s)
    window = Window(lab, mosquitto=broker, simulator=sim, client=null)
    time.sleep(max(lab.scale.seconds - 2.0, 1.0))
    cores = window.end()
    finished(null, "the null subscriber")
    sim.stop(grace=10)
    (said,) = json_lines(null)
    return {"per_s": said["messages"] / said["seconds"], "cpu_us": (said["user_us"] + said["system_us"]) / said["messages"],
            "asked_per_s": rate} | cores


def ingest_at(lab: Lab, rate: float) -> dict[str, float]:
    """Ingest through Mosquitto at an offered rate: what is committed as it comes, and how long it takes to be."""
    lab.empty_store()
    broker = lab.fresh_broker()
    worker = lab.start_ingest(firehose=False)
    sim = lab.simulator(rate)
    time.sleep(lab.scale.settle_s)
    offered_before, window = lab.published(), Window(lab, mosquitto=broker, simulator=sim, ingest=worker)
    time.sleep(lab.scale.seconds)
    figures, offered = window.end(), lab.published() - offered_before
    commit_ms = lab.one_row_commit_ms()
    sim.stop(grace=10)
    ((committed,),) = lab.sql(
        "SELECT coalesce(sum(reports), 0) FROM store.batch WHERE pg_xact_commit_timestamp(xmin) >= to_timestamp(%s / 1e6)"
        " AND pg_xact_commit_timestamp(xmin) < to_timestamp(%s / 1e6)", window.begun_us, window.ended_us)
    worker.stop(grace=15)
    figures |= {"asked_per_s": rate, "offered_per_s": offered / lab.scale.seconds, "per_s": float(committed) / window.seconds,
                "one_row_commit_ms": commit_ms}
    return figures | lag(lab, window)


def lag(lab: Lab, window: Window) -> dict[str, float]:
    """From a report's time, which the simulator sets as it publishes, to the commit of its batch."""
    ((lags, count),) = lab.sql(
        "SELECT percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM b.at - r.time) * 1000), count(*)"
        " FROM store.report r JOIN (SELECT store.batch_key(feed, number) AS key, pg_xact_commit_timestamp(xmin) AS at FROM store.batch) b"
        " ON b.key = r.batch WHERE r.time >= to_timestamp(%s / 1e6) AND r.time < to_timestamp(%s / 1e6)",
        window.begun_us, window.ended_us)
    if not count:
        return {}
    return {"p50_ms": float(lags[0]), "p99_ms": float(lags[1]), "most_ms": float(lags[2])}
