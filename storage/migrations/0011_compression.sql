-- Compression: reports of closed days, many in a row (docs/store.md, "Compression"). The keeper packs, storage/pack.h says how numbers
-- become bits; here they are read again. A chunk holds reports of one device, publisher and metric set within one day (UTC).
CREATE TABLE store.packed (
  first         timestamptz NOT NULL,      -- device time of the first report …
  last          timestamptz NOT NULL,      -- … and of the last
  received_last timestamptz NOT NULL,      -- the latest receipt
  device        integer NOT NULL,
  publisher     integer NOT NULL,
  set           smallint NOT NULL,
  count         smallint NOT NULL,         -- reports
  time          bit varying NOT NULL,      -- columns of `count` integers: Unix microseconds …
  received      bit varying NOT NULL,      -- … less the report's time
  boot          bit varying NOT NULL,
  sequence      bit varying NOT NULL,
  batch         bit varying NOT NULL,
  digest        bit varying NOT NULL,      -- the lowest 16 bits: of 65,536 conflicts that come after days, one passes for a duplicate
  size          bit varying NOT NULL,
  marks         bit varying NOT NULL,
  values        bit varying[] NOT NULL,    -- a column of doubles for each metric of the set
  texts         text[]                     -- report by report, a text or NULL for each metric; NULL: there is none
) PARTITION BY RANGE (first);
CREATE INDEX packed_device ON store.packed (device, first);

-- How far each day is.
CREATE TABLE store.packing (
  day          date PRIMARY KEY,
  state        text NOT NULL DEFAULT 'packing' CHECK (state IN ('packing', 'packed')),
  reports      bigint NOT NULL DEFAULT 0,  -- that were packed
  samples      bigint NOT NULL DEFAULT 0,
  expected     bigint NOT NULL,            -- reports there were when it was begun, about
  bytes_before bigint NOT NULL,            -- of the day's raw rows and indexes when it was begun
  started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at  timestamptz
);

-- --- columns of numbers

CREATE FUNCTION store.power_of_ten(exponent integer) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT ('{1,10,100,1000,10000,100000,1000000,10000000,100000000,1000000000,10000000000,100000000000,1000000000000,10000000000000,
            100000000000000,1000000000000000}'::bigint[])[exponent + 1]
$$;

-- The integers of a column. This and the next run in views, where functions have the rights of whoever looks: hence the definer's.
CREATE FUNCTION store.unpack_integers(packed bit varying, count integer) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  kind integer := substring(packed FROM 1 FOR 2)::integer;
  unit bigint := CASE kind WHEN 0 THEN store.power_of_ten(substring(packed FROM 4 FOR 5)::integer) ELSE 1 END;
  width integer := substring(packed FROM 9 FOR 7)::integer;
  base bigint := substring(packed FROM 27 FOR 64)::bigint;
  at integer := 91 - width;
  sum bigint;
  numbers bigint[];
BEGIN
  IF get_bit(packed, 2) = 0 THEN
    IF width = 0 THEN
      RETURN array_fill(base, ARRAY[count]);
    END IF;
    RETURN ARRAY(SELECT base + unit * substring(packed FROM at + k * width FOR width)::bigint FROM generate_series(1, count) AS k);
  END IF;
  sum := substring(packed FROM 91 FOR 64)::bigint;
  numbers := array_fill(sum, ARRAY[count]);
  at := at + 64;
  FOR k IN 2 .. count LOOP
    sum := sum + base;
    IF width > 0 THEN
      sum := sum + unit * substring(packed FROM at + (k - 1) * width FOR width)::bigint;
    END IF;
    numbers[k] := sum;
  END LOOP;
  RETURN numbers;
END $$;

-- The double that has these bits (IEEE 754); finite.
CREATE FUNCTION store.double_of(bits bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN bits = '-9223372036854775808'::bigint THEN '-0'::double precision
              WHEN (bits >> 52) & 2047 = 0 THEN sign(bits::double precision) * (bits & 4503599627370495)::double precision * 5e-324
              ELSE CASE WHEN bits < 0 THEN -1.0::double precision ELSE 1.0 END
                   * ((bits & 4503599627370495) | 4503599627370496)::double precision
                   * power(2.0::double precision, ((bits >> 52) & 2047) - 1075) END
$$;

-- The doubles of a column.
CREATE FUNCTION store.unpack_values(packed bit varying, count integer) RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  kind integer := substring(packed FROM 1 FOR 2)::integer;
  scale double precision := store.power_of_ten(substring(packed FROM 4 FOR 5)::integer)::double precision;
  width integer := substring(packed FROM 9 FOR 7)::integer;
  base bigint := substring(packed FROM 27 FOR 64)::bigint;
  odd integer := substring(packed FROM 16 FOR 11)::integer;
  delta boolean := get_bit(packed, 2) = 1;
  numbers double precision[];
  at integer;
BEGIN
  IF kind = 1 AND NOT delta AND width > 0 THEN
    at := 91 - width;
    numbers := ARRAY(SELECT (base + substring(packed FROM at + k * width FOR width)::bigint)::double precision / scale
                     FROM generate_series(1, count) AS k);
  ELSIF kind = 1 THEN
    numbers := ARRAY(SELECT i::double precision / scale FROM unnest(store.unpack_integers(packed, count)) AS i);
  ELSE
    numbers := ARRAY(SELECT store.double_of(i) FROM unnest(store.unpack_integers(packed, count)) AS i);
  END IF;
  at := 91 + CASE WHEN delta THEN 64 + (count - 1) * width ELSE count * width END;
  FOR i IN 1 .. odd LOOP
    numbers[1 + substring(packed FROM at FOR 11)::integer] :=
      CASE get_bit(packed, at + 10) WHEN 0 THEN store.double_of(substring(packed FROM at + 12 FOR 64)::bigint) END;
    at := at + CASE get_bit(packed, at + 10) WHEN 0 THEN 76 ELSE 12 END;
  END LOOP;
  RETURN numbers;
END $$;

-- --- reports, wherever they are

-- Packed reports, one a row, without their values. The arrays are made once a chunk, and only those that are asked for: hence OFFSET 0.
CREATE VIEW store.unpacked AS
SELECT to_timestamp(a.time[k] / 1e6::double precision) AS time,
       to_timestamp((a.time[k] + a.received[k]) / 1e6::double precision) AS received,
       a.boot[k] AS boot, a.sequence[k] AS sequence, a.batch[k] AS batch, a.digest[k] AS digest, p.device, p.publisher,
       a.size[k]::integer AS size, p.set, a.marks[k]::smallint AS marks,
       p.first AS chunk_first, p.received_last AS chunk_received_last
FROM store.packed p
CROSS JOIN LATERAL (
  SELECT store.unpack_integers(p.time, p.count) AS time, store.unpack_integers(p.received, p.count) AS received,
         store.unpack_integers(p.boot, p.count) AS boot, store.unpack_integers(p.sequence, p.count) AS sequence,
         store.unpack_integers(p.batch, p.count) AS batch, store.unpack_integers(p.digest, p.count) AS digest,
         store.unpack_integers(p.size, p.count) AS size, store.unpack_integers(p.marks, p.count) AS marks OFFSET 0) a
CROSS JOIN LATERAL generate_series(1, p.count) AS k;

-- Which of these reports the store has, by key (the digest tells a repeat from a conflict): their places in the arrays, and whether they are
-- the same. Times are Unix microseconds.
CREATE FUNCTION store.known_reports(devices integer[], times bigint[], publishers integer[], boots bigint[], sequences bigint[],
                                    digests bigint[])
RETURNS TABLE (place bigint, same boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 10 AS $$
#variable_conflict use_column
BEGIN  -- plpgsql keeps the plan
  RETURN QUERY WITH asked AS (
    SELECT u.*, timestamptz 'epoch' + u.time * interval '1 microsecond' AS at
    FROM unnest(devices, times, publishers, boots, sequences, digests) WITH ORDINALITY
      AS u(device, time, publisher, boot, sequence, digest, place))
  SELECT a.place, r.digest = a.digest FROM asked a JOIN store.report r ON r.device = a.device AND r.time = a.at
    AND r.publisher = a.publisher AND r.boot = a.boot AND r.sequence = a.sequence
  UNION ALL
  SELECT a.place, (store.unpack_integers(p.digest, p.count))[t.k] = a.digest & 65535 FROM asked a
  JOIN store.packed p ON p.device = a.device AND p.publisher = a.publisher
    AND p.first <= a.at AND p.last >= a.at AND p.first >= date_trunc('day', a.at, 'UTC')
  CROSS JOIN LATERAL unnest(store.unpack_integers(p.time, p.count)) WITH ORDINALITY AS t(time, k)
  WHERE t.time = a.time AND (store.unpack_integers(p.boot, p.count))[t.k] = a.boot
    AND (store.unpack_integers(p.sequence, p.count))[t.k] = a.sequence;
END $$;

-- On the raw partition of a day of which something is packed: its unique index no longer sees everything.
CREATE FUNCTION store.refuse_packed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF EXISTS (
    SELECT FROM store.packed p CROSS JOIN LATERAL unnest(store.unpack_integers(p.time, p.count)) WITH ORDINALITY AS t(time, k)
    WHERE p.device = NEW.device AND p.publisher = NEW.publisher AND p.first <= NEW.time AND p.last >= NEW.time
      AND p.first >= date_trunc('day', NEW.time, 'UTC') AND t.time = (extract(epoch FROM NEW.time) * 1000000)::bigint
      AND (store.unpack_integers(p.boot, p.count))[t.k] = NEW.boot AND (store.unpack_integers(p.sequence, p.count))[t.k] = NEW.sequence) THEN
    RAISE unique_violation USING MESSAGE = 'the report is stored already, compressed', CONSTRAINT = 'report_packed';
  END IF;
  RETURN NEW;
END $$;

-- --- packing

-- What was committed before this is no longer needed row by row: analysis has a checkpoint behind it, and its numbers are counted.
CREATE FUNCTION store.settled_before() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT least(
    (SELECT min(b.committed_at) FROM store.feed f
     CROSS JOIN LATERAL (
       SELECT x.committed_at FROM store.batch x
       WHERE x.feed = f.id AND x.number > coalesce((SELECT q.number FROM store.sequenced q WHERE q.feed = f.id), 0)
       ORDER BY x.number LIMIT 1) b),
    (SELECT min(b.committed_at) FROM store.feed f
     CROSS JOIN LATERAL (
       SELECT x.committed_at FROM store.batch x
       WHERE x.feed = f.id AND x.number > coalesce(
         (SELECT min(l.number) FROM (SELECT c.lane, (SELECT max(a.number) FROM store.analysed_batch a
                                                     WHERE a.lane = c.lane AND a.feed = f.id AND a.step <= c.step) AS number
                                     FROM store.checkpoint c) l), 0)
       ORDER BY x.number LIMIT 1) b))
$$;

-- Begins, or goes on with, the oldest day that is over since `after` and not packed, or has late reports enough to pack again; NULL: there
-- is none. The partition for it is made, and from now on a trigger looks into it for repeats.
CREATE FUNCTION store.next_packing(after interval, late integer, OUT day date)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  part record;
  known store.packing;
  enough integer;
  rows bigint;
BEGIN
  DELETE FROM store.packing p WHERE to_regclass('store.' || to_char(p.day, '"packed_"YYYYMMDD')) IS NULL;  -- dropped
  FOR part IN SELECT c.oid, c.relname, c.reltuples FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = 'store.report'::regclass AND c.relname <> 'report_default' ORDER BY c.relname
  LOOP
    day := to_date(substring(part.relname FROM '[0-9]+$'), 'YYYYMMDD');
    CONTINUE WHEN day + interval '1 day' + after > now();
    SELECT * INTO known FROM store.packing p WHERE p.day = next_packing.day;
    enough := CASE known.state WHEN 'packing' THEN 0 WHEN 'packed' THEN late ELSE 1 END;  -- reports that make it worth while
    EXECUTE format('SELECT count(*) FROM (SELECT FROM store.%I LIMIT %s) r', part.relname, enough) INTO rows;
    CONTINUE WHEN rows < enough;
    CONTINUE WHEN EXISTS (SELECT FROM store.batch b WHERE b.committed_at >= store.settled_before() AND b.days @> ARRAY[next_packing.day]);
    IF known.day IS NULL THEN
      PERFORM store.make_packed(day);
      INSERT INTO store.packing (day, expected, bytes_before)
      VALUES (next_packing.day, greatest(part.reltuples, 0)::bigint, pg_total_relation_size(part.oid));
    ELSE
      UPDATE store.packing p SET state = 'packing' WHERE p.day = next_packing.day;
    END IF;
    RETURN;
  END LOOP;
  day := NULL;
END $$;

CREATE FUNCTION store.make_packed(for_day date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
  packed text := to_char(for_day, '"packed_"YYYYMMDD');
  raw text := to_char(for_day, '"report_"YYYYMMDD');
BEGIN
  EXECUTE format('CREATE TABLE store.%I (LIKE store.packed INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', packed);
  EXECUTE format('ALTER TABLE store.packed ATTACH PARTITION store.%I FOR VALUES FROM (%L) TO (%L)', packed, for_day::timestamptz,
                 (for_day + 1)::timestamptz);
  EXECUTE format('CREATE TRIGGER report_packed BEFORE INSERT ON store.%I FOR EACH ROW EXECUTE FUNCTION store.refuse_packed()', raw);
END $$;

-- Takes the raw reports of a day from one key to another away, which the caller appends to store.packed in the same transaction. Nobody can
-- add to the day until its end. Fails where the reports are not those that the caller has read.
CREATE FUNCTION store.take_raw(for_day date, first_key text, last_key text, expected bigint, new_samples bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  raw text := to_char(for_day, '"report_"YYYYMMDD');
  taken bigint;
BEGIN
  EXECUTE format('LOCK TABLE store.%I IN SHARE ROW EXCLUSIVE MODE', raw);
  EXECUTE format('DELETE FROM store.%I WHERE (device, time, publisher, boot, sequence) >= %s AND (device, time, publisher, boot, sequence) <= %s',
                 raw, store.key_of(first_key), store.key_of(last_key));
  GET DIAGNOSTICS taken = ROW_COUNT;
  IF taken <> expected THEN
    RAISE serialization_failure USING MESSAGE = format('%s reports of %s are there, %s were read', taken, for_day, expected);
  END IF;
  UPDATE store.packing SET reports = reports + taken, samples = samples + new_samples WHERE day = for_day;
END $$;

-- A key from "device time publisher boot sequence", time in Unix microseconds, as an SQL row.
CREATE FUNCTION store.key_of(key text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog SET timezone = 'UTC' AS $$
  SELECT format('(%L::integer, %L::timestamptz, %L::integer, %L::bigint, %L::bigint)', k[1],
                timestamptz 'epoch' + k[2]::bigint * interval '1 microsecond', k[3], k[4], k[5])
  FROM string_to_array(key, ' ') AS k
$$;

-- Ends a day of which everything that was there is packed: what the rows took is given back; late ones that came meanwhile stay.
CREATE FUNCTION store.finish_packing(for_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  raw text := to_char(for_day, '"report_"YYYYMMDD');
  late store.report[];
BEGIN
  EXECUTE format('LOCK TABLE store.%I IN ACCESS EXCLUSIVE MODE', raw);
  EXECUTE format('SELECT array_agg(r) FROM (SELECT r::store.report FROM store.%I r LIMIT 10001) r(r)', raw) INTO late;
  IF coalesce(cardinality(late), 0) <= 10000 THEN  -- with more, vacuum has to do
    EXECUTE format('TRUNCATE store.%I', raw);
    EXECUTE format('INSERT INTO store.%I SELECT * FROM unnest($1)', raw) USING late;
  END IF;
  UPDATE store.packing SET state = 'packed', finished_at = clock_timestamp() WHERE day = for_day;
END $$;

-- --- what people read: both branches join by themselves, so that a condition on a device reaches the index of each

CREATE OR REPLACE VIEW vedette.report AS
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

CREATE OR REPLACE VIEW vedette.sample AS
SELECT r.time, r.received, r.device, d.credential, r.publisher, r.boot, r.sequence, m.name AS metric, mm.kind, mm.unit,
       r.values[p.place] AS value, r.texts[p.place] AS text
FROM store.report r
JOIN store.device d ON d.id = r.device
JOIN store.metric_set s ON s.device = r.device AND s.set = r.set
CROSS JOIN LATERAL unnest(s.metrics) WITH ORDINALITY AS p(metric, place)
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

-- --- retention: a day's chunks go with it (housekeep, 0010), and the rows of a model

CREATE OR REPLACE FUNCTION store.prune_models() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
  rule record;
  since timestamptz;
  past timestamptz;
  devices integer[];
BEGIN
  FOR rule IN SELECT o.model, o.class, o.keep, o.done_to, p.parent FROM store.model_retention o JOIN store.partitioned p ON p.class = o.class
  LOOP
    past := date_trunc('day', now() - rule.keep);
    since := greatest(rule.done_to, '2000-01-01');  -- before it, clocks were never set: that goes by receipt
    devices := ARRAY(SELECT id FROM store.device WHERE model = rule.model);
    IF rule.parent = 'report' THEN
      PERFORM store.note_gone(since, past, devices);
    END IF;
    EXECUTE format('DELETE FROM store.%I WHERE time >= $1 AND time < $2 AND device = ANY ($3)', rule.parent) USING since, past, devices;
    IF rule.parent = 'report' THEN
      DELETE FROM store.packed p WHERE p.first >= since AND p.first < past AND p.device = ANY (devices);
    END IF;
  END LOOP;
  UPDATE store.model_retention o SET done_to = date_trunc('day', now() - o.keep) WHERE o.done_to < date_trunc('day', now() - o.keep);
END $$;

CREATE OR REPLACE VIEW store.receipt AS
SELECT r.device, r.publisher, r.batch, r.received, r.size, r.time, r.received AS received_last FROM store.report r
UNION ALL
SELECT u.device, u.publisher, u.batch, u.received, u.size, u.chunk_first, u.chunk_received_last FROM store.unpacked u;

-- What the chunks of a day take, with their indexes.
CREATE FUNCTION store.packed_bytes(for_day date) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT pg_total_relation_size(to_regclass('store.' || to_char(for_day, '"packed_"YYYYMMDD')))
$$;

-- How far compression is, a row a day. ratio: bytes before for one now, with all indexes.
CREATE VIEW vedette.compression AS
SELECT p.day, p.state, p.reports, p.samples, greatest(p.expected, p.reports) AS expected, p.bytes_before, s.bytes,
       CASE WHEN p.state = 'packed' THEN p.bytes_before::double precision / nullif(s.bytes, 0) END AS ratio,
       s.bytes::double precision / nullif(p.samples, 0) AS bytes_a_sample, p.started_at, p.finished_at
FROM store.packing p
CROSS JOIN LATERAL (SELECT store.packed_bytes(p.day) AS bytes) s
WHERE s.bytes IS NOT NULL;

REVOKE ALL ON FUNCTION store.unpack_integers, store.unpack_values, store.packed_bytes, store.known_reports, store.refuse_packed, store.settled_before, store.next_packing, store.make_packed, store.take_raw,
  store.key_of, store.finish_packing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.unpack_integers, store.unpack_values TO vedette_console, vedette_grafana, vedette_analysis, vedette_ingest;
GRANT EXECUTE ON FUNCTION store.packed_bytes TO vedette_console, vedette_grafana;
GRANT EXECUTE ON FUNCTION store.known_reports TO vedette_ingest;
GRANT EXECUTE ON FUNCTION store.next_packing, store.take_raw, store.finish_packing TO vedette_keeper;
GRANT SELECT ON store.report TO vedette_keeper;
GRANT INSERT ON store.packed TO vedette_keeper;
GRANT SELECT ON vedette.compression TO vedette_console, vedette_grafana;
