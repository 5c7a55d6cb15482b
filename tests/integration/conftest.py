"""Fixtures: a real PostgreSQL and a real Mosquitto in a temporary folder for each test, and the built programs beside them.

VEDETTE_BUILD names the build folder (default build/asan). When root runs the tests, everything they start runs unprivileged.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from deploy.local.ports import Ports  # noqa: E402
from deploy.local.stack import Stack  # noqa: E402
from support import Installation, Wire  # noqa: E402

KEEP = "VEDETTE_KEEP"  # set: the folders of failed tests stay, with all logs
FAILED = pytest.StashKey[bool]()
SMALL_WAL = 1  # MiB a segment: clusters are copied for each test
TEST_SETTINGS = {"ingest": {"journal": {"segment_mib": 4}}}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remembers a failure, so that the fixture can show logs."""
    outcome: Any = yield
    if outcome.get_result().failed:
        item.stash[FAILED] = True


@pytest.fixture(scope="session")
def build() -> Path:
    """The build folder whose programs are tested."""
    return (ROOT / os.environ.get("VEDETTE_BUILD", "build/asan")).resolve()


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A short folder that everybody may enter (sockets have short paths)."""
    folder = Path(tempfile.mkdtemp(prefix="vd-s-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def wire(session_folder: Path) -> Wire:
    """The wire contract as a Python module, generated from proto/."""
    subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={session_folder}", "vedette/v1/telemetry.proto"],
                   check=True)
    return Wire(_module("telemetry_pb2", session_folder / "vedette" / "v1" / "telemetry_pb2.py"))


@pytest.fixture(scope="session")
def bootstrapped(session_folder: Path, build: Path) -> Path:
    """A stopped cluster with the database and its roles, no schema."""
    stack = Stack(session_folder / "b", build, Ports(), wal_segment_mib=SMALL_WAL)
    stack.prepare()
    try:
        stack.start_store()
    finally:
        stack.stop()
    return stack.postgres.folder


@pytest.fixture(scope="session")
def migrated(session_folder: Path, build: Path, bootstrapped: Path) -> Path:
    """A stopped cluster with the schema of this version."""
    stack = Stack(session_folder / "m", build, Ports(), wal_segment_mib=SMALL_WAL)
    stack.prepare()
    try:
        stack.start_store(template=bootstrapped)
        stack.migrate()
    finally:
        stack.stop()
    return stack.postgres.folder


@pytest.fixture
def new_stack(request: pytest.FixtureRequest, build: Path) -> Iterator[Callable[..., Stack]]:
    """Makes stacks that are prepared and not started; all of them are stopped and removed after the test."""
    stacks: list[Stack] = []

    def make(**settings: Any) -> Stack:
        folder = Path(tempfile.mkdtemp(prefix="vd-", dir="/tmp"))
        folder.chmod(0o755)
        settings = {"overrides": TEST_SETTINGS, "debug_broker": True, "wal_segment_mib": SMALL_WAL, **settings}
        stacks.append(Stack(folder, build, Ports.free(), **settings))
        stacks[-1].prepare()
        return stacks[-1]

    yield make
    failed = request.node.stash.get(FAILED, False)
    for stack in stacks:
        stack.stop()
        if failed:
            _show_logs(stack)
        if failed and KEEP in os.environ:
            print(f"kept {stack.folder}")
        else:
            shutil.rmtree(stack.folder, ignore_errors=True)


@pytest.fixture
def bare(new_stack: Callable[..., Stack], bootstrapped: Path, wire: Wire) -> Iterator[Installation]:
    """PostgreSQL with roles and no schema, and Mosquitto: needs no program of ours."""
    yield from _started(new_stack(), bootstrapped, wire)


@pytest.fixture
def broker(new_stack: Callable[..., Stack], wire: Wire) -> Iterator[Installation]:
    """Mosquitto alone."""
    yield from _started(new_stack(), None, wire)


@pytest.fixture
def stack(new_stack: Callable[..., Stack], migrated: Path, wire: Wire) -> Iterator[Installation]:
    """PostgreSQL with the schema, and Mosquitto; tests start the daemons they need."""
    yield from _started(new_stack(), migrated, wire)


@pytest.fixture
def tuned(new_stack: Callable[..., Stack], migrated: Path, wire: Wire, settings: dict[str, Any]) -> Iterator[Installation]:
    """Like `stack`, with the file's own fixture `settings` over the configuration."""
    yield from _started(new_stack(overrides=settings), migrated, wire)


def _started(stack: Stack, template: Path | None, wire: Wire) -> Iterator[Installation]:
    if template is not None:
        stack.start_store(template=template)
    stack.start_broker()
    installation = Installation(stack, wire)
    yield installation
    installation.close()


def _show_logs(stack: Stack) -> None:
    """The end of every log, for pytest's report of the failure."""
    for log in (*sorted(stack.logs.glob("*.log")), stack.broker.log):
        if log.exists():
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"--- {log.name} (last of {len(lines)} lines)", *lines[-40:], sep="\n")


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
