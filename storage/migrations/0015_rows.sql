-- A smaller raw row: 168 bytes instead of 184 with eight doubles, and 32 instead of 48 in the unique index. What is stored moves into new
-- tables, in one transaction: nobody reads or writes reports meanwhile, and both copies are there until its end.
LOCK TABLE store.report IN ACCESS EXCLUSIVE MODE;
DROP VIEW vedette.report, vedette.sample, vedette.sequence_gap, store.sequence_recent, store.receipt;
ALTER TABLE store.report RENAME TO report_before;

-- One row a message and distinct sample time. marks: 1 historical, 2 device has no clock, 4 clock ahead, 8 clock behind, 16 no number of its
-- own. Columns stand in the order of their alignment, and none is NULL where there are samples: either would cost eight bytes a row.
CREATE TABLE store.report (
  time        timestamptz NOT NULL,        -- device clock, as sent
  received    timestamptz NOT NULL,
  boot        bigint NOT NULL,             -- as sent; 64 bits, so large random ones show as negative
  sequence    bigint NOT NULL,
  batch       bigint NOT NULL,
  device      integer NOT NULL,            -- whom the values are about
  publisher   integer NOT NULL,            -- who sent them: the device itself or its gateway
  size        integer NOT NULL,            -- bytes of the message; 0 in the further rows of one message
  set         smallint NOT NULL,           -- 0: no samples
  marks       smallint NOT NULL,
  digest      smallint NOT NULL,           -- of the message, the lowest 16 bits: tells a duplicate from a conflict
  texts       text NOT NULL DEFAULT '',    -- a text[] as its literal, in the order of the set; '': there are none
  values      double precision[]           -- in the order of the set; NULL where the value is text
) PARTITION BY RANGE (time);

-- The days and the default partition, under their names; the trigger of days that are compressed, or being compressed, goes along.
DO $$
DECLARE
  part record;
BEGIN
  FOR part IN SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound,
                     EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'report_packed') AS packed
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'store.report_before'::regclass ORDER BY c.relname
  LOOP
    EXECUTE format('ALTER TABLE store.%I RENAME TO %I', part.name, part.name || '_before');
    EXECUTE format('CREATE TABLE store.%I PARTITION OF store.report %s', part.name, part.bound);
    EXECUTE format('INSERT INTO store.%I (time, received, boot, sequence, batch, device, publisher, size, set, marks, digest, texts, values)
                    SELECT time, received, boot, sequence, batch, device, publisher, size, set, marks,
                           ((digest & 65535) - (digest & 32768) * 2)::smallint, coalesce(texts::text, ''''), values
                    FROM store.%I', part.name, part.name || '_before');
    EXECUTE format('DROP TABLE store.%I', part.name || '_before');
    IF part.packed THEN
      EXECUTE format('CREATE TRIGGER report_packed BEFORE INSERT ON store.%I FOR EACH ROW EXECUTE FUNCTION store.refuse_packed()', part.name);
    END IF;
  END LOOP;
END $$;
DROP TABLE store.report_before;

-- Which message it was stands in the index as one number, made of publisher, boot and sequence: they would take 20 bytes. Within a boot no two
-- messages have one number. Between boots chance has 64 bits; who makes up boots and sequences can have two messages of one device and one
-- microsecond share a number, and loses the second: store.known_reports says that it is a conflict. hashint8extended folds its argument to 32
-- bits, hence a call for each half of boot.
CREATE UNIQUE INDEX report_key ON store.report
  (device, time, (sequence # hashint8extended(boot >> 32, hashint8extended(boot & 4294967295, publisher))));
CREATE INDEX report_batch ON store.report (batch);
ANALYZE store.report;
GRANT SELECT, INSERT ON store.report TO vedette_ingest;
GRANT SELECT ON store.report TO vedette_analysis, vedette_keeper;

-- Which of these reports the store has (0011), by the number that its index has: a report that the index refuses is found here, if not as the
-- same then as a conflict. One that shares it with an earlier one of those asked about is a conflict, too: they come from one batch.
CREATE OR REPLACE FUNCTION store.known_reports(devices integer[], times bigint[], publishers integer[], boots bigint[], sequences bigint[],
                                               digests bigint[])
RETURNS TABLE (place bigint, same boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 10 AS $$
#variable_conflict use_column
BEGIN  -- plpgsql keeps the plan
  RETURN QUERY WITH asked AS (
    SELECT u.*, timestamptz 'epoch' + u.time * interval '1 microsecond' AS at,
           u.sequence # hashint8extended(u.boot >> 32, hashint8extended(u.boot & 4294967295, u.publisher)) AS number
    FROM unnest(devices, times, publishers, boots, sequences, digests) WITH ORDINALITY
      AS u(device, time, publisher, boot, sequence, digest, place)),
  found AS (
    SELECT a.place, r.publisher = a.publisher AND r.boot = a.boot AND r.sequence = a.sequence
                    AND r.digest & 65535 = a.digest & 65535 AS same
    FROM asked a JOIN store.report r ON r.device = a.device AND r.time = a.at
      AND r.sequence # hashint8extended(r.boot >> 32, hashint8extended(r.boot & 4294967295, r.publisher)) = a.number
    UNION ALL
    SELECT a.place, (store.unpack_integers(p.digest, p.count))[t.k] = a.digest & 65535 FROM asked a
    JOIN store.packed p ON p.device = a.device AND p.publisher = a.publisher
      AND p.first <= a.at AND p.last >= a.at AND p.first >= date_trunc('day', a.at, 'UTC')
    CROSS JOIN LATERAL unnest(store.unpack_integers(p.time, p.count)) WITH ORDINALITY AS t(time, k)
    WHERE t.time = a.time AND (store.unpack_integers(p.boot, p.count))[t.k] = a.boot
      AND (store.unpack_integers(p.sequence, p.count))[t.k] = a.sequence
    UNION ALL
    SELECT n.place, false FROM (SELECT a.place, row_number() OVER (PARTITION BY a.device, a.time, a.number ORDER BY a.place) AS nth FROM asked a) n
    WHERE n.nth > 1)
  SELECT f.place, bool_or(f.same) FROM found f GROUP BY f.place;
END $$;

-- Notes what batches brought (0012, 0014); analysis calls it in the transaction that advances its cursor.
CREATE OR REPLACE FUNCTION store.note_batches(keys bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO store.stale (device, hour)
  SELECT DISTINCT r.device, date_trunc('hour', r.time, 'UTC') FROM store.report r JOIN store.device d ON d.id = r.device AND d.life <> 'erased'
  WHERE r.batch = ANY (keys) AND r.set > 0 AND r.marks & 6 = 0 ORDER BY 1, 2
  ON CONFLICT DO NOTHING;
  INSERT INTO store.latest AS l (device, set, time, values, texts)
  SELECT n.device, n.set, n.time, n.values, nullif(n.texts, '')::text[] FROM (
    SELECT DISTINCT ON (r.device, r.set) r.device, r.set, r.time, r.values, r.texts
    FROM store.report r JOIN store.device d ON d.id = r.device AND d.life <> 'erased'
    WHERE r.batch = ANY (keys) AND r.set > 0 AND r.marks & 6 = 0
    ORDER BY r.device, r.set, r.time DESC, r.publisher, r.boot DESC, r.sequence DESC) n
  ON CONFLICT (device, set) DO UPDATE SET time = excluded.time, values = excluded.values, texts = excluded.texts
  WHERE excluded.time >= l.time;
END $$;

-- --- views over reports: as before (0008, 0011), but for texts

CREATE VIEW store.receipt AS
SELECT r.device, r.publisher, r.batch, r.received, r.size, r.time, r.received AS received_last FROM store.report r
UNION ALL
SELECT u.device, u.publisher, u.batch, u.received, u.size, u.chunk_first, u.chunk_received_last FROM store.unpacked u;

CREATE VIEW store.sequence_recent AS
SELECT n.feed, n.publisher, n.boot, n.sequence, n.received
FROM store.feed f
LEFT JOIN store.sequenced q ON q.feed = f.id
CROSS JOIN LATERAL (
  SELECT f.id AS feed, r.publisher, r.boot, r.sequence, r.received FROM store.report r
  WHERE r.batch > (f.id::bigint << 40) + coalesce(q.number, 0) AND r.batch < (f.id + 1)::bigint << 40 AND r.marks & 16 = 0
  UNION ALL
  SELECT f.id, l.device, l.boot, l.sequence, l.received FROM store.dead_letter l
  WHERE l.batch > (f.id::bigint << 40) + coalesce(q.number, 0) AND l.batch < (f.id + 1)::bigint << 40
    AND l.device <> 0 AND l.sequence BETWEEN 1 AND (1::bigint << 62)) n;

CREATE VIEW vedette.sequence_gap AS
WITH recent AS (
  SELECT publisher, boot, range_agg(int8range(sequence, sequence, '[]')) AS received, max(received) AS last_at
  FROM store.sequence_recent GROUP BY publisher, boot),
known AS (
  SELECT s.publisher, s.boot, s.begins, s.received + coalesce(r.received, '{}') AS received, s.shed, coalesce(s.hole_at, s.last_at) AS noticed_at
  FROM store.sequence s LEFT JOIN recent r ON r.publisher = s.publisher AND r.boot = s.boot
  WHERE s.missing > 0 OR r.boot IS NOT NULL
  UNION ALL
  SELECT r.publisher, r.boot, lower(r.received), r.received, '{}', r.last_at FROM recent r
  WHERE NOT EXISTS (SELECT FROM store.sequence s WHERE s.publisher = r.publisher AND s.boot = r.boot))
SELECT k.publisher AS device, d.credential, k.boot, lower(h.hole) - 1 AS after_sequence, upper(h.hole) AS before_sequence,
       upper(h.hole) - lower(h.hole) AS missing, k.noticed_at
FROM known k
JOIN store.device d ON d.id = k.publisher
CROSS JOIN LATERAL unnest(int8multirange(int8range(k.begins, upper(k.received + k.shed))) - k.received - k.shed) AS h(hole);

CREATE VIEW vedette.report AS
SELECT r.time, r.received, r.device, d.credential, r.publisher, r.boot, r.sequence, r.size, r.batch,
       r.marks & 1 <> 0 AS historical,
       CASE WHEN r.marks & 2 <> 0 THEN 'none' WHEN r.marks & 4 <> 0 THEN 'ahead' WHEN r.marks & 8 <> 0 THEN 'behind'
            ELSE 'good' END AS clock
FROM store.report r JOIN store.device d ON d.id = r.device
UNION ALL
SELECT r.time, r.received, r.device, d.credential, r.publisher, r.boot, r.sequence, r.size, r.batch,
       r.marks & 1 <> 0 AS historical,
       CASE WHEN r.marks & 2 <> 0 THEN 'none' WHEN r.marks & 4 <> 0 THEN 'ahead' WHEN r.marks & 8 <> 0 THEN 'behind'
            ELSE 'good' END AS clock
FROM store.unpacked r JOIN store.device d ON d.id = r.device;

-- The texts of a row are read once, not once a metric.
CREATE VIEW vedette.sample AS
SELECT r.time, r.received, r.device, d.credential, r.publisher, r.boot, r.sequence, m.name AS metric, mm.kind, mm.unit, p.value, p.text
FROM store.report r
JOIN store.device d ON d.id = r.device
JOIN store.metric_set s ON s.device = r.device AND s.set = r.set
CROSS JOIN LATERAL unnest(s.metrics, r.values, nullif(r.texts, '')::text[]) AS p(metric, value, text)
JOIN store.metric m ON m.id = p.metric
LEFT JOIN store.model_metric mm ON mm.model = d.model AND mm.metric = p.metric
UNION ALL
SELECT to_timestamp(a.time[k] / 1e6::double precision), to_timestamp((a.time[k] + a.received[k]) / 1e6::double precision),
       c.device, d.credential, c.publisher, a.boot[k], a.sequence[k], m.name, mm.kind, mm.unit, v.value[k],
       c.texts[(k - 1) * cardinality(s.metrics) + p.place]
FROM store.packed c
JOIN store.device d ON d.id = c.device
JOIN store.metric_set s ON s.device = c.device AND s.set = c.set
CROSS JOIN LATERAL unnest(s.metrics) WITH ORDINALITY AS p(metric, place)
JOIN store.metric m ON m.id = p.metric
LEFT JOIN store.model_metric mm ON mm.model = d.model AND mm.metric = p.metric
CROSS JOIN LATERAL (
  SELECT store.unpack_integers(c.time, c.count) AS time, store.unpack_integers(c.received, c.count) AS received,
         store.unpack_integers(c.boot, c.count) AS boot, store.unpack_integers(c.sequence, c.count) AS sequence OFFSET 0) a
CROSS JOIN LATERAL (SELECT store.unpack_values(c.values[p.place], c.count) AS value OFFSET 0) v
CROSS JOIN LATERAL generate_series(1, c.count) AS k;

GRANT SELECT ON vedette.report, vedette.sample, vedette.sequence_gap TO vedette_console, vedette_grafana, vedette_analysis, vedette_ingest;
