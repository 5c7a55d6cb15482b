-- The newest report of each metric set of a device, and rollups of hours. Analysis notes, in the transaction that advances its cursor, what
-- its batches brought; the keeper makes the rollups of hours that are over, from the reports, in their order: so a late report, a repeat or an
-- erasure needs no case of its own, the hour is made anew.
CREATE TABLE store.latest (
  device  integer NOT NULL,
  set     smallint NOT NULL,
  time    timestamptz NOT NULL,
  values  double precision[],
  texts   text[],
  PRIMARY KEY (device, set)
) WITH (fillfactor = 50);

-- Hours whose rollup is not made, or is no longer right.
CREATE TABLE store.stale (
  device  integer NOT NULL,
  hour    timestamptz NOT NULL,            -- its start
  PRIMARY KEY (device, hour)
);
CREATE INDEX stale_hour ON store.stale (hour);

-- Arrays of one length, metric by metric. Reports whose clock is ahead, or was never set, are not in it.
CREATE TABLE store.hour (
  time          timestamptz NOT NULL,      -- start of the hour
  device        integer NOT NULL,
  metrics       integer[] NOT NULL,        -- ascending
  counts        integer[] NOT NULL,
  min         double precision[] NOT NULL,
  max          double precision[] NOT NULL,
  sums          double precision[] NOT NULL,
  squares       double precision[] NOT NULL,   -- sums of squares
  lasts         double precision[] NOT NULL,
  sketch_ends   integer[] NOT NULL,        -- place in the next two at which the metric's part ends
  sketch_keys   integer[] NOT NULL,        -- buckets of its values …
  sketch_counts integer[] NOT NULL         -- … and how many are in each
) PARTITION BY RANGE (time);
CREATE UNIQUE INDEX hour_key ON store.hour (device, time);
CREATE TABLE store.hour_default PARTITION OF store.hour DEFAULT;
INSERT INTO store.partitioned (parent, unit, ahead, class) VALUES ('hour', 'month', '1 month', 'rollup');

-- --- quantile sketches: DDSketch (Masson, Rim, Lee: DDSketch, VLDB 2019), relative error 1 %: bucket k holds values of (g^(k-1), g^k] with
-- g = 1.01 / 0.99. Positive values have keys above 0, by 40000 + k, negative ones below, zero is 0. Sketches merge by adding counts.
CREATE FUNCTION store.bucket(value double precision) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN abs(value) < 1e-300 THEN 0
              ELSE sign(value)::integer * (40000 + ceil(ln(abs(value)) / 0.020000666706669435)::integer) END
$$;
-- The value that stands for a bucket.
CREATE FUNCTION store.bucket_value(key integer) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE key WHEN 0 THEN 0.0::double precision
              ELSE sign(key) * exp((abs(key) - 40000) * 0.020000666706669435) * 0.99 END
$$;

-- Sums of doubles can overflow, which is an error: what is beyond any measurement counts as infinite.
CREATE FUNCTION store.tame(value double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN value > 1e290 THEN 'infinity' WHEN value < -1e290 THEN '-infinity' ELSE value END
$$;
CREATE FUNCTION store.square(value double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN abs(value) > 1e145 THEN 'infinity' WHEN abs(value) < 1e-145 THEN 0 ELSE value * value END
$$;

-- The samples of a device from one time to another, wherever they are. Those with good clocks, or clocks behind.
CREATE FUNCTION store.samples(for_device integer, since timestamptz, past timestamptz)
RETURNS TABLE (metric integer, "time" timestamptz, publisher integer, boot bigint, sequence bigint, value double precision)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT p.metric, r.time, r.publisher, r.boot, r.sequence, p.value
  FROM store.report r
  JOIN store.metric_set s ON s.device = r.device AND s.set = r.set
  CROSS JOIN LATERAL unnest(s.metrics, r.values) AS p(metric, value)
  WHERE r.device = for_device AND r.time >= since AND r.time < past AND r.marks & 6 = 0 AND p.value IS NOT NULL
  UNION ALL
  SELECT p.metric, t.time, c.publisher, a.boot[k], a.sequence[k], v.value[k]
  FROM store.packed c
  JOIN store.metric_set s ON s.device = c.device AND s.set = c.set
  CROSS JOIN LATERAL (SELECT store.unpack_integers(c.time, c.count) AS time, store.unpack_integers(c.boot, c.count) AS boot,
                             store.unpack_integers(c.sequence, c.count) AS sequence, store.unpack_integers(c.marks, c.count) AS marks OFFSET 0) a
  CROSS JOIN LATERAL unnest(s.metrics) WITH ORDINALITY AS p(metric, place)
  CROSS JOIN LATERAL (SELECT store.unpack_values(c.values[p.place], c.count) AS value OFFSET 0) v
  CROSS JOIN LATERAL generate_series(1, c.count) AS k
  CROSS JOIN LATERAL (SELECT to_timestamp(a.time[k] / 1e6::double precision) AS time) t
  WHERE c.device = for_device AND c.first >= date_trunc('day', since, 'UTC') AND c.first < past AND c.last >= since
    AND t.time >= since AND t.time < past AND a.marks[k] & 6 = 0 AND v.value[k] IS NOT NULL
$$;

-- What the rollup of an hour is, from the reports, in an order that is the same every time.
CREATE FUNCTION store.hour_of(for_device integer, start timestamptz)
RETURNS TABLE (metric integer, count integer, min double precision, max double precision, sum double precision, squares double precision,
               last double precision, sketch_keys integer[], sketch_counts integer[])
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10 SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH sample AS MATERIALIZED (SELECT * FROM store.samples(for_device, start, start + interval '1 hour')),
  stat AS (
    SELECT s.metric, count(*)::integer AS count, min(s.value) AS min, max(s.value) AS max, sum(store.tame(s.value)) AS sum,
           sum(store.square(s.value)) AS squares, (array_agg(s.value))[count(*)] AS last
    FROM (SELECT * FROM sample ORDER BY metric, time, publisher, boot, sequence) s GROUP BY s.metric),
  sketch AS (
    SELECT b.metric, array_agg(b.key ORDER BY b.key) AS keys, array_agg(b.count ORDER BY b.key) AS counts
    FROM (SELECT s.metric, store.bucket(s.value) AS key, count(*)::integer AS count FROM sample s GROUP BY 1, 2) b GROUP BY b.metric)
  SELECT t.metric, t.count, t.min, t.max, t.sum, t.squares, t.last, k.keys, k.counts
  FROM stat t JOIN sketch k ON k.metric = t.metric
$$;

-- Notes what batches brought; analysis calls it in the transaction that advances its cursor.
CREATE FUNCTION store.note_batches(keys bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO store.stale (device, hour)
  SELECT DISTINCT r.device, date_trunc('hour', r.time, 'UTC') FROM store.report r
  WHERE r.batch = ANY (keys) AND r.set > 0 AND r.marks & 6 = 0 ORDER BY 1, 2
  ON CONFLICT DO NOTHING;
  INSERT INTO store.latest AS l (device, set, time, values, texts)
  SELECT DISTINCT ON (r.device, r.set) r.device, r.set, r.time, r.values, r.texts FROM store.report r
  WHERE r.batch = ANY (keys) AND r.set > 0 AND r.marks & 6 = 0 ORDER BY r.device, r.set, r.time DESC, r.publisher, r.boot DESC, r.sequence DESC
  ON CONFLICT (device, set) DO UPDATE SET time = excluded.time, values = excluded.values, texts = excluded.texts
  WHERE excluded.time >= l.time;
END $$;

-- Makes rollups of hours that are over for ten minutes, the oldest first, at most so many; returns how many were made. Hours that others
-- are at are left out.
CREATE FUNCTION store.roll_up(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  done integer;
BEGIN
  WITH taken AS (
    DELETE FROM store.stale s USING (
      SELECT x.device, x.hour FROM store.stale x WHERE x.hour < now() - interval '70 minutes'
      ORDER BY x.hour, x.device LIMIT at_most FOR UPDATE SKIP LOCKED) t
    WHERE s.device = t.device AND s.hour = t.hour RETURNING s.device, s.hour),
  made AS MATERIALIZED (SELECT t.device, t.hour, o.* FROM taken t CROSS JOIN LATERAL store.hour_of(t.device, t.hour) AS o),
  sketch AS (
    SELECT m.device, m.hour, array_agg(k.key ORDER BY m.metric, k.place) AS keys, array_agg(k.count ORDER BY m.metric, k.place) AS counts
    FROM made m CROSS JOIN LATERAL unnest(m.sketch_keys, m.sketch_counts) WITH ORDINALITY AS k(key, count, place) GROUP BY 1, 2),
  fresh AS (
    SELECT m.device, m.hour, array_agg(m.metric ORDER BY m.metric) AS metrics, array_agg(m.count ORDER BY m.metric) AS counts,
           array_agg(m.min ORDER BY m.metric) AS min, array_agg(m.max ORDER BY m.metric) AS max,
           array_agg(m.sum ORDER BY m.metric) AS sums, array_agg(m.squares ORDER BY m.metric) AS squares,
           array_agg(m.last ORDER BY m.metric) AS lasts, array_agg(m.place ORDER BY m.metric) AS sketch_ends
    FROM (SELECT x.*, (sum(cardinality(x.sketch_keys)) OVER (PARTITION BY x.device, x.hour ORDER BY x.metric))::integer AS place FROM made x) m
    GROUP BY 1, 2),
  gone AS (
    -- An hour without reports has no rollup, unless its reports went by age.
    DELETE FROM store.hour h USING taken t, store.device d WHERE h.device = t.device AND h.time = t.hour AND d.id = t.device
      AND t.hour >= now() - store.keep_us(d.model) * interval '1 microsecond'
      AND NOT EXISTS (SELECT FROM fresh f WHERE f.device = t.device AND f.hour = t.hour)),
  written AS (
    INSERT INTO store.hour (time, device, metrics, counts, min, max, sums, squares, lasts, sketch_ends, sketch_keys, sketch_counts)
    SELECT f.hour, f.device, f.metrics, f.counts, f.min, f.max, f.sums, f.squares, f.lasts, f.sketch_ends, k.keys, k.counts
    FROM fresh f JOIN sketch k ON k.device = f.device AND k.hour = f.hour
    ON CONFLICT (device, time) DO UPDATE SET metrics = excluded.metrics, counts = excluded.counts, min = excluded.min,
      max = excluded.max, sums = excluded.sums, squares = excluded.squares, lasts = excluded.lasts, sketch_ends = excluded.sketch_ends,
      sketch_keys = excluded.sketch_keys, sketch_counts = excluded.sketch_counts)
  SELECT count(*) INTO done FROM taken;
  RETURN done;
END $$;

-- --- what people read

CREATE OR REPLACE VIEW vedette.latest AS
SELECT DISTINCT ON (l.device, p.metric) l.device, d.credential, m.name AS metric, mm.unit, l.time, p.value, l.texts[p.place] AS text
FROM store.latest l
JOIN store.device d ON d.id = l.device
JOIN store.metric_set s ON s.device = l.device AND s.set = l.set
CROSS JOIN LATERAL unnest(s.metrics, l.values) WITH ORDINALITY AS p(metric, value, place)
JOIN store.metric m ON m.id = p.metric
LEFT JOIN store.model_metric mm ON mm.model = d.model AND mm.metric = p.metric
ORDER BY l.device, p.metric, l.time DESC;

-- Hours of metrics. What is not rolled up yet, or no longer right, is made from the reports.
CREATE VIEW vedette.hour AS
SELECT h.time, h.device, d.credential, m.name AS metric, mm.unit, u.count, u.min, u.max, u.sum / u.count AS mean, u.last, u.sum, u.squares
FROM store.hour h
JOIN store.device d ON d.id = h.device
CROSS JOIN LATERAL unnest(h.metrics, h.counts, h.min, h.max, h.sums, h.squares, h.lasts) AS u(metric, count, min, max, sum, squares, last)
JOIN store.metric m ON m.id = u.metric
LEFT JOIN store.model_metric mm ON mm.model = d.model AND mm.metric = u.metric
WHERE NOT EXISTS (SELECT FROM store.stale x WHERE x.device = h.device AND x.hour = h.time)
UNION ALL
SELECT x.hour, x.device, d.credential, m.name, mm.unit, u.count, u.min, u.max, u.sum / u.count, u.last, u.sum, u.squares
FROM store.stale x
JOIN store.device d ON d.id = x.device
CROSS JOIN LATERAL store.hour_of(x.device, x.hour) AS u
JOIN store.metric m ON m.id = u.metric
LEFT JOIN store.model_metric mm ON mm.model = d.model AND mm.metric = u.metric;

-- One metric of a device as about so many points, for a panel: the mean of each, and its extremes. Where a point is an hour or more it is made
-- from rollups, else from the reports.
CREATE FUNCTION vedette.series(for_credential text, for_metric text, since timestamptz, until timestamptz, points integer DEFAULT 500)
RETURNS TABLE ("time" timestamptz, value double precision, min double precision, max double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
  this integer := (SELECT d.id FROM store.device d WHERE d.credential = for_credential AND d.life <> 'erased');
  wanted integer := (SELECT m.id FROM store.metric m WHERE m.name = for_metric);
  width interval := greatest((until - since) / least(greatest(points, 1), 10000), interval '1 microsecond');
BEGIN
  IF width < interval '1 hour' THEN
    RETURN QUERY
    SELECT CASE count(*) WHEN 1 THEN min(s.time) ELSE date_bin(width, min(s.time), since) + width / 2 END,
           avg(store.tame(s.value)), min(s.value), max(s.value)
    FROM store.samples(this, since, until) s WHERE s.metric = wanted GROUP BY date_bin(width, s.time, since) ORDER BY 1;
  ELSE
    RETURN QUERY
    SELECT date_bin(width, h.time, since) + width / 2, sum(h.sum) / sum(h.count), min(h.min), max(h.max)
    FROM (SELECT h.time, u.sum, u.count, u.min, u.max
          FROM store.hour h
          CROSS JOIN LATERAL unnest(h.metrics, h.counts, h.min, h.max, h.sums) AS u(metric, count, min, max, sum)
          WHERE h.device = this AND h.time >= since AND h.time < until AND u.metric = wanted
            AND NOT EXISTS (SELECT FROM store.stale x WHERE x.device = h.device AND x.hour = h.time)
          UNION ALL
          SELECT x.hour, u.sum, u.count, u.min, u.max
          FROM store.stale x CROSS JOIN LATERAL store.hour_of(x.device, x.hour) AS u
          WHERE x.device = this AND x.hour >= since AND x.hour < until AND u.metric = wanted) h
    GROUP BY date_bin(width, h.time, since) ORDER BY 1;
  END IF;
END $$;

-- Quantiles of a metric of a device over whole hours, merged from their sketches: each within 1 % of a value that has that rank.
CREATE FUNCTION vedette.quantiles(for_credential text, for_metric text, since timestamptz, until timestamptz, fractions double precision[])
RETURNS TABLE (fraction double precision, value double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH this AS (SELECT d.id FROM store.device d WHERE d.credential = for_credential AND d.life <> 'erased'),
  wanted AS (SELECT m.id FROM store.metric m WHERE m.name = for_metric),
  part AS (
    SELECT h.sketch_keys[u.place] AS key, h.sketch_counts[u.place] AS count
    FROM store.hour h
    CROSS JOIN LATERAL (SELECT array_position(h.metrics, (SELECT id FROM wanted)) AS at) a
    CROSS JOIN LATERAL generate_series(CASE a.at WHEN 1 THEN 1 ELSE h.sketch_ends[a.at - 1] + 1 END, h.sketch_ends[a.at]) AS u(place)
    WHERE h.device = (SELECT id FROM this) AND h.time >= since AND h.time < until AND a.at IS NOT NULL
      AND NOT EXISTS (SELECT FROM store.stale x WHERE x.device = h.device AND x.hour = h.time)
    UNION ALL
    SELECT k.key, k.count
    FROM store.stale x
    CROSS JOIN LATERAL store.hour_of(x.device, x.hour) AS o
    CROSS JOIN LATERAL unnest(o.sketch_keys, o.sketch_counts) AS k(key, count)
    WHERE x.device = (SELECT id FROM this) AND x.hour >= since AND x.hour < until AND o.metric = (SELECT id FROM wanted)),
  ladder AS (
    SELECT p.key, sum(sum(p.count)) OVER (ORDER BY p.key) AS up_to, sum(sum(p.count)) OVER () AS total FROM part p GROUP BY p.key)
  SELECT f, (SELECT store.bucket_value(l.key) FROM ladder l WHERE l.up_to > floor(f * (l.total - 1)) ORDER BY l.key LIMIT 1)
  FROM unnest(fractions) AS f WHERE f BETWEEN 0 AND 1
$$;

REVOKE ALL ON FUNCTION store.hour_of, store.note_batches, store.roll_up, vedette.series, vedette.quantiles FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.hour_of TO vedette_console, vedette_grafana;
GRANT EXECUTE ON FUNCTION store.note_batches TO vedette_analysis;
GRANT EXECUTE ON FUNCTION store.roll_up TO vedette_keeper;
GRANT EXECUTE ON FUNCTION vedette.series, vedette.quantiles TO vedette_console, vedette_grafana;
GRANT SELECT ON vedette.hour TO vedette_console, vedette_grafana;

-- What is in the store already.
INSERT INTO store.stale (device, hour)
SELECT DISTINCT device, date_trunc('hour', time, 'UTC') FROM store.report WHERE set > 0 AND marks & 6 = 0
UNION
SELECT DISTINCT device, date_trunc('hour', time, 'UTC') FROM store.unpacked WHERE set > 0 AND marks & 6 = 0;
INSERT INTO store.latest (device, set, time, values, texts)
SELECT DISTINCT ON (device, set) device, set, time, values, texts FROM store.report WHERE set > 0 AND marks & 6 = 0
ORDER BY device, set, time DESC;
SELECT store.housekeep();
