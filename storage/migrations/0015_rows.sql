-- A smaller raw row: 168 bytes instead of 184 with eight doubles, and 32 instead of 48 in the unique index; and smaller chunks: heads with
-- short numbers, times of receipt to the millisecond, no digests. What is stored moves into new tables, in one transaction: nobody reads or
-- writes reports meanwhile, and both copies are there until its end. What is compressed becomes raw again, for the keeper to compress anew.
LOCK TABLE store.report, store.packed IN ACCESS EXCLUSIVE MODE;
DO $$
DECLARE
  known record;
BEGIN
  FOR known IN SELECT to_char(p.day, 'YYYYMMDD') AS day FROM store.packing p LOOP
    EXECUTE format('DROP TRIGGER IF EXISTS report_packed ON store.%I', 'report_' || known.day);
  END LOOP;
END $$;
INSERT INTO store.report (time, received, boot, sequence, batch, digest, device, publisher, size, set, marks, values, texts)
SELECT to_timestamp(a.time[v.k] / 1e6::double precision), to_timestamp((a.time[v.k] + a.received[v.k]) / 1e6::double precision), a.boot[v.k],
       a.sequence[v.k], a.batch[v.k], a.digest[v.k], p.device, p.publisher, a.size[v.k], p.set, a.marks[v.k], v.values,
       CASE WHEN array_remove(t.texts, NULL) <> '{}' THEN t.texts END
FROM store.packed p
CROSS JOIN LATERAL (
  SELECT store.unpack_integers(p.time, p.count) AS time, store.unpack_integers(p.received, p.count) AS received,
         store.unpack_integers(p.boot, p.count) AS boot, store.unpack_integers(p.sequence, p.count) AS sequence,
         store.unpack_integers(p.batch, p.count) AS batch, store.unpack_integers(p.digest, p.count) AS digest,
         store.unpack_integers(p.size, p.count) AS size, store.unpack_integers(p.marks, p.count) AS marks OFFSET 0) a
CROSS JOIN LATERAL (
  SELECT g.k, array_agg(x.value ORDER BY x.place) FILTER (WHERE x.place IS NOT NULL) AS values
  FROM generate_series(1, p.count) AS g(k)
  LEFT JOIN (SELECT c.place, n.value, n.k FROM unnest(p.values) WITH ORDINALITY AS c(bits, place)
             CROSS JOIN LATERAL unnest(store.unpack_values(c.bits, p.count)) WITH ORDINALITY AS n(value, k)) x ON x.k = g.k
  GROUP BY g.k) v
CROSS JOIN LATERAL (SELECT p.texts[(v.k - 1) * cardinality(p.values) + 1 : v.k * cardinality(p.values)] AS texts) t;
DELETE FROM store.packing;
DROP VIEW vedette.report, vedette.sample, vedette.sequence_gap, store.sequence_recent, store.receipt, store.unpacked;
DROP TABLE store.packed;
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

-- The days and the default partition, under their names.
DO $$
DECLARE
  part record;
BEGIN
  FOR part IN SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'store.report_before'::regclass ORDER BY c.relname
  LOOP
    EXECUTE format('ALTER TABLE store.%I RENAME TO %I', part.name, part.name || '_before');
    EXECUTE format('CREATE TABLE store.%I PARTITION OF store.report %s', part.name, part.bound);
    EXECUTE format('INSERT INTO store.%I (time, received, boot, sequence, batch, device, publisher, size, set, marks, digest, texts, values)
                    SELECT time, received, boot, sequence, batch, device, publisher, size, set, marks,
                           ((digest & 65535) - (digest & 32768) * 2)::smallint, coalesce(texts::text, ''''), values
                    FROM store.%I', part.name, part.name || '_before');
    EXECUTE format('DROP TABLE store.%I', part.name || '_before');
  END LOOP;
END $$;
DROP TABLE store.report_before;

-- As before (0011), but for the digest.
CREATE TABLE store.packed (
  first         timestamptz NOT NULL,      -- device time of the first report …
  last          timestamptz NOT NULL,      -- … and of the last
  received_last timestamptz NOT NULL,      -- the latest receipt
  device        integer NOT NULL,
  publisher     integer NOT NULL,
  set           smallint NOT NULL,
  count         smallint NOT NULL,         -- reports
  time          bit varying NOT NULL,      -- columns of `count` integers: Unix microseconds …
  received      bit varying NOT NULL,      -- … from the time's millisecond to the receipt's, microseconds
  boot          bit varying NOT NULL,
  sequence      bit varying NOT NULL,
  batch         bit varying NOT NULL,
  size          bit varying NOT NULL,
  marks         bit varying NOT NULL,
  values        bit varying[] NOT NULL,    -- a column of doubles for each metric of the set
  texts         text[]                     -- report by report, a text or NULL for each metric; NULL: there is none
) PARTITION BY RANGE (first);
CREATE INDEX packed_device ON store.packed (device, first);
GRANT INSERT ON store.packed TO vedette_keeper;

-- A number of two's complement behind its length (storage/pack.h); `at`: where the length begins, from 1.
CREATE FUNCTION store.signed_at(packed bit varying, at integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE l.bits WHEN 0 THEN 0
                     ELSE substring(packed FROM at + 7 FOR l.bits)::bigint
                          | CASE WHEN l.bits < 64 AND get_bit(packed, at + 6) = 1 THEN -1::bigint << l.bits ELSE 0 END END
  FROM (SELECT substring(packed FROM at FOR 7)::integer AS bits) l
$$;

-- As before (0011), with the short head.
CREATE OR REPLACE FUNCTION store.unpack_integers(packed bit varying, count integer) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  kind integer := substring(packed FROM 1 FOR 2)::integer;
  unit bigint := CASE kind WHEN 0 THEN store.power_of_ten(substring(packed FROM 4 FOR 5)::integer) ELSE 1 END;
  width integer := substring(packed FROM 9 FOR 7)::integer;
  base bigint := store.signed_at(packed, 27);
  at integer := 34 + substring(packed FROM 27 FOR 7)::integer;
  sum bigint;
  numbers bigint[];
BEGIN
  IF get_bit(packed, 2) = 0 THEN
    IF width = 0 THEN
      RETURN array_fill(base, ARRAY[count]);
    END IF;
    at := at - width;
    RETURN ARRAY(SELECT base + unit * substring(packed FROM at + k * width FOR width)::bigint FROM generate_series(1, count) AS k);
  END IF;
  sum := store.signed_at(packed, at);
  at := at + 7 + substring(packed FROM at FOR 7)::integer - width;
  numbers := array_fill(sum, ARRAY[count]);
  FOR k IN 2 .. count LOOP
    sum := sum + base;
    IF width > 0 THEN
      sum := sum + unit * substring(packed FROM at + (k - 1) * width FOR width)::bigint;
    END IF;
    numbers[k] := sum;
  END LOOP;
  RETURN numbers;
END $$;

CREATE OR REPLACE FUNCTION store.unpack_values(packed bit varying, count integer) RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  kind integer := substring(packed FROM 1 FOR 2)::integer;
  scale double precision := store.power_of_ten(substring(packed FROM 4 FOR 5)::integer)::double precision;
  width integer := substring(packed FROM 9 FOR 7)::integer;
  odd integer := substring(packed FROM 16 FOR 11)::integer;
  delta boolean := get_bit(packed, 2) = 1;
  at integer := 34 + substring(packed FROM 27 FOR 7)::integer;
  base bigint;
  numbers double precision[];
BEGIN
  IF kind = 1 AND NOT delta AND width > 0 THEN
    base := store.signed_at(packed, 27);
    at := at - width;
    numbers := ARRAY(SELECT (base + substring(packed FROM at + k * width FOR width)::bigint)::double precision / scale
                     FROM generate_series(1, count) AS k);
    at := at + width;
  ELSIF kind = 1 THEN
    numbers := ARRAY(SELECT i::double precision / scale FROM unnest(store.unpack_integers(packed, count)) AS i);
  ELSE
    numbers := ARRAY(SELECT store.double_of(i) FROM unnest(store.unpack_integers(packed, count)) AS i);
  END IF;
  IF delta THEN
    at := at + 7 + substring(packed FROM at FOR 7)::integer - width;
  END IF;
  at := at + count * width;
  FOR i IN 1 .. odd LOOP
    numbers[1 + substring(packed FROM at FOR 11)::integer] :=
      CASE get_bit(packed, at + 10) WHEN 0 THEN store.double_of(substring(packed FROM at + 12 FOR 64)::bigint) END;
    at := at + CASE get_bit(packed, at + 10) WHEN 0 THEN 76 ELSE 12 END;
  END LOOP;
  RETURN numbers;
END $$;

CREATE VIEW store.unpacked AS
SELECT to_timestamp(a.time[k] / 1e6::double precision) AS time,
       to_timestamp((a.time[k] - a.time[k] % 1000 + a.received[k]) / 1e6::double precision) AS received,
       a.boot[k] AS boot, a.sequence[k] AS sequence, a.batch[k] AS batch, p.device, p.publisher,
       a.size[k]::integer AS size, p.set, a.marks[k]::smallint AS marks,
       p.first AS chunk_first, p.received_last AS chunk_received_last
FROM store.packed p
CROSS JOIN LATERAL (
  SELECT store.unpack_integers(p.time, p.count) AS time, store.unpack_integers(p.received, p.count) AS received,
         store.unpack_integers(p.boot, p.count) AS boot, store.unpack_integers(p.sequence, p.count) AS sequence,
         store.unpack_integers(p.batch, p.count) AS batch, store.unpack_integers(p.size, p.count) AS size,
         store.unpack_integers(p.marks, p.count) AS marks OFFSET 0) a
CROSS JOIN LATERAL generate_series(1, p.count) AS k;

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
    SELECT a.place, true FROM asked a  -- what is compressed has no digest: whatever has its key is its repeat
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
SELECT to_timestamp(a.time[k] / 1e6::double precision), to_timestamp((a.time[k] - a.time[k] % 1000 + a.received[k]) / 1e6::double precision),
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
REVOKE ALL ON FUNCTION store.signed_at FROM PUBLIC;
