-- As before (0013), but the three parts are put together by grouping and not by joins: of hours with many devices the planner expects one row (it
-- cannot know how many reports have no marks), and joins that row by row.
CREATE OR REPLACE FUNCTION store.hours_of(devices integer[], start timestamptz)
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
    GROUP BY f.device, f.metric),
  part (device, metric, count, min, max, sum, squares, last, keys, counts, slots, five_mean, five_min, five_max) AS (
    SELECT t.device, t.metric, t.count, t.min, t.max, t.sum, t.squares, t.last, NULL::integer[], NULL::integer[],
           NULL::smallint[], NULL::double precision[], NULL::double precision[], NULL::double precision[] FROM stat t
    UNION ALL
    SELECT k.device, k.metric, NULL, NULL, NULL, NULL, NULL, NULL, k.keys, k.counts, NULL, NULL, NULL, NULL FROM sketch k
    UNION ALL
    SELECT f.device, f.metric, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, f.slots, f.mean, f.min, f.max FROM five f)
  SELECT p.device, p.metric, max(p.count), max(p.min), max(p.max), max(p.sum), max(p.squares), max(p.last), max(p.keys), max(p.counts),
         max(p.slots), max(p.five_mean), max(p.five_min), max(p.five_max)  -- each of one row
  FROM part p GROUP BY p.device, p.metric;
END $$;
