-- Who asks for an hour reads an hour (tests/integration/test_scans.py).
CREATE INDEX event_time ON store.event (time);

-- As before (0010). Reports that were received since then lie in the days that batches say they touched, and are of the device or of those that
-- it speaks for.
CREATE OR REPLACE FUNCTION vedette.device_ledger(for_credential text, since timestamptz)
RETURNS TABLE (minute timestamptz, received bigint, stored bigint, duplicate bigint, rejected bigint, shed bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH d AS (SELECT id FROM store.device WHERE credential = for_credential),
  about AS MATERIALIZED (SELECT c.id FROM store.device c JOIN d ON c.id = d.id OR c.gateway = d.id),
  touched AS MATERIALIZED (
    SELECT DISTINCT x.day::timestamp AT TIME ZONE 'UTC' AS start
    FROM store.batch b CROSS JOIN LATERAL unnest(b.days) AS x(day) WHERE b.received_to >= since),
  counts AS (
    SELECT date_trunc('minute', r.received) AS minute, 'stored' AS term, count(*) AS count
    FROM about a CROSS JOIN touched t
    CROSS JOIN LATERAL (
      SELECT x.received FROM store.receipt x
      WHERE x.device = a.id AND x.time >= t.start AND x.time < t.start + interval '1 day' AND x.publisher = (SELECT id FROM d) AND x.size > 0
        AND x.received >= since AND x.received_last >= since OFFSET 0) r  -- day by day, not all days and then those
    GROUP BY 1
    UNION ALL
    SELECT date_trunc('minute', c.received), 'stored', count(*)
    FROM store.connectivity c WHERE c.device = (SELECT id FROM d) AND c.received >= since GROUP BY 1
    UNION ALL
    SELECT l.minute, l.term, l.count FROM store.ledger l WHERE l.device = (SELECT id FROM d) AND l.minute >= since)
  SELECT c.minute, sum(c.count)::bigint, coalesce(sum(c.count) FILTER (WHERE c.term = 'stored'), 0)::bigint,
         coalesce(sum(c.count) FILTER (WHERE c.term = 'duplicate'), 0)::bigint,
         coalesce(sum(c.count) FILTER (WHERE c.term = 'rejected'), 0)::bigint,
         coalesce(sum(c.count) FILTER (WHERE c.term = 'shed'), 0)::bigint
  FROM counts c GROUP BY c.minute ORDER BY c.minute
$$;
