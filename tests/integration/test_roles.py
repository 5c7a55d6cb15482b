"""Least privilege: what each role of the store may not do, tried; and what the catalogue says of all of them."""

from __future__ import annotations

import psycopg2
import pytest
from support import Installation

ADMIN = "vedette_admin"
ROLES = ("vedette_ingest", "vedette_analysis", "vedette_keeper", "vedette_console", "vedette_grafana")
REPORT_COLUMNS = "(time, received, boot, sequence, batch, digest, device, publisher, size, set, marks)"
REPORT_ROW = f"INSERT INTO store.report {REPORT_COLUMNS} VALUES (now(), now(), 1, 1, 1, 1, 1, 1, 1, 0, 0)"
RAISE = "SELECT store.raise_alert(1, 'k', '', 'info', now(), 's', '{}')"

# What each role's work would gain most from being able to, and may not.
FORBIDDEN = {
    "vedette_ingest": [
        "SELECT FROM store.alert", "SELECT FROM store.owner", "SELECT FROM store.detector_state", "SELECT FROM store.packed", RAISE,
        "UPDATE store.report SET received = now()", "DELETE FROM store.report", "TRUNCATE store.report", "UPDATE store.device SET life = 'active'",
        "INSERT INTO store.device (credential, model) VALUES ('x', 1)", "SELECT store.housekeep()", "SELECT store.prune()",
        "SELECT store.set_retention('report', NULL, '1 day')", "UPDATE store.dead_letter SET state = 'open'", "DELETE FROM store.ledger",
        "SELECT vedette.dead_letter_payload(1)", "UPDATE store.batch SET rows = 0"],
    "vedette_analysis": [
        REPORT_ROW, "DELETE FROM store.report", "INSERT INTO store.alert_event VALUES (DEFAULT, 1, 1, 1, now(), '', '', '')",
        "UPDATE store.alert SET state = 'cleared'", "DELETE FROM store.alert", "SELECT FROM store.owner", "UPDATE store.device SET life = 'retired'",
        "SELECT store.housekeep()", "SELECT store.take_raw('2026-01-01', '', '', 0, 0, 0)", "DELETE FROM store.analysed_batch",
        "SELECT vedette.dead_letter_payload(1)"],
    "vedette_keeper": [
        REPORT_ROW, "DELETE FROM store.report", "UPDATE store.report SET received = now()", "SELECT FROM store.alert", "SELECT FROM store.device",
        "SELECT FROM store.owner", "SELECT FROM store.dead_letter", "DELETE FROM store.packed", "UPDATE store.packed SET count = 0", RAISE,
        "SELECT store.set_retention('report', NULL, '1 day')", "SELECT store.make_partition('report', 'day', now())",
        "SELECT vedette.dead_letter_payload(1)", "SELECT FROM vedette.device"],
    "vedette_console": [
        "SELECT FROM store.report", "SELECT FROM store.device", "SELECT FROM store.owner", REPORT_ROW, RAISE, "SELECT store.housekeep()",
        "SELECT store.queue_letters('{1}', 'x')", "CREATE TABLE vedette.mine ()"],
    "vedette_grafana": [
        "SELECT FROM store.report", "SELECT FROM store.device", "SELECT FROM store.owner", REPORT_ROW, RAISE,
        "SELECT vedette.dead_letter_payload(1)", "SELECT store.queue_letters('{1}', 'x')", "CREATE TABLE vedette.mine ()"],
}


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_may_not_do(stack: Installation, role: str) -> None:
    """Each statement is refused for want of a right, not for anything else; and so is making anything anywhere."""
    everywhere = ["CREATE TABLE public.mine ()", "CREATE TABLE store.mine ()", "CREATE SCHEMA mine", "CREATE ROLE mine", "SET ROLE vedette_admin",
                  "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('PG_VERSION')", "ALTER TABLE store.report ADD COLUMN x int",
                  "DROP TABLE store.report", "ALTER FUNCTION store.prune() RESET ALL"]
    if role != "vedette_ingest":  # whose peers stage their rows
        everywhere.append("CREATE TEMPORARY TABLE mine ()")
    session = stack.stack.postgres.connect(role)
    try:
        with session.cursor() as cursor:
            for statement in (*FORBIDDEN[role], *everywhere):
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(statement)
                    pytest.fail(f"{role} may: {statement}")
    finally:
        session.close()


def test_nobody_else_owns_anything(stack: Installation) -> None:
    """Tables, functions and schemas are the administrator's, who is no superuser; the other roles are members of nothing."""
    owned = """SELECT relname::text, relowner::regrole::text FROM pg_class WHERE relnamespace IN ('store'::regnamespace, 'vedette'::regnamespace)
               UNION SELECT proname, proowner::regrole::text FROM pg_proc WHERE pronamespace IN ('store'::regnamespace, 'vedette'::regnamespace)
               UNION SELECT nspname, nspowner::regrole::text FROM pg_namespace WHERE nspname IN ('store', 'vedette', 'vedette_meta')"""
    assert {owner for _, owner in stack.query(owned, role=ADMIN)} == {ADMIN}
    assert stack.query("""SELECT rolname FROM pg_roles WHERE rolname LIKE 'vedette%%' AND
                          (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)""", role=ADMIN) == []
    assert stack.query("""SELECT member::regrole::text FROM pg_auth_members WHERE member::regrole::text LIKE 'vedette%%'
                          OR roleid::regrole::text LIKE 'vedette%%'""", role=ADMIN) == []


def test_what_everybody_may(stack: Installation) -> None:
    """Nothing is granted to PUBLIC but plain functions without rights of their own; whoever runs with the administrator's rights has a fixed path."""
    open_tables = """SELECT relname FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee = 0
                     AND c.relnamespace IN ('store'::regnamespace, 'vedette'::regnamespace)"""
    assert stack.query(open_tables, role=ADMIN) == []
    open_definers = """SELECT proname FROM pg_proc p WHERE p.prosecdef AND p.pronamespace IN ('store'::regnamespace, 'vedette'::regnamespace)
                       AND has_function_privilege('pg_monitor', p.oid, 'EXECUTE')"""
    assert stack.query(open_definers, role=ADMIN) == []
    no_path = """SELECT proname FROM pg_proc p WHERE p.prosecdef AND p.pronamespace IN ('store'::regnamespace, 'vedette'::regnamespace)
                 AND NOT coalesce(array_to_string(p.proconfig, ','), '') LIKE '%%search_path=pg_catalog%%'"""
    assert stack.query(no_path, role=ADMIN) == []


def test_people_do_not_see_owners(stack: Installation) -> None:
    """No view that dashboards read says whose a device is."""
    stack.register("d", owner="Ada Lovelace")
    for (view,) in stack.query("SELECT viewname::text FROM pg_views WHERE schemaname = 'vedette'", role=ADMIN):
        rows = stack.query(f"SELECT v::text FROM vedette.{view} v LIMIT 1000", role="vedette_grafana")
        assert not any("Lovelace" in row for (row,) in rows), view
