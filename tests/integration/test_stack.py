"""The stack itself: roles of the database, and what the broker refuses. Needs no program of ours."""

from __future__ import annotations

import datetime
import os
import socket
from pathlib import Path

import psycopg2
import pytest
from deploy.local.errors import StackError
from deploy.local.pki import INGEST_NAME, Authority
from deploy.local.postgres import ROLES
from deploy.local.processes import wait_until
from support import Installation

CONNECT_31 = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"


def test_roles_have_what_they_need_and_no_more(bare: Installation) -> None:
    """The roles exist, can log in, and none is a superuser or may make anything."""
    rows = bare.query("SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles "
                      "WHERE rolname LIKE 'vedette%%'")
    assert sorted(rows) == [(name, True, False, False, False) for name in sorted(ROLES)]
    assert bare.value("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'vedette'") == "vedette_admin"


def test_database_listens_on_no_network(bare: Installation) -> None:
    """Only the Unix socket."""
    assert bare.value("SHOW listen_addresses") == ""


def test_other_database_users_are_refused(bare: Installation) -> None:
    """The operating system says who somebody is, and the map knows only Vedette's roles."""
    bare.stack.postgres.connect("postgres").cursor().execute("CREATE ROLE stranger LOGIN")
    with pytest.raises(psycopg2.OperationalError, match="Peer authentication failed"):
        bare.stack.postgres.connect("stranger")


def test_nothing_runs_as_root(bare: Installation) -> None:
    """Whoever starts the stack, its programs have no rights of root."""
    for process in bare.stack.processes.values():
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert uids == [str(bare.stack.account.uid)] * 4 and "0" not in uids


def test_keys_are_private(bare: Installation) -> None:
    """Every key is readable by its owner only."""
    bare.certificate("dev-a")
    keys = list(bare.stack.authority.folder.rglob("*.key"))
    assert len(keys) == 4
    assert {oct(key.stat().st_mode & 0o777) for key in keys} == {"0o600"}


def test_database_survives_kill(bare: Installation) -> None:
    """A killed server comes back with what was committed."""
    bare.query("CREATE TABLE kept AS SELECT 1 AS one; SELECT 1", role="vedette_admin")
    bare.kill9("postgres")
    bare.stack.postgres.start()
    assert bare.value("SELECT one FROM kept", role="vedette_admin") == 1


@pytest.mark.parametrize("listener", ["devices", "ingest"])
def test_plaintext_is_refused(broker: Installation, listener: str) -> None:
    """A client without TLS gets no answer, and the log says so."""
    with socket.create_connection(("127.0.0.1", getattr(broker.stack.ports, listener)), timeout=10) as plain:
        plain.sendall(CONNECT_31)
        try:
            answer = plain.recv(100)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"\x20"), "the broker answered CONNACK in plain text"
    broker.wait_log("wrong version number")


@pytest.mark.parametrize("listener", ["devices", "ingest"])
def test_no_certificate_is_refused(broker: Installation, listener: str) -> None:
    """TLS alone is not enough."""
    assert not broker.client(getattr(broker.stack.ports, listener), None).connect()
    broker.wait_log("peer did not return a certificate")


def test_foreign_certificate_is_refused(broker: Installation, tmp_path: Path) -> None:
    """A certificate of the same name from another CA."""
    foreign = Authority(tmp_path, broker.stack.account, name="Another CA").issue("dev-a", tmp_path / "dev-a")
    assert not broker.client(broker.stack.ports.devices, foreign).connect()
    broker.wait_log("certificate verify failed")


def test_expired_certificate_is_refused(broker: Installation) -> None:
    """A certificate of ours whose time is over."""
    day = datetime.timedelta(days=1)
    base = broker.stack.authority.devices / "dev-old"
    expired = broker.stack.authority.issue("dev-old", base, begin=datetime.datetime.utcnow() - 2 * day, life=day)
    assert not broker.client(broker.stack.ports.devices, expired).connect()
    broker.wait_log("certificate verify failed")


def test_broker_of_another_ca_is_not_trusted(broker: Installation, tmp_path: Path) -> None:
    """Devices verify the broker, too: a device with another CA does not talk to ours."""
    other = Authority(tmp_path, broker.stack.account, name="Another CA")
    assert not broker.client(broker.stack.ports.devices, broker.certificate("dev-a"), ca=other.ca).connect()


def test_device_cannot_write_or_read_for_another(broker: Installation) -> None:
    """What dev-a sends in the name of dev-b reaches nobody, and the log names both."""
    ingest = broker.client(broker.stack.ports.ingest, broker.stack.folder / "pki" / "ingest.crt")
    assert ingest.connect()
    ingest.subscribe("vedette/v1/+/report")
    device = broker.device("dev-a")
    device.subscribe("vedette/v1/dev-b/notice")
    ingest.publish("vedette/v1/dev-b/notice", b"for dev-b only")
    device.publish("vedette/v1/dev-b/report", b"not mine")
    device.send(b"mine")
    assert wait_until(lambda: ingest.messages, 10)
    assert [(one.topic, one.payload) for one in ingest.messages] == [("vedette/v1/dev-a/report", b"mine")]
    assert not device.messages
    broker.wait_log("Denied PUBLISH from dev-a")
    assert "'vedette/v1/dev-b/report'" in broker.stack.broker.log_text()


def test_device_with_ingest_client_id_is_harmless(broker: Installation) -> None:
    """The client id is the certificate's name, whatever a device says: the worker's session and its queue stay."""
    def worker() -> "object":
        return broker.client(broker.stack.ports.ingest, broker.stack.folder / "pki" / "ingest.crt", client_id=INGEST_NAME,
                             clean=False)

    first = worker()
    assert first.connect()
    first.subscribe("vedette/v1/+/report")
    thief = broker.client(broker.stack.ports.devices, broker.certificate("thief"), client_id=INGEST_NAME)
    assert thief.connect()
    honest = broker.device("dev-a")
    honest.send(b"while both are here")
    assert wait_until(lambda: first.messages, 10)
    assert first.connected.is_set(), "the device threw the worker out"
    first.close()
    thief.close()
    assert broker.client(broker.stack.ports.devices, broker.certificate("thief"), client_id=INGEST_NAME).connect()
    honest.send(b"while the worker is away")
    second = worker()
    assert second.connect()
    assert wait_until(lambda: second.messages, 10), "the worker's queue is gone"
    assert second.messages[0].payload == b"while the worker is away"
    assert "as thief" in broker.stack.broker.log_text()


def test_devices_may_not_use_the_ingest_listener(broker: Installation) -> None:
    """A device's certificate gives no rights there, neither to its own topics nor to others'."""
    worker = broker.client(broker.stack.ports.ingest, broker.stack.folder / "pki" / "ingest.crt")
    assert worker.connect()
    worker.subscribe("vedette/v1/+/report")
    device = broker.client(broker.stack.ports.ingest, broker.certificate("dev-a"))
    if device.connect():
        device.subscribe("vedette/v1/+/report")
        device.publish("vedette/v1/dev-a/report", b"wrong door")
    broker.device("dev-b").send(b"right door")
    assert wait_until(lambda: worker.messages, 10)
    assert [one.payload for one in worker.messages] == [b"right door"]
    assert not device.messages


def test_queue_of_an_absent_worker_is_bounded_in_bytes_not_at_a_thousand(broker: Installation) -> None:
    """Mosquitto's default drops beyond 1,000 messages what it has acknowledged; our configuration does not."""
    worker_certificate = broker.stack.folder / "pki" / "ingest.crt"
    worker = broker.client(broker.stack.ports.ingest, worker_certificate, client_id=INGEST_NAME, clean=False)
    assert worker.connect()
    worker.subscribe("vedette/v1/+/report")
    worker.close()
    device = broker.device("dev-a")
    for number in range(3000):
        device.send_nowait(str(number).encode())
    device.send(b"last")
    back = broker.client(broker.stack.ports.ingest, worker_certificate, client_id=INGEST_NAME, clean=False)
    assert back.connect()
    assert wait_until(lambda: len(back.messages) == 3001, 30), f"only {len(back.messages)} of 3001 arrived"


def test_taken_port_is_said_with_its_holder(bare: Installation) -> None:
    """The error names the port, the process and the way out."""
    with pytest.raises(StackError, match=rf"port {bare.stack.ports.devices} is taken by mosquitto \(process \d+\).*--port"):
        bare.stack.ports.require_free()


def test_children_end_with_their_parent(bare: Installation) -> None:
    """Everything is tied to the life of whoever started it."""
    for process in bare.stack.processes.values():
        parent = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1]
        assert parent == str(os.getpid())
