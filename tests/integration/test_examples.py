"""The devices of docs/devices.md, on a real broker and store: the Linux agent and the Python example."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support import WAIT_S, Installation

ROOT = Path(__file__).resolve().parents[2]
ATTACK = "Nov  3 10:15:01 gw sshd[11]: Failed password for invalid user admin from 203.0.113.7 port 4242 ssh2\n"
Starter = Callable[[Sequence[str | Path]], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts programs that are killed after the test if they still run."""
    started: list[subprocess.Popen[str]] = []

    def run(argv: Sequence[str | Path]) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        started.append(subprocess.Popen([str(word) for word in argv], stderr=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def identity(stack: Installation, credential: str) -> list[str | Path]:
    """What both examples are told about who and where they are."""
    certificate = stack.certificate(credential)
    return ["--broker", f"127.0.0.1:{stack.stack.ports.devices}", "--ca", stack.stack.authority.ca, "--cert", certificate,
            "--key", certificate.with_suffix(".key"), "--credential", credential]


def agent(stack: Installation, build: Path, credential: str, *more: str | Path) -> list[str | Path]:
    """The agent's command line."""
    return [build / "docs" / "examples" / "agent" / "vedette-agent", *identity(stack, credential), *more]


def end(process: subprocess.Popen[str]) -> str:
    """Stops a program in order and returns what it said."""
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    return said


def test_agent_reports_this_machine(stack: Installation, build: Path, start: Starter, tmp_path: Path) -> None:
    """Samples, firmware, traffic and failed logins arrive; birth and goodbye too."""
    log = tmp_path / "auth.log"
    log.write_text(ATTACK, encoding="utf-8")  # before the agent: never reported
    stack.register("gw-1")
    stack.stack.start_ingest()
    process = start(agent(stack, build, "gw-1", "--interval", "1", "--auth-log", log, "--state", tmp_path / "boot"))
    stack.wait_for("SELECT count(*) > 0 FROM vedette.report WHERE credential = 'gw-1'", expect=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(ATTACK * 3)
    stack.wait_for("SELECT sum(count) FROM vedette.event WHERE credential = 'gw-1'", expect=3)
    assert stack.query("SELECT kind, subject, host(source) FROM vedette.event") == [("login failed", "admin", "203.0.113.7")]
    end(process)
    stack.wait_for("SELECT count(*) FROM store.connectivity WHERE reason = 'shutdown'", expect=1, role="vedette_admin")
    metrics = dict(stack.query("SELECT DISTINCT metric, unit FROM vedette.sample WHERE credential = 'gw-1'"))
    assert {"load.1m": "1", "memory.available": "By", "disk.free": "By", "uptime": "s"}.items() <= metrics.items()
    (total,) = {value for (value,) in stack.query("SELECT value FROM vedette.sample WHERE metric = 'memory.total'")}
    assert total == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    known = {hashlib.sha256(path.read_bytes()).hexdigest()
             for path in (Path(f"/boot/vmlinuz-{os.uname().release}"), Path("/etc/os-release")) if os.access(path, os.R_OK)}
    assert {value for (value,) in stack.query("SELECT image_hash FROM vedette.firmware")} <= known
    seconds = [value for (value,) in stack.query("SELECT seconds FROM vedette.traffic")]
    assert seconds and all(0 < value < 10 for value in seconds)
    assert stack.query("SELECT DISTINCT boot FROM vedette.report") == [(1,)]
    assert stack.value("SELECT count(*) FROM vedette.sequence_gap") == 0
    assert stack.value("SELECT count(*) FROM vedette.dead_letter") == 0


def test_agent_rides_out_a_dead_broker(stack: Installation, build: Path, start: Starter, tmp_path: Path) -> None:
    """What is measured while the broker is dead arrives afterwards, on a further connection. What the new broker took before ingest was
    back (it had no session to keep it for) shows as a gap: nothing else is missing, nothing is there twice."""
    stack.register("gw-2")
    stack.stack.start_ingest()
    process = start(agent(stack, build, "gw-2", "--interval", "1", "--state", tmp_path / "boot", "--auth-log", tmp_path / "none"))
    stack.wait_for("SELECT count(*) > 1 FROM vedette.report", expect=True)
    stack.kill9("mosquitto")
    before = stack.value("SELECT max(sequence) FROM vedette.report")
    stack.stack.start_broker()
    stack.wait_for("SELECT max(sequence) > %s FROM vedette.report", before + 3, expect=True, deadline=3 * WAIT_S)
    end(process)
    assert stack.value("SELECT count(*) + (SELECT coalesce(sum(missing), 0) FROM vedette.sequence_gap) - max(sequence)"
                       " FROM vedette.report") == 0
    assert stack.value("SELECT max(connection) > 1 FROM store.connectivity", role="vedette_admin")


def test_agent_killed_leaves_its_will(stack: Installation, build: Path, start: Starter, tmp_path: Path) -> None:
    """The will carries boot and connection of the birth; the next start is the next boot."""
    stack.register("gw-3")
    stack.stack.start_ingest()
    state = ["--interval", "1", "--state", tmp_path / "boot", "--auth-log", tmp_path / "none"]
    process = start(agent(stack, build, "gw-3", *state))
    stack.wait_for("SELECT count(*) > 0 FROM vedette.report", expect=True)
    process.kill()
    rows = "SELECT count(*) FROM store.connectivity a JOIN store.connectivity b USING (device, boot, connection) " \
           "WHERE a.state = 1 AND b.state = 2 AND b.reason = 'will' AND a.boot = 1"
    stack.wait_for(rows, expect=1, role="vedette_admin")
    once = subprocess.run([str(word) for word in agent(stack, build, "gw-3", *state, "--once")], capture_output=True, text=True, check=False)
    assert once.returncode == 0, once.stderr
    stack.wait_for("SELECT count(*) FROM vedette.report WHERE boot = 2", expect=1)


@pytest.mark.parametrize(("change", "words"), [
    ({"--credential": "other"}, 'was issued to "gw-4"'),
    ({"--broker": "nowhere"}, "not HOST:PORT"),
    ({"--cert": "/nonexistent"}, "cannot read /nonexistent"),
    ({"--interval": "0"}, "--interval is"),
])
def test_agent_says_what_is_wrong(broker: Installation, build: Path, change: dict[str, str], words: str) -> None:
    """One line and exit code 2."""
    argv = [str(word) for word in agent(broker, build, "gw-4", "--once", "--interval", "1")]
    for option, value in change.items():
        argv[argv.index(option) + 1] = value
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_agent_verifies_the_broker(broker: Installation, build: Path, start: Starter, tmp_path: Path) -> None:
    """A broker of another authority gets nothing."""
    argv = agent(broker, build, "gw-5", "--interval", "1", "--auth-log", tmp_path / "none")
    argv[argv.index("--ca") + 1] = broker.certificate("gw-6")  # any certificate that is not the authority's
    process = start(argv)
    broker.wait_log("unknown ca")
    assert process.stderr is not None
    said = ""
    while "certificate verify failed" not in said and (line := process.stderr.readline()):
        said += line  # the broker has it in its log before the agent knows
    said += end(process)
    assert "certificate verify failed" in said and "connected" not in said


def test_python_example(stack: Installation, start: Starter, tmp_path: Path) -> None:
    """As the document says: generate the classes, run it; kill the broker meanwhile."""
    subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={tmp_path}", "vedette/v1/telemetry.proto"], check=True)
    stack.register("py-1")
    stack.stack.start_ingest()
    example = [sys.executable, "-c", f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = sys.argv[1:]; "
               "runpy.run_path(sys.argv[0], run_name='__main__')", ROOT / "docs" / "examples" / "device.py"]
    process = start([*example, *identity(stack, "py-1"), "--state", tmp_path / "boot", "--interval", "0.5"])
    stack.wait_for("SELECT count(*) > 1 FROM vedette.report WHERE credential = 'py-1'", expect=True)
    stack.kill9("mosquitto")
    before = stack.value("SELECT max(sequence) FROM vedette.report")
    stack.stack.start_broker()
    stack.wait_for("SELECT max(sequence) > %s FROM vedette.report", before + 3, expect=True, deadline=3 * WAIT_S)
    end(process)
    assert stack.value("SELECT count(*) - max(sequence) FROM vedette.report") == 0
    assert stack.value("SELECT count(*) FROM vedette.dead_letter") == 0
    assert dict(stack.query("SELECT DISTINCT metric, unit FROM vedette.sample")) == {"load.1m": "1", "memory.available": "By", "disk.free": "By"}
