"""What devices measure, and what they say of their own traffic: three days of it in the real store, something wrong at the end, and what is said of it."""

from __future__ import annotations

import contextlib
import json
import subprocess

import books
from support import Installation

ADMIN = "vedette_admin"
LIVE = "SELECT array_agg(kind ORDER BY kind) FROM vedette.alert WHERE credential = %s AND state = 'open' AND kind <> 'silent'"

# As an ingest worker would have stored them: of both devices a report every five minutes with its traffic, an hour in a batch. In the last
# half an hour dev-a sends three times as much as ever, and it is hot where dev-b is.
DAYS = """
INSERT INTO store.feed (journal, worker) VALUES (gen_random_uuid(), 'ingest-9');
SELECT setseed(0.5);
INSERT INTO store.metric (name) VALUES ('room');
INSERT INTO store.metric_set (device, set, metrics) SELECT d.id, 1, ARRAY[m.id] FROM store.device d, store.metric m WHERE m.name = 'room' AND d.id > 0;
CREATE TEMPORARY TABLE made AS
SELECT n, n / 12 + 1 AS batch, date_trunc('minute', now()) - interval '1 hour' + (n - 3 * 288) * interval '5 minutes' AS at, d.id AS device,
       n >= 3 * 288 AND d.credential = 'dev-a' AS bad, n >= 3 * 288 AND d.credential = 'dev-b' AS hot, 0.8 + 0.4 * random() AS scatter
FROM generate_series(0, 3 * 288 + 5) AS n, store.device d WHERE d.credential IN ('dev-a', 'dev-b');
INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, committed_at, reports, rows, days)
SELECT f.id, b.batch, (b.batch - 1) * 24, (b.batch - 1) * 24 + b.count, b.batch * 24, b.till, b.till - interval '4 days', b.till, b.count, b.count, b.days
FROM (SELECT batch, count(*) AS count, max(at) AS till, array_agg(DISTINCT (at AT TIME ZONE 'UTC')::date) AS days FROM made GROUP BY batch) b, store.feed f;
INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values)
SELECT at, at, 1, n + 1, store.batch_key(f.id, batch), 1, device, device, 50, 1, 0, ARRAY[CASE WHEN hot THEN 80 ELSE 20 + scatter END] FROM made, store.feed f;
INSERT INTO store.traffic (time, boot, sequence, batch, device, publisher, span, bytes_in, bytes_out, packets_in, packets_out, connections, destinations,
                           flow_address, flow_port, flow_transport, flow_in, flow_out, listening_tcp, listening_udp)
SELECT at, 1, n + 1, store.batch_key(f.id, batch), device, device, 300000000, 60000 * scatter, 600000 * scatter * CASE WHEN bad THEN 3 ELSE 1 END, 900 * scatter,
       1200 * scatter, 3, 4, '{}', '{}', '{}', '{}', '{}', '{22}', '{}' FROM made, store.feed f;
"""


def vedette(stack: Installation, *words: str) -> str:
    """What the command says; it has to be content."""
    done = subprocess.run([str(stack.stack.programs.path("vedette")), "--config", str(stack.stack.config), *words], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_exfiltration_is_told_and_explained(stack: Installation) -> None:
    """Within the budget of false alerts: one alert for the device that sends three times as much, one for the other that is hot."""
    stack.register("dev-a", "dev-b")
    with contextlib.closing(stack.stack.postgres.connect(ADMIN)) as session, session.cursor() as cursor:
        cursor.execute(DAYS)
    stack.stack.start_analysis()
    stack.wait_for(LIVE, "dev-a", expect=["bytes out"], deadline=60)
    stack.wait_for(LIVE, "dev-b", expect=["value"])
    assert stack.value("SELECT sentence FROM vedette.alert WHERE kind = 'value'").startswith("dev-b: room is 80, outside of all that was seen")
    ((text, sentence),) = stack.query("SELECT explanation::text, sentence FROM vedette.alert WHERE kind = 'bytes out'")
    told = json.loads(text)
    low, high = told["expected"]["low"], told["expected"]["high"]
    assert 1500 < low < 1700 and 2300 < high < 2500 and told["observed"]["value"] > 2 * high
    assert told["baseline"]["kind"] == "gauge" and 2.9 < told["baseline"]["days"] < 3.1 and told["baseline"]["chance"] < 1e-3
    assert told["rank"] == {"place": 1, "of": 2, "by": "bytes out"} and told["clears_when"] and told["reports"][0]["sequence"] == 3 * 288 + 1
    assert sentence.startswith("dev-a: bytes out is ") and "outside of all that was seen" in sentence


def test_what_was_learned_is_shown_and_survives(stack: Installation) -> None:
    """`vedette series show` as of the checkpoint; after a kill the same alerts are live and the same was learned."""
    stack.register("dev-a", "dev-b")
    with contextlib.closing(stack.stack.postgres.connect(ADMIN)) as session, session.cursor() as cursor:
        cursor.execute(DAYS)
    stack.stack.start_analysis()
    stack.wait_for(LIVE, "dev-a", expect=["bytes out"], deadline=60)
    books.stop_cleanly(stack, "vedette-analysis")
    (shown,) = json.loads(vedette(stack, "series", "show", "dev-a", "bytes out", "--json"))
    assert shown["metric"] == "bytes out" and shown["unit"] == "bytes/s" and shown["kind"] == "gauge" and shown["training"] == "trained"
    assert shown["samples"] == 3 * 288 + 6 and shown["memory_bytes"] < 800 and shown["unusual"]["was_high"] < 2500 and max(shown["scores"]) >= 0.5
    text = vedette(stack, "series", "show", "dev-b")
    assert text.count("memory") == 8 and "room" in text and "listening ports" in text and "constant, trained" in text and text.count("unusual ") == 1
    states = stack.query("SELECT device, metric, encode(state, 'hex') FROM store.series_state ORDER BY device, metric", role=ADMIN)
    stack.stack.start_analysis()
    books.stop_cleanly(stack, "vedette-analysis")
    assert stack.query("SELECT device, metric, encode(state, 'hex') FROM store.series_state ORDER BY device, metric", role=ADMIN) == states
    assert stack.value(LIVE, "dev-a") == ["bytes out"]
