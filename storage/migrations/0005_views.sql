-- What people, dashboards and the command line read (contract; docs/store.md has every column).
CREATE VIEW vedette.device AS
SELECT d.id AS device, d.credential, m.name AS model, d.region, d.time_zone, d.site, g.credential AS gateway, d.critical, d.life,
       coalesce(c.state, 'never seen') AS connectivity, c.since AS connectivity_since, c.reason AS connectivity_reason,
       (SELECT f.version FROM store.firmware f WHERE f.device = d.id ORDER BY f.time DESC LIMIT 1) AS firmware,
       d.firmware AS firmware_delivered, d.created_at
FROM store.device d
JOIN store.model m ON m.id = d.model
LEFT JOIN store.device g ON g.id = d.gateway
LEFT JOIN store.connectivity_now c ON c.device = d.id
WHERE d.life <> 'erased';

CREATE VIEW vedette.report AS
SELECT r.time, r.received, r.device, d.credential, r.publisher, r.boot, r.sequence, r.size, r.batch,
       r.marks & 1 <> 0 AS historical,
       CASE WHEN r.marks & 2 <> 0 THEN 'none' WHEN r.marks & 4 <> 0 THEN 'ahead' WHEN r.marks & 8 <> 0 THEN 'behind'
            ELSE 'good' END AS clock
FROM store.report r JOIN store.device d ON d.id = r.device;

CREATE VIEW vedette.sample AS
SELECT r.time, r.received, r.device, d.credential, r.publisher, r.boot, r.sequence, m.name AS metric, mm.kind, mm.unit,
       r.values[p.place] AS value, r.texts[p.place] AS text
FROM store.report r
JOIN store.device d ON d.id = r.device
JOIN store.metric_set s ON s.device = r.device AND s.set = r.set
CROSS JOIN LATERAL unnest(s.metrics) WITH ORDINALITY AS p(metric, place)
JOIN store.metric m ON m.id = p.metric
LEFT JOIN store.model_metric mm ON mm.model = d.model AND mm.metric = p.metric;

-- The newest value of each metric by device time; what claims to come from the future is left out.
CREATE VIEW vedette.latest AS
SELECT d.id AS device, d.credential, m.name AS metric, mm.unit, v.time, v.value, v.text
FROM store.device d
JOIN LATERAL (SELECT DISTINCT p.metric FROM store.metric_set s, unnest(s.metrics) AS p(metric) WHERE s.device = d.id) k ON true
JOIN store.metric m ON m.id = k.metric
LEFT JOIN store.model_metric mm ON mm.model = d.model AND mm.metric = k.metric
JOIN LATERAL (
  SELECT r.time, r.values[array_position(s.metrics, k.metric)] AS value, r.texts[array_position(s.metrics, k.metric)] AS text
  FROM store.report r JOIN store.metric_set s ON s.device = r.device AND s.set = r.set
  WHERE r.device = d.id AND k.metric = ANY (s.metrics) AND r.time <= now() + interval '5 minutes'
  ORDER BY r.time DESC LIMIT 1) v ON true;

CREATE VIEW vedette.traffic AS
SELECT t.time, t.device, d.credential, t.span / 1e6 AS seconds, t.bytes_in, t.bytes_out, t.packets_in, t.packets_out,
       t.connections, t.destinations, t.listening_tcp, t.listening_udp
FROM store.traffic t JOIN store.device d ON d.id = t.device;

CREATE VIEW vedette.traffic_flow AS
SELECT t.time, t.device, d.credential, f.address, f.port,
       CASE f.transport WHEN 1 THEN 'tcp' WHEN 2 THEN 'udp' WHEN 3 THEN 'icmp' ELSE 'other' END AS transport, f.bytes_in, f.bytes_out
FROM store.traffic t
JOIN store.device d ON d.id = t.device
CROSS JOIN LATERAL unnest(t.flow_address, t.flow_port, t.flow_transport, t.flow_in, t.flow_out)
  AS f(address, port, transport, bytes_in, bytes_out);

CREATE FUNCTION vedette.event_kind_name(kind smallint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (ARRAY['login failed', 'login succeeded', 'tamper', 'integrity failed', 'debug opened', 'configuration changed',
                'factory reset', 'update started', 'update finished', 'update failed', 'process started', 'log cleared',
                'logging stopped', 'other'])[kind]
$$;
CREATE FUNCTION vedette.reason_name(reason smallint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (ARRAY['malformed', 'oversized', 'topic', 'unknown device', 'retired device', 'identity', 'boot', 'metric name', 'value',
                'time', 'too many metrics', 'conflict', 'field', 'shed'])[reason]
$$;

CREATE VIEW vedette.event AS
SELECT e.time, e.received, e.device, d.credential, vedette.event_kind_name(e.kind) AS kind, e.count, e.subject, e.source
FROM store.event e JOIN store.device d ON d.id = e.device;

CREATE VIEW vedette.firmware AS
SELECT f.time, f.device, d.credential, m.name AS model, f.version, encode(f.image_hash, 'hex') AS image_hash,
       CASE f.verification WHEN 1 THEN 'verified' WHEN 2 THEN 'unverified' ELSE 'unknown' END AS boot_verification,
       CASE WHEN f.image_hash IS NULL OR NOT EXISTS (SELECT FROM store.firmware_release r WHERE r.model = d.model) THEN 'unknown'
            WHEN EXISTS (SELECT FROM store.firmware_release r WHERE r.model = d.model AND r.image_hash = f.image_hash) THEN 'released'
            ELSE 'not released' END AS release
FROM store.firmware f JOIN store.device d ON d.id = f.device JOIN store.model m ON m.id = d.model;

-- Known firmware images.
CREATE VIEW vedette.firmware_release AS
SELECT m.name AS model, r.version, encode(r.image_hash, 'hex') AS image_hash, r.released_at
FROM store.firmware_release r JOIN store.model m ON m.id = r.model;

CREATE VIEW vedette.connectivity_change AS
SELECT c.at, c.device, d.credential, c.state, c.reason
FROM store.connectivity_change c JOIN store.device d ON d.id = c.device;

CREATE VIEW vedette.dead_letter AS
SELECT l.received, l.device, coalesce(d.credential, '') AS credential, vedette.reason_name(l.reason) AS reason, l.detail, l.topic,
       l.boot, l.sequence, l.size, l.batch, l.record
FROM store.dead_letter l LEFT JOIN store.device d ON d.id = l.device;

CREATE VIEW vedette.alert AS
SELECT a.id AS alert, a.device, coalesce(d.credential, 'vedette') AS credential, m.name AS model, d.region, d.site, a.kind, a.key,
       a.state, a.severity, a.opened_at, a.changed_at, a.cleared_at, a.raised_at, a.count, a.sentence, a.explanation
FROM store.alert a LEFT JOIN store.device d ON d.id = a.device LEFT JOIN store.model m ON m.id = d.model;

CREATE VIEW vedette.alert_open AS SELECT * FROM vedette.alert WHERE state IN ('open', 'acknowledged');

CREATE VIEW vedette.alert_event AS SELECT entry, alert, device, place, at, change, actor, detail FROM store.alert_event;

-- Holes in the publishers' own numbering: reports that were sent and never received. Rejected ones were received.
CREATE VIEW vedette.sequence_gap AS
SELECT n.publisher AS device, d.credential, n.boot, n.before AS after_sequence, n.sequence AS before_sequence,
       n.sequence - n.before - 1 AS missing, n.received AS noticed_at
FROM (
  SELECT publisher, boot, sequence, min(received) AS received,
         lag(sequence) OVER (PARTITION BY publisher, boot ORDER BY sequence) AS before
  FROM (SELECT publisher, boot, sequence, received FROM store.report
        UNION ALL SELECT device, boot, sequence, received FROM store.dead_letter WHERE device <> 0 AND sequence IS NOT NULL) s
  GROUP BY publisher, boot, sequence) n
JOIN store.device d ON d.id = n.publisher
WHERE n.sequence > n.before + 1;

CREATE VIEW vedette.worker AS
SELECT f.id AS feed, f.worker, f.journal, f.opened_at, f.retired_at, f.retired_why,
       b.number AS batches, b.received_to, b.committed_at, b.journaled - b.next_record AS pending, b.seeing_since,
       (SELECT min(l.number) FROM (SELECT max(a.number) AS number FROM store.analysed_batch a WHERE a.feed = f.id GROUP BY a.lane) l)
         AS analysed
FROM store.feed f
LEFT JOIN LATERAL (SELECT * FROM store.batch b WHERE b.feed = f.id ORDER BY number DESC LIMIT 1) b ON true;

CREATE VIEW vedette.batch AS
SELECT b.feed, f.worker, b.number, b.kind, b.next_record - b.first_record AS records, b.reports, b.connectivity, b.duplicates,
       b.rejected, b.shed, b.rows, b.received_to, b.committed_at
FROM store.batch b JOIN store.feed f ON f.id = b.feed;

GRANT SELECT ON ALL TABLES IN SCHEMA vedette TO vedette_console, vedette_grafana, vedette_analysis, vedette_ingest;
