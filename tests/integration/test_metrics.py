"""What the daemons tell of themselves: /metrics in Prometheus' format, with histograms of the lag; /healthz and /readyz."""

from __future__ import annotations

import os
import re
import signal
import urllib.error
import urllib.request

import books
from deploy.local.stack import Simulation
from support import Installation, now_us

SERIES = re.compile(r'^([a-z_]+)(?:\{([a-z]+)="([^"\\]*)"\})? (\S+)$')
REPORTS = 40
LOAD = Simulation(20)
RATE, COUNT = 1000, 4000  # reports a second, and of all
LAGS = ("device_to_received", "received_to_journaled", "received_to_committed", "device_to_committed", "transaction")
PROCESS = ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_anonymous_memory_bytes", "process_open_fds",
           "process_max_fds", "process_start_time_seconds")


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def scrape(port: int) -> dict[tuple[str, str], float]:
    """All series by name and label's value; asserts the rules of the format and of Prometheus' names."""
    status, text = get(port, "/metrics")
    assert status == 200 and text.endswith("\n")
    found: dict[tuple[str, str], float] = {}
    kind = name = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert words.endswith("."), line
            assert not any(key[0] == name for key in found), f"{name} comes twice"
        elif line.startswith("# TYPE "):
            _, _, typed, kind = line.split(" ")
            assert typed == name and kind in ("counter", "gauge", "histogram"), line
            assert (kind == "counter") == name.endswith("_total"), line
        else:
            match = SERIES.match(line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match[1]) if kind == "histogram" else match[1]
            assert base == name, f"{line} follows the description of {name}"
            assert (match[1], match[3] or "") not in found, line
            found[match[1], match[3] or ""] = float(match[4])
    return found


def histogram(found: dict[tuple[str, str], float], name: str) -> tuple[list[float], float, float]:
    """Counts of the buckets, count and sum; asserts that they agree."""
    buckets = [(float(le), value) for (series, le), value in found.items() if series == f"{name}_bucket"]
    assert buckets == sorted(buckets) and buckets[-1][0] == float("inf")
    counts = [value for _, value in buckets]
    assert counts == sorted(counts) and counts[-1] == found[f"{name}_count", ""]
    return counts, found[f"{name}_count", ""], found[f"{name}_sum", ""]


def test_lag_is_measured_from_device_to_store(stack: Installation) -> None:
    """Every stored report is in the histograms, those with a wrong clock only where their time is not used."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    port = stack.stack.ports.ingest_http
    device = stack.device("dev-a")
    for sequence in range(1, REPORTS + 1):
        device.send(stack.wire.report(sequence, at=now_us() - 3_000_000))
    device.send(stack.wire.report(REPORTS + 1, at=1_000_000))  # a clock that was never set
    device.send(stack.wire.report(REPORTS + 2, at=now_us() - 86_400_000_000, historical=True))
    device.send(b"\xff")
    stack.wait(lambda: scrape(port)["vedette_ingest_reports_total", ""] == REPORTS + 2)
    stack.wait(lambda: scrape(port)["vedette_ingest_journal_records", ""] == 0)
    found = scrape(port)
    sums = {}
    for lag in LAGS:
        _, _, sums[lag] = histogram(found, f"vedette_ingest_{lag}_seconds")
    assert found["vedette_ingest_received_to_committed_seconds_count", ""] == REPORTS + 2
    for lag in ("device_to_received", "device_to_committed"):
        counts, count, _ = histogram(found, f"vedette_ingest_{lag}_seconds")
        assert count == REPORTS
        assert counts[11] == 0 and counts[13] >= REPORTS / 2, "all are 3 s late or more, and not much more than 8"  # 2.048, 8.192
    total = sums["device_to_received"] + sums["received_to_committed"]
    assert sums["device_to_committed"] <= total + 1e-6  # two more are in the second
    _, batches, records = histogram(found, "vedette_ingest_batch_records")
    assert records == REPORTS + 3 and batches == found["vedette_ingest_transaction_seconds_count", ""]
    assert 0 < found["vedette_ingest_received_to_journaled_seconds_count", ""] <= REPORTS + 3


def test_queues_have_bounds_and_marks(stack: Installation) -> None:
    """What fills, how far it may, and how often it was full."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    stack.device("dev-a").send(stack.wire.report(1))
    port = stack.stack.ports.ingest_http
    stack.wait(lambda: scrape(port)["vedette_ingest_reports_total", ""] == 1)
    found = scrape(port)
    for low, high in (("journal_pending_bytes", "journal_high_mark_bytes"), ("journal_low_mark_bytes", "journal_high_mark_bytes"),
                      ("batch_fill_records", "batch_limit_records"), ("batch_memory_bytes", "batch_memory_limit_bytes"),
                      ("batch_memory_most_bytes", "batch_memory_limit_bytes")):
        assert 0 <= found[f"vedette_ingest_{low}", ""] < found[f"vedette_ingest_{high}", ""], low
    assert found["vedette_ingest_batch_memory_most_bytes", ""] > 0
    for name in ("pauses_total", "batches_crowded_total", "paused"):
        assert found[f"vedette_ingest_{name}", ""] == 0


def test_every_daemon_tells_of_its_process(stack: Installation) -> None:
    """CPU, memory, descriptors and start under the names that dashboards know."""
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    for port in (stack.stack.ports.ingest_http, stack.stack.ports.analysis_http):
        found = scrape(port)
        for name in PROCESS:
            assert found[name, ""] > 0, name
        assert found["process_anonymous_memory_bytes", ""] < found["process_resident_memory_bytes", ""]
        assert found["process_open_fds", ""] < found["process_max_fds", ""]
        assert found["vedette_log_left_out_total", ""] == 0
        assert abs(found["process_start_time_seconds", ""] - now_us() / 1e6) < 600


def test_health_is_the_process_and_readiness_its_work(stack: Installation) -> None:
    """Without the database, or the broker, a worker is alive and not ready, and says why."""
    stack.stack.start_ingest()
    port = stack.stack.ports.ingest_http
    stack.wait(lambda: get(port, "/readyz") == (200, "ready\n"))
    stack.kill9("postgres")
    stack.wait(lambda: get(port, "/readyz") == (503, "not connected to PostgreSQL\n"))
    assert get(port, "/healthz") == (200, "alive\n")
    stack.kill9("mosquitto")
    stack.wait(lambda: get(port, "/readyz") == (503, "not subscribed at the broker; not connected to PostgreSQL\n"))
    stack.stack.postgres.start()
    stack.wait(lambda: get(port, "/readyz") == (503, "not subscribed at the broker\n"))
    assert get(port, "/healthz") == (200, "alive\n")


def test_scrapes_under_load_disturb_nothing(stack: Installation) -> None:
    """Paho's threads, the journal's and the loop are all at work while it is scraped, reloaded and loses the broker. (This is where the
    thread sanitizer looks.)"""
    ingest = stack.stack.start_ingest()
    stack.stack.register_simulated(LOAD)
    sim = stack.stack.start_simulator(LOAD, "--rate", str(RATE), "--count", str(COUNT), "--inflight", "500")
    port = stack.stack.ports.ingest_http
    received: list[float] = []

    def scraped() -> float:
        found = scrape(port)
        received.append(found["vedette_ingest_received_total", ""])
        assert found["vedette_ingest_received_to_journaled_seconds_count", ""] <= received[-1]
        return found["vedette_ingest_reports_total", ""]

    stack.wait(lambda: scraped() > COUNT / 4)
    os.kill(ingest.pid, signal.SIGHUP)  # leaves the broker and comes back
    stack.wait(lambda: scraped() > COUNT / 2)
    stack.wait(lambda: scraped() == COUNT, books.END_S)
    assert received == sorted(received)
    stack.wait(lambda: sim.exit_code() == 0)
    books.stop_cleanly(stack, "vedette-ingest")
