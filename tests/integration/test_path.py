"""The way of the data: a report that a device publishes becomes rows, once, whatever is away meanwhile."""

from __future__ import annotations

import contextlib

from support import Installation, now_us

STORED = "SELECT count(*) FROM vedette.report WHERE credential = %s"


def test_report_becomes_samples(stack: Installation) -> None:
    """Every type of value arrives as it was sent, and ingest acknowledges to the broker."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    at = now_us()
    big = 2**53 + 1
    samples = {"temperature": 21.25, "count": -7, "door/open": True, "mode": "auto ü", "big": big}
    stack.device("dev-a").send(stack.wire.report(1, samples, at=at))
    stack.wait_for(STORED, "dev-a", expect=1)
    rows = {metric: (value, text) for metric, value, text in stack.query(
        "SELECT metric, value, text FROM vedette.sample WHERE credential = 'dev-a'")}
    assert [rows[name][0] for name in ("temperature", "count", "door/open")] == [21.25, -7, 1]
    assert rows["mode"][1] == "auto ü"
    assert rows["big"][1] == str(big)
    assert stack.value("SELECT (extract(epoch FROM time) * 1e6)::bigint FROM vedette.report") == at
    stack.wait_log("Received PUBACK from vedette/ingest-1")


def test_messages_that_share_their_number_in_the_index(stack: Installation) -> None:
    """Made up so that the unique index takes them for one: in one batch or one after the other, the second is a conflict, and work goes on."""
    stack.register("dev-a")
    ingest = stack.stack.start_ingest()
    device = stack.device("dev-a")
    # Of sequence 1 in boot 1, and of a sequence in another boot.
    number = "%s # hashint8extended({0} >> 32, hashint8extended({0} & 4294967295, (SELECT device FROM vedette.device)))"
    ((boot, sequence),) = stack.query(
        f"""SELECT b, s FROM generate_series(2::bigint, 100) b
            CROSS JOIN LATERAL (SELECT ({number.format("1::bigint")}) # ({number.format("b")}) AS s) x
            WHERE s BETWEEN 1 AND 1::bigint << 62 LIMIT 1""", 1, 0)
    at = now_us()
    first, second = stack.wire.report(1, at=at), stack.wire.report(sequence, boot=boot, at=at)
    with contextlib.closing(stack.stack.postgres.connect("vedette_admin")) as session, session.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE store.batch IN SHARE MODE")
        stack.wait(lambda: stack.value("SELECT count(*)::int FROM pg_locks WHERE NOT granted", role="vedette_admin") == 1)
        device.send(first)
        device.send(second)
        cursor.execute("COMMIT")
    outcomes = "SELECT array_agg(reason) FROM vedette.dead_letter"
    stack.wait_for(outcomes, expect=["conflict"])
    assert stack.query("SELECT boot, sequence FROM vedette.report") == [(1, 1)]
    device.send(second)
    stack.wait_for(outcomes, expect=["conflict"] * 2)
    device.send(first)
    device.send(stack.wire.report(2))
    stack.wait_for(STORED, "dev-a", expect=2)
    stack.wait_for("SELECT (sum(reports)::int, sum(duplicates)::int, sum(rejected)::int)::text FROM vedette.batch", expect="(2,1,2)")
    refused = [line for line in ingest.log_text().splitlines() if "a batch was refused" in line]
    assert ["records=2" in line for line in refused] == [True, False]
    assert "adds up" in stack.stack.vedette("ledger", "--check", "--since", "1h")


def test_firmware_traffic_and_events_are_stored(stack: Installation) -> None:
    """The parts of a report that are no samples."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    v1 = stack.wire.v1
    flow = v1.Flow(address=bytes((192, 0, 2, 7)), port=443, transport=v1.TRANSPORT_TCP, bytes_in=1000, bytes_out=200)
    report = stack.wire.report(
        1, firmware=v1.Firmware(version="1.2.3", image_hash=bytes(range(32)), boot_verification=v1.BOOT_VERIFICATION_VERIFIED),
        traffic=v1.Traffic(interval=5_000_000, bytes_in=1500, bytes_out=300, packets_in=9, packets_out=8, connections=2,
                           destinations=1, flows=[flow], listening_tcp=[22, 80], listening_udp=[53]),
        events=[v1.Event(kind=v1.EVENT_KIND_LOGIN_FAILED, count=3, subject="admin", source=bytes((198, 51, 100, 9)))])
    stack.device("dev-a").send(report)
    stack.wait_for(STORED, "dev-a", expect=1)
    assert stack.query("SELECT version, boot_verification, image_hash FROM vedette.firmware") == [
        ("1.2.3", "verified", bytes(range(32)).hex())]
    assert stack.query("SELECT bytes_in, bytes_out, connections, listening_tcp, listening_udp FROM vedette.traffic") == [
        (1500, 300, 2, [22, 80], [53])]
    assert stack.query("SELECT host(address), port, transport, bytes_in FROM vedette.traffic_flow") == [
        ("192.0.2.7", 443, "tcp", 1000)]
    assert stack.query("SELECT kind, count, subject, host(source) FROM vedette.event") == [
        ("login failed", 3, "admin", "198.51.100.9")]


def test_second_run_goes_on_with_its_data(stack: Installation) -> None:
    """Stopped and started again: rows stay, new ones follow, none comes twice."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    stack.device("dev-a").send(stack.wire.report(1))
    stack.wait_for(STORED, "dev-a", expect=1)
    stack.close()
    stack.stack.stop()
    stack.stack.start_store()
    stack.stack.migrate()
    stack.stack.start_broker()
    stack.register("dev-a", "dev-b")
    stack.stack.start_ingest()
    stack.device("dev-a").send(stack.wire.report(2))
    stack.device("dev-b").send(stack.wire.report(1))
    stack.wait_for("SELECT count(*) FROM vedette.report", expect=3)
    assert stack.value("SELECT count(*) FROM vedette.worker WHERE retired_at IS NULL") == 1
    assert stack.query("SELECT * FROM vedette.sequence_gap") == []


def test_reports_wait_in_the_broker_while_ingest_is_away(stack: Installation) -> None:
    """What is published while no worker runs is delivered when it is back."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    device.send(stack.wire.report(1))
    stack.wait_for(STORED, "dev-a", expect=1)
    stack.stack.processes["vedette-ingest"].stop()
    for sequence in range(2, 52):
        device.send(stack.wire.report(sequence))
    stack.stack.start_ingest()
    stack.wait_for(STORED, "dev-a", expect=51)


def test_reports_wait_in_the_journal_while_the_database_is_away(stack: Installation) -> None:
    """Ingest acknowledges without the database, and stores everything once when it is back."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    device.send(stack.wire.report(1))
    stack.wait_for(STORED, "dev-a", expect=1)
    stack.kill9("postgres")
    for sequence in range(2, 52):
        device.send(stack.wire.report(sequence))
    stack.wait(lambda: stack.stack.broker.log_text().count("Received PUBACK from vedette/ingest-1") >= 51)
    stack.kill9("vedette-ingest")
    stack.stack.postgres.start()
    stack.stack.start_ingest()
    stack.wait_for(STORED, "dev-a", expect=51)
    assert stack.query("SELECT * FROM vedette.sequence_gap") == []


def test_redelivery_is_a_duplicate_and_not_a_second_row(stack: Installation) -> None:
    """The same report twice is stored once, and counted."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    report = stack.wire.report(1)
    device.send(report)
    device.send(report)
    device.send(stack.wire.report(2))
    stack.wait_for(STORED, "dev-a", expect=2)
    stack.wait_for("SELECT coalesce(sum(duplicates), 0)::int FROM vedette.batch", expect=1)


def test_connectivity_is_stored(stack: Installation) -> None:
    """Birth and goodbye of a session."""
    stack.register("dev-a")
    stack.stack.start_ingest()
    device = stack.device("dev-a")
    v1 = stack.wire.v1
    for state in (v1.CONNECTIVITY_STATE_ONLINE, v1.CONNECTIVITY_STATE_OFFLINE):
        message = v1.Connectivity(state=state, boot_counter=1, connection=1, reason="test", time=now_us())
        device.publish("vedette/v1/dev-a/connectivity", message.SerializeToString(), retain=True)
    stack.wait_for("SELECT coalesce(sum(connectivity), 0)::int FROM vedette.batch", expect=2)


def test_what_a_new_device_says_first_is_analysed(stack: Installation) -> None:
    """Devices are registered while everything runs; analysis, which looks at the registry every two seconds, misses nothing."""
    stack.stack.start_ingest()
    stack.stack.start_analysis()
    failed = stack.wire.v1.Event(kind=stack.wire.v1.EVENT_KIND_LOGIN_FAILED, count=9, subject="admin")
    for number in range(5):
        stack.register(f"new-{number}")
        stack.device(f"new-{number}").send(stack.wire.report(1, events=[failed]))
    stack.wait_for("SELECT count(*) FROM vedette.alert WHERE kind = 'login failures'", expect=5)
