-- Partitions are made ahead and dropped by housekeeping, which any daemon may call; the work is the administrator's.
CREATE TABLE store.retention (
  what    text PRIMARY KEY,
  unit    text NOT NULL CHECK (unit IN ('day', 'month')),   -- width of a partition
  keep    interval NOT NULL,
  ahead   interval NOT NULL                                  -- how far partitions are made ahead
);
INSERT INTO store.retention VALUES
  ('report', 'day', '30 days', '3 days'),
  ('traffic', 'day', '30 days', '3 days'),
  ('event', 'month', '13 months', '1 month');

-- Makes the partition that holds `at`; rows that wait for it in the default partition move along, in the same transaction.
CREATE FUNCTION store.make_partition(parent text, unit text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
  first timestamptz := date_trunc(unit, at);
  past timestamptz := date_trunc(unit, at) + ('1 ' || unit)::interval;
  name text := format('%s_%s', parent, to_char(first, CASE unit WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END));
BEGIN
  IF to_regclass('store.' || quote_ident(name)) IS NOT NULL THEN
    RETURN false;
  END IF;
  EXECUTE format('LOCK TABLE store.%I IN SHARE UPDATE EXCLUSIVE MODE', parent);
  EXECUTE format('LOCK TABLE store.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
  EXECUTE format('CREATE TABLE store.%I (LIKE store.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, parent);
  EXECUTE format('WITH moved AS (DELETE FROM ONLY store.%I WHERE time >= %L AND time < %L RETURNING *)
                  INSERT INTO store.%I SELECT * FROM moved', parent || '_default', first, past, name);
  EXECUTE format('ALTER TABLE store.%I ATTACH PARTITION store.%I FOR VALUES FROM (%L) TO (%L)', parent, name, first, past);
  RETURN true;
END $$;

-- Makes what is missing, drops what is past its retention. Returns what it did; one caller at a time, the others get nothing.
-- Gives up after two seconds on a lock that a long query holds: everybody who came later would queue behind us.
CREATE FUNCTION store.housekeep() RETURNS TABLE (what text, made integer, dropped integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  rule store.retention;
  at timestamptz;
  past timestamptz; -- the end of a partition
  part record;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('store.housekeep')) THEN
    RETURN;
  END IF;
  FOR rule IN SELECT * FROM store.retention ORDER BY retention.what LOOP
    what := rule.what;
    made := 0;
    dropped := 0;
    -- The days to come, the past week, and days of which rows wait in the default partition (backfill).
    FOR at IN EXECUTE format(
      'SELECT generate_series(date_trunc(%2$L, now() - interval ''7 days''), date_trunc(%2$L, now() + %3$L::interval), ''1 %2$s'')
       UNION SELECT DISTINCT date_trunc(%2$L, time) FROM ONLY store.%4$I
             WHERE time >= date_trunc(%2$L, now() - %5$L::interval) AND time < now() + %3$L::interval ORDER BY 1',
      rule.what, rule.unit, rule.ahead, rule.what || '_default', rule.keep)
    LOOP
      IF store.make_partition(rule.what, rule.unit, at) THEN
        made := made + 1;
      END IF;
    END LOOP;
    -- The name is looked at here and not in the query, which might look at the names of other tables first.
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = ('store.' || rule.what)::regclass AND c.relname <> rule.what || '_default'
    LOOP
      past := to_date(substring(part.relname FROM '[0-9]+$'), CASE rule.unit WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END)
              + ('1 ' || rule.unit)::interval;
      IF past <= now() - rule.keep THEN
        EXECUTE format('DROP TABLE store.%I', part.relname);
        dropped := dropped + 1;
      END IF;
    END LOOP;
    RETURN NEXT;
  END LOOP;
  -- What lies outside every day goes by when it was received; traffic carries no such time and goes by its report's limit.
  DELETE FROM ONLY store.report_default WHERE received < now() - (SELECT r.keep FROM store.retention r WHERE r.what = 'report');
  DELETE FROM ONLY store.event_default WHERE received < now() - (SELECT r.keep FROM store.retention r WHERE r.what = 'event');
  DELETE FROM ONLY store.traffic_default t WHERE NOT EXISTS (
    SELECT FROM store.report_default r WHERE r.device = t.device AND r.time = t.time AND r.publisher = t.publisher
      AND r.boot = t.boot AND r.sequence = t.sequence);
END $$;

REVOKE ALL ON FUNCTION store.make_partition, store.housekeep FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.housekeep TO vedette_ingest, vedette_analysis;
GRANT SELECT ON store.retention TO vedette_ingest, vedette_analysis;
SELECT store.housekeep();
