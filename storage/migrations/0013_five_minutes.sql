-- Five minutes, the width of a point that panels of some hours to some days ask for; rollups made of many devices at a time; and functions that
-- the planner sees through (docs/performance.md).
CREATE TABLE store.five (
  time    timestamptz NOT NULL,               -- start of an hour
  device  integer NOT NULL,
  metric  integer NOT NULL,
  slots   smallint[] NOT NULL,                -- which of its twelve times five minutes have samples, from 0; and of each …
  mean    double precision[] NOT NULL,
  min     double precision[] NOT NULL,
  max     double precision[] NOT NULL
) PARTITION BY RANGE (time);
CREATE UNIQUE INDEX five_key ON store.five (device, metric, time);
CREATE TABLE store.five_default PARTITION OF store.five DEFAULT;
INSERT INTO store.retention VALUES ('detail', '8 days', 'five minutes of metrics, for panels of hours to days');
INSERT INTO store.partitioned (parent, unit, ahead, class) VALUES ('five', 'day', '3 days', 'detail');

-- As before (0012), but not STRICT: such a function is not put in place of its call.
CREATE OR REPLACE FUNCTION store.bucket(value double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN abs(value) < 1e-300 THEN 0
              ELSE sign(value)::integer * (40000 + ceil(ln(abs(value)) / 0.020000666706669435)::integer) END
$$;
CREATE OR REPLACE FUNCTION store.tame(value double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN value > 1e290 THEN 'infinity' WHEN value < -1e290 THEN '-infinity' ELSE value END
$$;
CREATE OR REPLACE FUNCTION store.square(value double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN abs(value) > 1e145 THEN 'infinity' WHEN abs(value) < 1e-145 THEN 0 ELSE value * value END
$$;

-- The samples of devices from one time to another, wherever they are. Those with good clocks, or clocks behind. `day` is the start of the day
-- (UTC) of `since`, from the caller: the planner leaves other days' partitions out where times are constants to it.
CREATE FUNCTION store.samples_of(devices integer[], since timestamptz, past timestamptz, day timestamptz)
RETURNS TABLE (device integer, metric integer, "time" timestamptz, publisher integer, boot bigint, sequence bigint, value double precision)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT r.device, p.metric, r.time, r.publisher, r.boot, r.sequence, p.value
  FROM store.report r
  JOIN store.metric_set s ON s.device = r.device AND s.set = r.set
  CROSS JOIN LATERAL unnest(s.metrics, r.values) AS p(metric, value)
  WHERE r.device = ANY (devices) AND r.time >= since AND r.time < past AND r.marks & 6 = 0 AND p.value IS NOT NULL
  UNION ALL
  SELECT c.device, p.metric, t.time, c.publisher, a.boot[k], a.sequence[k], v.value[k]
  FROM store.packed c
  JOIN store.metric_set s ON s.device = c.device AND s.set = c.set
  CROSS JOIN LATERAL (SELECT store.unpack_integers(c.time, c.count) AS time, store.unpack_integers(c.boot, c.count) AS boot,
                             store.unpack_integers(c.sequence, c.count) AS sequence, store.unpack_integers(c.marks, c.count) AS marks OFFSET 0) a
  CROSS JOIN LATERAL unnest(s.metrics) WITH ORDINALITY AS p(metric, place)
  CROSS JOIN LATERAL (SELECT store.unpack_values(c.values[p.place], c.count) AS value OFFSET 0) v
  CROSS JOIN LATERAL generate_series(1, c.count) AS k
  CROSS JOIN LATERAL (SELECT to_timestamp(a.time[k] / 1e6::double precision) AS time) t
  WHERE c.device = ANY (devices) AND c.first >= day AND c.first < past AND c.last >= since
    AND t.time >= since AND t.time < past AND a.marks[k] & 6 = 0 AND v.value[k] IS NOT NULL
$$;

-- What the rollups of an hour are, from the reports, in an order that is the same every time: metrics of devices. slots to five_max: the parts
-- of five minutes, see store.five.
CREATE FUNCTION store.hours_of(devices integer[], start timestamptz)
RETURNS TABLE (device integer, metric integer, count integer, min double precision, max double precision, sum double precision,
               squares double precision, last double precision, sketch_keys integer[], sketch_counts integer[],
               slots smallint[], five_mean double precision[], five_min double precision[], five_max double precision[])
LANGUAGE plpgsql STABLE ROWS 1000 SECURITY DEFINER SET search_path = pg_catalog SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  day timestamptz := date_trunc('day', start, 'UTC');
  past timestamptz := start + interval '1 hour';
BEGIN
  RETURN QUERY
  WITH sample AS MATERIALIZED (
    SELECT s.device, s.metric, s.value, floor(extract(epoch FROM s.time - start) / 300)::smallint AS slot
    FROM store.samples_of(devices, start, past, day) s
    ORDER BY s.device, s.metric, s.time, s.publisher, s.boot, s.sequence),
  stat AS (
    SELECT s.device, s.metric, count(*)::integer AS count, min(s.value) AS min, max(s.value) AS max, sum(store.tame(s.value)) AS sum,
           sum(store.square(s.value)) AS squares, (array_agg(s.value))[count(*)] AS last
    FROM sample s GROUP BY s.device, s.metric),
  sketch AS (
    SELECT b.device, b.metric, array_agg(b.key ORDER BY b.key) AS keys, array_agg(b.count ORDER BY b.key) AS counts
    FROM (SELECT s.device, s.metric, store.bucket(s.value) AS key, count(*)::integer AS count FROM sample s GROUP BY 1, 2, 3) b
    GROUP BY b.device, b.metric),
  five AS (
    SELECT f.device, f.metric, array_agg(f.slot ORDER BY f.slot) AS slots, array_agg(f.mean ORDER BY f.slot) AS mean,
           array_agg(f.min ORDER BY f.slot) AS min, array_agg(f.max ORDER BY f.slot) AS max
    FROM (SELECT s.device, s.metric, s.slot, avg(store.tame(s.value)) AS mean, min(s.value) AS min, max(s.value) AS max
          FROM sample s GROUP BY 1, 2, 3) f
    GROUP BY f.device, f.metric)
  SELECT t.device, t.metric, t.count, t.min, t.max, t.sum, t.squares, t.last, k.keys, k.counts, f.slots, f.mean, f.min, f.max
  FROM stat t JOIN sketch k ON k.device = t.device AND k.metric = t.metric JOIN five f ON f.device = t.device AND f.metric = t.metric;
END $$;

-- Of one device; for views, which run functions with the rights of whoever looks.
CREATE OR REPLACE FUNCTION store.hour_of(for_device integer, start timestamptz)
RETURNS TABLE (metric integer, count integer, min double precision, max double precision, sum double precision, squares double precision,
               last double precision, sketch_keys integer[], sketch_counts integer[])
LANGUAGE sql STABLE ROWS 10 SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT o.metric, o.count, o.min, o.max, o.sum, o.squares, o.last, o.sketch_keys, o.sketch_counts FROM store.hours_of(ARRAY[for_device], start) o
$$;
DROP FUNCTION store.samples;

-- Writes the rollups of one hour of these devices.
CREATE FUNCTION store.roll_up_hour(devices integer[], start timestamptz) RETURNS void
LANGUAGE sql SET search_path = pg_catalog AS $$
  WITH made AS MATERIALIZED (
    SELECT o.*, (sum(cardinality(o.sketch_keys)) OVER (PARTITION BY o.device ORDER BY o.metric))::integer AS place
    FROM store.hours_of(devices, start) o),
  sketch AS (
    SELECT m.device, array_agg(k.key ORDER BY m.metric, k.place) AS keys, array_agg(k.count ORDER BY m.metric, k.place) AS counts
    FROM made m CROSS JOIN LATERAL unnest(m.sketch_keys, m.sketch_counts) WITH ORDINALITY AS k(key, count, place) GROUP BY 1),
  fresh AS (
    SELECT m.device, array_agg(m.metric ORDER BY m.metric) AS metrics, array_agg(m.count ORDER BY m.metric) AS counts,
           array_agg(m.min ORDER BY m.metric) AS min, array_agg(m.max ORDER BY m.metric) AS max,
           array_agg(m.sum ORDER BY m.metric) AS sums, array_agg(m.squares ORDER BY m.metric) AS squares,
           array_agg(m.last ORDER BY m.metric) AS lasts, array_agg(m.place ORDER BY m.metric) AS sketch_ends
    FROM made m GROUP BY 1),
  -- An hour without reports has no rollup, unless its reports went by age.
  kept AS (
    SELECT d.id FROM store.device d WHERE d.id = ANY (devices) AND start >= now() - store.keep_us(d.model) * interval '1 microsecond'),
  gone AS (
    DELETE FROM store.hour h USING kept k WHERE h.device = k.id AND h.time = start
      AND NOT EXISTS (SELECT FROM fresh f WHERE f.device = h.device)),
  gone_five AS (
    DELETE FROM store.five h USING kept k WHERE h.device = k.id AND h.time = start
      AND NOT EXISTS (SELECT FROM made f WHERE f.device = h.device AND f.metric = h.metric)),
  written_five AS (
    INSERT INTO store.five (time, device, metric, slots, mean, min, max)
    SELECT start, m.device, m.metric, m.slots, m.five_mean, m.five_min, m.five_max FROM made m
    WHERE start >= now() - store.longest('detail')  -- older ones would lie in no partition, and stay
    ON CONFLICT (device, metric, time) DO UPDATE SET slots = excluded.slots, mean = excluded.mean, min = excluded.min, max = excluded.max)
  INSERT INTO store.hour (time, device, metrics, counts, min, max, sums, squares, lasts, sketch_ends, sketch_keys, sketch_counts)
  SELECT start, f.device, f.metrics, f.counts, f.min, f.max, f.sums, f.squares, f.lasts, f.sketch_ends, k.keys, k.counts
  FROM fresh f JOIN sketch k ON k.device = f.device
  ON CONFLICT (device, time) DO UPDATE SET metrics = excluded.metrics, counts = excluded.counts, min = excluded.min,
    max = excluded.max, sums = excluded.sums, squares = excluded.squares, lasts = excluded.lasts, sketch_ends = excluded.sketch_ends,
    sketch_keys = excluded.sketch_keys, sketch_counts = excluded.sketch_counts
$$;

-- Makes rollups of hours that are over for ten minutes, the oldest first, at most so many of devices; returns how many were made. Hours that
-- others are at are left out.
CREATE OR REPLACE FUNCTION store.roll_up(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  done integer := 0;
  start timestamptz;
  devices integer[];
BEGIN
  WHILE done < at_most LOOP
    SELECT x.hour INTO start FROM store.stale x WHERE x.hour < now() - interval '70 minutes' ORDER BY x.hour LIMIT 1 FOR UPDATE SKIP LOCKED;
    EXIT WHEN start IS NULL;
    WITH taken AS (
      DELETE FROM store.stale s USING (
        SELECT x.device FROM store.stale x WHERE x.hour = start ORDER BY x.device LIMIT at_most - done FOR UPDATE SKIP LOCKED) t
      WHERE s.device = t.device AND s.hour = start RETURNING s.device)
    SELECT array_agg(t.device) INTO devices FROM taken t;
    PERFORM store.roll_up_hour(devices, start);
    done := done + cardinality(devices);
  END LOOP;
  RETURN done;
END $$;

-- --- what people read

-- As before (0012). Few devices have more than one metric set: that a newer one has the metric is looked for, not sorted out.
CREATE OR REPLACE VIEW vedette.latest AS
SELECT l.device, d.credential, m.name AS metric, mm.unit, l.time, p.value, l.texts[p.place] AS text
FROM store.latest l
JOIN store.device d ON d.id = l.device
JOIN store.metric_set s ON s.device = l.device AND s.set = l.set
CROSS JOIN LATERAL unnest(s.metrics, l.values) WITH ORDINALITY AS p(metric, value, place)
JOIN store.metric m ON m.id = p.metric
LEFT JOIN store.model_metric mm ON mm.model = d.model AND mm.metric = p.metric
WHERE NOT EXISTS (SELECT FROM store.latest n JOIN store.metric_set t ON t.device = n.device AND t.set = n.set
                  WHERE n.device = l.device AND (n.time, n.set) > (l.time, l.set) AND p.metric = ANY (t.metrics));

-- Three ways to make a series of points `width` wide; vedette.series chooses. Each keeps one plan for all calls: to plan costs more than to
-- read, and which partitions are not needed shows when it runs.
CREATE FUNCTION store.series_of_reports(this integer, wanted integer, since timestamptz, until timestamptz, width interval)
RETURNS TABLE ("time" timestamptz, value double precision, min double precision, max double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  day timestamptz := date_trunc('day', since, 'UTC');
BEGIN
  RETURN QUERY
  SELECT CASE count(*) WHEN 1 THEN min(s.time) ELSE date_bin(width, min(s.time), since) + width / 2 END,
         avg(store.tame(s.value)), min(s.value), max(s.value)
  FROM store.samples_of(ARRAY[this], since, until, day) s WHERE s.metric = wanted GROUP BY date_bin(width, s.time, since) ORDER BY 1;
END $$;

-- Hours of a device that have no rollup, or not the right one.
CREATE FUNCTION store.stale_hours(this integer, since timestamptz, until timestamptz) RETURNS timestamptz[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
  RETURN ARRAY(SELECT x.hour FROM store.stale x WHERE x.device = this AND x.hour >= date_trunc('hour', since, 'UTC') AND x.hour < until);
END $$;

CREATE FUNCTION store.series_of_fives(this integer, wanted integer, since timestamptz, until timestamptz, width interval)
RETURNS TABLE ("time" timestamptz, value double precision, min double precision, max double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  first timestamptz := date_trunc('hour', since, 'UTC');
  stale timestamptz[] := store.stale_hours(this, since, until);
  origin timestamptz := CASE width WHEN interval '5 minutes' THEN date_bin(width, since, first) ELSE since END;
BEGIN
  RETURN QUERY
  SELECT date_bin(width, f.time, origin) + width / 2, avg(f.mean), min(f.min), max(f.max)
  FROM (SELECT h.time + h.slots[k] * interval '5 minutes' AS time, h.mean[k] AS mean, h.min[k] AS min, h.max[k] AS max
        FROM store.five h CROSS JOIN LATERAL generate_series(1, cardinality(h.slots)) AS k
        WHERE h.device = this AND h.metric = wanted AND h.time >= first AND h.time < until AND h.time <> ALL (stale)
        UNION ALL
        SELECT date_bin('5 minutes', u.time, x.hour), u.value, u.min, u.max
        FROM unnest(stale) AS x(hour) CROSS JOIN LATERAL store.series_of_reports(this, wanted, x.hour, x.hour + interval '1 hour', '5 minutes') AS u) f
  WHERE f.time >= since AND f.time < until GROUP BY date_bin(width, f.time, origin) ORDER BY 1;
END $$;

CREATE FUNCTION store.series_of_hours(this integer, wanted integer, since timestamptz, until timestamptz, width interval)
RETURNS TABLE ("time" timestamptz, value double precision, min double precision, max double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  stale timestamptz[] := store.stale_hours(this, since, until);
BEGIN
  RETURN QUERY
  SELECT date_bin(width, h.time, since) + width / 2, sum(h.sum) / sum(h.count), min(h.min), max(h.max)
  FROM (SELECT h.time, h.sums[a.at] AS sum, h.counts[a.at] AS count, h.min[a.at] AS min, h.max[a.at] AS max
        FROM store.hour h
        CROSS JOIN LATERAL (SELECT array_position(h.metrics, wanted) AS at OFFSET 0) a
        WHERE h.device = this AND h.time >= since AND h.time < until AND a.at IS NOT NULL AND h.time <> ALL (stale)
        UNION ALL
        SELECT x.hour, u.sum, u.count, u.min, u.max
        FROM unnest(stale) AS x(hour) CROSS JOIN LATERAL store.hour_of(this, x.hour) AS u
        WHERE u.metric = wanted AND x.hour >= since) h
  GROUP BY date_bin(width, h.time, since) ORDER BY 1;
END $$;

-- One metric of a device as at most so many points, for a panel: the mean of each, and its extremes. Made from rollups of an hour or of five
-- minutes where a point is half as wide or wider, else from the reports; hours that are not rolled up yet always from the reports. One plan for
-- all calls: to plan costs more than to read, and what partitions are not needed shows when it runs.
CREATE OR REPLACE FUNCTION vedette.series(for_credential text, for_metric text, since timestamptz, until timestamptz, points integer DEFAULT 500)
RETURNS TABLE ("time" timestamptz, value double precision, min double precision, max double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  this integer := (SELECT d.id FROM store.device d WHERE d.credential = for_credential AND d.life <> 'erased');
  wanted integer := (SELECT m.id FROM store.metric m WHERE m.name = for_metric);
  width interval := greatest((until - since) / least(greatest(points, 1), 10000), interval '1 microsecond');
  first timestamptz := date_trunc('hour', since, 'UTC');
BEGIN
  IF width < interval '150 seconds' OR since < now() - store.longest('detail') AND width < interval '30 minutes' THEN
    RETURN QUERY SELECT * FROM store.series_of_reports(this, wanted, since, until, width);
  ELSIF width <= interval '5 minutes' AND NOT EXISTS (SELECT FROM store.stale x WHERE x.device = this AND x.hour >= first AND x.hour < until) THEN
    -- As series_of_fives does it, without adding up, for the panel that is asked for most: a call takes as long as the rest.
    RETURN QUERY
    SELECT h.time + h.slots[k] * interval '5 minutes' + interval '150 seconds', h.mean[k], h.min[k], h.max[k]
    FROM store.five h CROSS JOIN LATERAL generate_series(1, cardinality(h.slots)) AS k
    WHERE h.device = this AND h.metric = wanted AND h.time >= first AND h.time < until
      AND (h.time >= since AND h.time < until - interval '55 minutes'
           OR h.time + h.slots[k] * interval '5 minutes' >= since AND h.time + h.slots[k] * interval '5 minutes' < until)
    ORDER BY 1;
  ELSIF width < interval '30 minutes' THEN
    RETURN QUERY SELECT * FROM store.series_of_fives(this, wanted, since, until, greatest(width, interval '5 minutes'));
  ELSE
    RETURN QUERY SELECT * FROM store.series_of_hours(this, wanted, since, until, greatest(width, interval '1 hour'));
  END IF;
END $$;

REVOKE ALL ON FUNCTION store.samples_of, store.hours_of, store.roll_up_hour, store.series_of_reports, store.stale_hours, store.series_of_fives,
  store.series_of_hours FROM PUBLIC;

-- The parts of five minutes of what is rolled up already are made by and by.
INSERT INTO store.stale (device, hour)
SELECT h.device, h.time FROM store.hour h JOIN store.device d ON d.id = h.device
WHERE h.time >= now() - least(store.keep_us(d.model) * interval '1 microsecond', store.longest('detail')) + interval '1 day' ON CONFLICT DO NOTHING;
SELECT store.housekeep();
