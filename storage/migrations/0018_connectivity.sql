-- Connectivity that tells the truth: what is expected of a model, when we were blind, maintenance, and what is missing of each hour.

-- How devices of a model live. Cadence is what a new one is taken to have, until its own is learned.
ALTER TABLE store.model
  ADD COLUMN class text NOT NULL DEFAULT 'mains' CHECK (class IN ('mains', 'battery', 'sleeper')),
  ADD COLUMN patience interval CHECK (patience BETWEEN interval '1 second' AND interval '1 year'),  -- silent after this, whatever was learned
  ADD COLUMN battery text,                 -- metric that says how much is left, in percent
  ADD CONSTRAINT model_cadence_sane CHECK (cadence BETWEEN interval '1 millisecond' AND interval '1 year');
ALTER TABLE store.device ADD COLUMN next_visit timestamptz;  -- when somebody can change its battery

CREATE VIEW vedette.model AS
SELECT m.name AS model, m.class, m.cadence, m.patience, m.battery, m.created_at,
       (SELECT count(*) FROM store.device d WHERE d.model = m.id AND d.life <> 'erased') AS devices
FROM store.model m;

-- Times for which nothing can be said of devices that were not heard. `ended` NULL: now.
CREATE TABLE store.blind_interval (
  began  timestamptz PRIMARY KEY,
  ended  timestamptz,
  reason text NOT NULL CHECK (reason IN ('broker', 'ingest', 'store', 'analysis'))  -- what was away
);
CREATE UNIQUE INDEX blind_now ON store.blind_interval ((true)) WHERE ended IS NULL;
CREATE VIEW vedette.blind_interval AS
SELECT began, ended, reason, extract(epoch FROM coalesce(ended, now()) - began)::double precision AS seconds FROM store.blind_interval;

-- What is being worked on: alerts about absence of these devices are withheld, and counted. All conditions that are given hold together.
CREATE TABLE store.maintenance (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device   integer,
  model    integer,
  region   text,
  site     text,
  firmware text,                           -- version that runs
  author   text NOT NULL CHECK (author <> ''),
  reason   text NOT NULL CHECK (reason <> ''),
  begins   timestamptz NOT NULL DEFAULT now(),
  ends     timestamptz NOT NULL,           -- or was ended early
  ended_by text,                           -- early, by
  withheld bigint NOT NULL DEFAULT 0,      -- alerts
  missing  integer,                        -- devices that were heard before it and had not come back at its end; NULL: not over
  CHECK (ends > begins),
  CHECK (num_nonnulls(device, model, region, site, firmware) > 0)
);
CREATE INDEX maintenance_ends ON store.maintenance (ends);
CREATE VIEW vedette.maintenance AS
SELECT w.id, d.credential AS device, m.name AS model, w.region, w.site, w.firmware, w.author, w.reason, w.begins, w.ends, w.ended_by,
       CASE WHEN now() < w.begins THEN 'planned' WHEN now() < w.ends THEN 'on' ELSE 'over' END AS state, w.withheld, w.missing
FROM store.maintenance w LEFT JOIN store.device d ON d.id = w.device LEFT JOIN store.model m ON m.id = w.model;

-- Ends a window now that is on, or planned; false if it is over already.
CREATE FUNCTION store.end_maintenance(window_id bigint, who text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  DELETE FROM store.maintenance WHERE id = window_id AND begins >= now();
  IF FOUND THEN
    RETURN true;
  END IF;
  UPDATE store.maintenance SET ends = now(), ended_by = who WHERE id = window_id AND begins < now() AND ends > now();
  RETURN FOUND;
END $$;

-- Reports that were expected in an hour and did not come, by what kept them: `device` (it sent none), `network` (sent and never received, as the
-- numbering says), `us` (we were blind), `shed`, `rejected`. Hours in which all came have no row.
CREATE TABLE store.completeness (
  device   integer NOT NULL,
  hour     timestamptz NOT NULL,
  reason   text NOT NULL CHECK (reason IN ('device', 'network', 'us', 'shed', 'rejected')),
  missing  integer NOT NULL CHECK (missing > 0),
  expected integer NOT NULL,               -- in the hour, for any reason
  received integer NOT NULL,
  PRIMARY KEY (device, hour, reason)
);
CREATE INDEX completeness_hour ON store.completeness (hour);
CREATE VIEW vedette.completeness AS
SELECT c.hour, c.device, d.credential, m.name AS model, d.region, d.site, c.reason, c.missing, c.expected, c.received
FROM store.completeness c JOIN store.device d ON d.id = c.device JOIN store.model m ON m.id = d.model;

-- As before (0005), but nothing is known of anybody while we are blind.
CREATE OR REPLACE VIEW vedette.device AS
SELECT d.id AS device, d.credential, m.name AS model, d.region, d.time_zone, d.site, g.credential AS gateway, d.critical, d.life,
       CASE WHEN d.life = 'retired' THEN 'retired' WHEN u.blind THEN 'unknown' ELSE coalesce(c.state, 'never seen') END AS connectivity,
       CASE WHEN d.life = 'retired' THEN NULL WHEN u.blind THEN u.began ELSE c.since END AS connectivity_since,
       CASE WHEN d.life = 'retired' THEN NULL WHEN u.blind THEN 'we are blind: ' || u.reason || ' is away' ELSE c.reason END
         AS connectivity_reason,
       (SELECT f.version FROM store.firmware f WHERE f.device = d.id ORDER BY f.time DESC LIMIT 1) AS firmware,
       d.firmware AS firmware_delivered, d.created_at, m.class, d.next_visit
FROM store.device d
JOIN store.model m ON m.id = d.model
LEFT JOIN store.device g ON g.id = d.gateway
LEFT JOIN store.connectivity_now c ON c.device = d.id
LEFT JOIN LATERAL (SELECT true AS blind, b.began, b.reason FROM store.blind_interval b
                   WHERE b.ended IS NULL AND c.state IN ('online', 'late', 'flapping', 'frozen')) u ON true
WHERE d.life <> 'erased';

-- A device's history: its changes, and the times for which we were blind.
CREATE FUNCTION vedette.connectivity(for_credential text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity')
RETURNS TABLE (at timestamptz, state text, reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH d AS (SELECT id, created_at FROM store.device WHERE credential = for_credential AND life <> 'erased')
  SELECT h.at, h.state, h.reason FROM (
  SELECT c.at, c.step, c.place, c.state, c.reason FROM store.connectivity_change c JOIN d ON c.device = d.id WHERE c.at >= since AND c.at < until
  UNION ALL
  SELECT greatest(b.began, since), 0, 0, 'unknown', 'we were blind: ' || b.reason || ' was away'
  FROM store.blind_interval b, d WHERE coalesce(b.ended, 'infinity') > greatest(since, d.created_at) AND b.began < until
  UNION ALL
  SELECT b.ended, 0, 0, 'seeing', 'we see again' FROM store.blind_interval b, d WHERE b.ended >= greatest(since, d.created_at) AND b.ended < until
  ) h ORDER BY h.at, h.step, h.place, h.state
$$;

REVOKE ALL ON FUNCTION store.end_maintenance, vedette.connectivity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vedette.connectivity TO vedette_console, vedette_grafana;
GRANT SELECT ON vedette.model, vedette.blind_interval, vedette.maintenance, vedette.completeness TO vedette_console, vedette_grafana;
GRANT SELECT, INSERT, UPDATE ON store.blind_interval TO vedette_analysis;
GRANT SELECT, UPDATE (withheld, missing) ON store.maintenance TO vedette_analysis;
GRANT SELECT, INSERT, UPDATE ON store.completeness TO vedette_analysis;

-- --- what goes with a device, and what goes by age

-- Where rows are about a device, in the order in which an erasure deletes them: `stale` before `hour` and `five`, since who makes a rollup holds
-- the row that asks for it. Reports, connectivity messages and dead letters have functions of their own: they are in the books.
CREATE TABLE store.about_devices (
  place       integer NOT NULL,
  name        text PRIMARY KEY,
  column_name text NOT NULL DEFAULT 'device'
);
INSERT INTO store.about_devices (place, name)
SELECT place, name FROM unnest(ARRAY['traffic', 'event', 'firmware', 'stale', 'hour', 'five', 'latest', 'metric_set', 'clock', 'alert_event', 'alert',
                                     'detector_state', 'connectivity_now', 'connectivity_change', 'completeness', 'maintenance'])
  WITH ORDINALITY AS t(name, place);
INSERT INTO store.about_devices VALUES (17, 'sequence', 'publisher');

-- As before (0014), by that table.
CREATE OR REPLACE FUNCTION store.delete_devices(ids integer[], names text[]) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  reports record;
  counts jsonb;
  rows bigint;
  about store.about_devices;
BEGIN
  SELECT * INTO reports FROM store.delete_reports(ids);
  counts := jsonb_build_object('reports', reports.raw, 'compressed reports', reports.packed,
                               'connectivity messages', store.delete_connectivity(ids), 'dead letters', store.delete_letters(ids, names));
  FOR about IN SELECT * FROM store.about_devices ORDER BY place LOOP
    EXECUTE format('DELETE FROM store.%I WHERE %I = ANY ($1)', about.name, about.column_name) USING ids;
    GET DIAGNOSTICS rows = ROW_COUNT;
    counts := counts || jsonb_build_object(replace(about.name, '_', ' '), rows);
  END LOOP;
  -- What others' alerts say of them.
  UPDATE store.alert SET sentence = store.without_names(sentence, names), explanation = store.without_names(explanation, names)
  WHERE EXISTS (SELECT FROM unnest(names) AS n WHERE position(n IN sentence) > 0 OR store.without_names(explanation, ARRAY[n]) <> explanation);
  UPDATE store.alert_event SET detail = store.without_names(detail, names)
  WHERE EXISTS (SELECT FROM unnest(names) AS n WHERE position(n IN detail) > 0);
  -- The ledger's exceptions stay, as nobody's: the books go on adding up.
  WITH moved AS (DELETE FROM store.ledger WHERE device = ANY (ids) RETURNING *)
  INSERT INTO store.ledger AS l (device, minute, feed, term, reason, count)
  SELECT 0, minute, feed, term, reason, sum(count)::bigint FROM moved GROUP BY minute, feed, term, reason
  ON CONFLICT (device, minute, feed, term, reason) DO UPDATE SET count = l.count + excluded.count;
  RETURN counts;
END $$;

CREATE FUNCTION store.prune_connectivity() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  DELETE FROM store.completeness WHERE hour < now() - (SELECT keep FROM store.retention WHERE class = 'event');
  DELETE FROM store.blind_interval WHERE ended < now() - (SELECT keep FROM store.retention WHERE class = 'event');
  DELETE FROM store.maintenance WHERE ends < now() - (SELECT keep FROM store.retention WHERE class = 'event');
$$;
REVOKE ALL ON FUNCTION store.prune_connectivity FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.prune_connectivity TO vedette_keeper;
