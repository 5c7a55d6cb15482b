-- How long what is kept, by class; a model may have a time of its own. Housekeeping is the keeper's work.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vedette_keeper') THEN
    RAISE 'the role vedette_keeper is missing: run storage/bootstrap.sql again as superuser (`vedette migrate --print-bootstrap` prints it; what is there stays)';
  END IF;
END $$;
GRANT USAGE ON SCHEMA store, vedette_meta TO vedette_keeper;
GRANT SELECT ON vedette_meta.vedette_migration TO vedette_keeper;

-- What is partitioned by time, and by which class it goes.
ALTER TABLE store.retention RENAME TO partitioned;
ALTER TABLE store.partitioned RENAME CONSTRAINT retention_pkey TO partitioned_pkey;
ALTER TABLE store.partitioned RENAME COLUMN what TO parent;

CREATE TABLE store.retention (
  class  text PRIMARY KEY,
  keep   interval NOT NULL CHECK (keep BETWEEN '1 day' AND '100 years'),
  covers text NOT NULL                       -- for people
);
INSERT INTO store.retention VALUES
  ('report', (SELECT keep FROM store.partitioned WHERE parent = 'report'), 'reports and traffic as they came; how old a report may be'),
  ('event', (SELECT keep FROM store.partitioned WHERE parent = 'event'), 'events, connectivity, what firmware ran'),
  ('rollup', '13 months', 'hours of metrics'),
  ('alert', '13 months', 'alerts that are over'),
  ('dead letter', '30 days', 'rejected messages'),
  ('address', '30 days', 'addresses in events: cut to their network afterwards'),
  ('ledger', '13 months', 'the books of ingest');
ALTER TABLE store.partitioned DROP COLUMN keep, ADD COLUMN class text REFERENCES store.retention;
UPDATE store.partitioned SET class = CASE parent WHEN 'event' THEN 'event' ELSE 'report' END;
ALTER TABLE store.partitioned ALTER COLUMN class SET NOT NULL;

-- A model's own time. `done_to`: what is older was deleted.
CREATE TABLE store.model_retention (
  model   integer NOT NULL REFERENCES store.model,
  class   text NOT NULL REFERENCES store.retention CHECK (class IN ('report', 'event', 'rollup')),
  keep    interval NOT NULL CHECK (keep BETWEEN '1 day' AND '100 years'),
  done_to timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (model, class)
);

-- The longest time of a class: partitions live as long.
CREATE FUNCTION store.longest(for_class text) RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT max(keep) FROM (SELECT keep FROM store.retention WHERE class = for_class
                         UNION ALL SELECT keep FROM store.model_retention WHERE class = for_class) k
$$;

-- How long reports of a model are kept, microseconds.
CREATE FUNCTION store.keep_us(for_model integer) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT (extract(epoch FROM coalesce((SELECT keep FROM store.model_retention WHERE model = for_model AND class = 'report'),
                                      (SELECT keep FROM store.retention WHERE class = 'report'))) * 1e6)::bigint
$$;

-- Sets how long a class is kept, for one model or (NULL) for all without their own; keep NULL: the model has none of its own any more.
-- Workers learn it with the devices, within seconds.
CREATE FUNCTION store.set_retention(for_class text, for_model integer, new_keep interval) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF for_model IS NULL THEN
    UPDATE store.retention SET keep = new_keep WHERE class = for_class;
  ELSIF new_keep IS NULL THEN
    DELETE FROM store.model_retention WHERE model = for_model AND class = for_class;
  ELSE
    INSERT INTO store.model_retention (model, class, keep) VALUES (for_model, for_class, new_keep)
    ON CONFLICT (model, class) DO UPDATE SET keep = excluded.keep;
  END IF;
  IF for_class = 'report' THEN
    UPDATE store.device SET changed = changed WHERE for_model IS NULL OR model = for_model;
  END IF;
END $$;

CREATE VIEW vedette.retention AS
SELECT r.class, NULL::text AS model, r.keep, r.covers FROM store.retention r
UNION ALL
SELECT o.class, m.name, o.keep, r.covers
FROM store.model_retention o JOIN store.model m ON m.id = o.model JOIN store.retention r ON r.class = o.class;

-- --- the books know of what was deleted since

ALTER TABLE store.minute
  ADD COLUMN gone bigint NOT NULL DEFAULT 0,          -- of `stored`: deleted since, by age or by erasure
  ADD COLUMN letters_gone bigint NOT NULL DEFAULT 0;  -- of `letters`, likewise

-- What is needed of stored reports to count them: `time` and `received_last` are conditions that find them.
CREATE VIEW store.receipt AS
SELECT r.device, r.publisher, r.batch, r.received, r.size, r.time, r.received AS received_last FROM store.report r;

-- Counts reports that are about to be deleted: those from one device time to another, of these devices (NULL: of all).
CREATE FUNCTION store.note_gone(first timestamptz, past timestamptz, of_devices integer[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog AS $$
  UPDATE store.minute m SET gone = m.gone + n.count
  FROM (SELECT (r.batch >> 40)::integer AS feed, date_trunc('minute', r.received) AS minute, count(*) AS count
        FROM store.receipt r
        WHERE r.time >= first AND r.time < past AND r.size > 0 AND (of_devices IS NULL OR r.device = ANY (of_devices)) GROUP BY 1, 2) n
  WHERE m.feed = n.feed AND m.minute = n.minute
$$;

-- As before (0003), by class.
CREATE OR REPLACE FUNCTION store.housekeep() RETURNS TABLE (what text, made integer, dropped integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  rule store.partitioned;
  keep interval;
  at timestamptz;
  past timestamptz; -- the end of a partition
  part record;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('store.housekeep')) THEN
    RETURN;
  END IF;
  FOR rule IN SELECT * FROM store.partitioned ORDER BY parent LOOP
    what := rule.parent;
    made := 0;
    dropped := 0;
    keep := store.longest(rule.class);
    -- The days to come, the past week, and days of which rows wait in the default partition (backfill).
    FOR at IN EXECUTE format(
      'SELECT generate_series(date_trunc(%2$L, now() - interval ''7 days''), date_trunc(%2$L, now() + %3$L::interval), ''1 %2$s'')
       UNION SELECT DISTINCT date_trunc(%2$L, time) FROM ONLY store.%4$I
             WHERE time >= date_trunc(%2$L, now() - %5$L::interval) AND time < now() + %3$L::interval ORDER BY 1',
      rule.parent, rule.unit, rule.ahead, rule.parent || '_default', keep)
    LOOP
      IF store.make_partition(rule.parent, rule.unit, at) THEN
        made := made + 1;
      END IF;
    END LOOP;
    -- The name is looked at here and not in the query, which might look at the names of other tables first.
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = ('store.' || rule.parent)::regclass AND c.relname <> rule.parent || '_default'
    LOOP
      past := to_date(substring(part.relname FROM '[0-9]+$'), CASE rule.unit WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END)
              + ('1 ' || rule.unit)::interval;
      IF past <= now() - keep THEN
        IF rule.parent = 'report' THEN
          PERFORM store.note_gone(past - '1 day'::interval, past, NULL);
          EXECUTE format('DROP TABLE IF EXISTS store.%I', 'packed_' || substring(part.relname FROM '[0-9]+$'));  -- its chunks, 0011
        END IF;
        EXECUTE format('DROP TABLE store.%I', part.relname);
        dropped := dropped + 1;
      END IF;
    END LOOP;
    RETURN NEXT;
  END LOOP;
  -- What lies outside every day goes by when it was received; traffic carries no such time and goes by its report's limit.
  WITH dead AS (DELETE FROM ONLY store.report_default WHERE received < now() - store.longest('report') RETURNING batch, received, size)
  UPDATE store.minute m SET gone = m.gone + n.count
  FROM (SELECT (batch >> 40)::integer AS feed, date_trunc('minute', received) AS minute, count(*) AS count FROM dead
        WHERE size > 0 GROUP BY 1, 2) n
  WHERE m.feed = n.feed AND m.minute = n.minute;
  DELETE FROM ONLY store.event_default WHERE received < now() - store.longest('event');
  DELETE FROM ONLY store.traffic_default t WHERE NOT EXISTS (
    SELECT FROM store.report_default r WHERE r.device = t.device AND r.time = t.time AND r.publisher = t.publisher
      AND r.boot = t.boot AND r.sequence = t.sequence);
END $$;

-- --- the ledger

-- As before (0006), over what was deleted since, too.
CREATE OR REPLACE FUNCTION vedette.device_ledger(for_credential text, since timestamptz)
RETURNS TABLE (minute timestamptz, received bigint, stored bigint, duplicate bigint, rejected bigint, shed bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH d AS (SELECT id FROM store.device WHERE credential = for_credential),
  counts AS (
    SELECT date_trunc('minute', r.received) AS minute, 'stored' AS term, count(*) AS count
    FROM store.receipt r
    WHERE r.publisher = (SELECT id FROM d) AND r.size > 0 AND r.received >= since AND r.received_last >= since GROUP BY 1
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

-- As before (0006), over what was deleted since, too: everything that does not add up since `since`: no rows is good. Looks at what was committed in whole minutes.
CREATE OR REPLACE FUNCTION vedette.ledger_faults(since timestamptz)
RETURNS TABLE (worker text, feed integer, minute timestamptz, what text, expected bigint, found bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH span AS (SELECT date_trunc('minute', since) AS start),
  book AS (SELECT m.* FROM store.minute m, span WHERE m.minute >= span.start),
  report AS (
    SELECT (r.batch >> 40)::integer AS feed, date_trunc('minute', r.received) AS minute, count(*) FILTER (WHERE r.size > 0) AS count
    FROM store.receipt r, span
    WHERE r.received >= span.start AND r.received_last >= span.start
      AND (r.time >= span.start - store.longest('report') - interval '1 day' OR r.time < '2000-01-01') GROUP BY 1, 2),
  connectivity AS (
    SELECT (c.batch >> 40)::integer AS feed, date_trunc('minute', c.received) AS minute, count(*) AS count
    FROM store.connectivity c, span WHERE c.received >= span.start GROUP BY 1, 2),
  letter AS (
    SELECT (l.batch >> 40)::integer AS feed, date_trunc('minute', l.received) AS minute, count(*) AS count
    FROM store.dead_letter l, span WHERE l.received >= span.start GROUP BY 1, 2),
  exception AS (
    SELECT l.feed, l.minute, l.term, sum(l.count)::bigint AS count FROM store.ledger l, span WHERE l.minute >= span.start GROUP BY 1, 2, 3),
  fault AS (
    SELECT b.feed, b.minute, 'received is not stored + duplicate + rejected + shed' AS what, b.received AS expected,
           b.stored + b.duplicate + b.rejected + b.shed AS found
    FROM book b
    UNION ALL
    SELECT b.feed, b.minute, 'stored, against the rows', b.stored, coalesce(r.count, 0) + coalesce(c.count, 0) + b.gone
    FROM book b LEFT JOIN report r USING (feed, minute) LEFT JOIN connectivity c USING (feed, minute)
    UNION ALL
    SELECT r.feed, r.minute, 'rows of a minute that has no books', 0, r.count
    FROM report r, span WHERE r.minute >= span.start AND NOT EXISTS (SELECT FROM book b WHERE b.feed = r.feed AND b.minute = r.minute)
    UNION ALL
    SELECT b.feed, b.minute, 'dead letters, against the rows', b.letters, coalesce(l.count, 0) + b.letters_gone
    FROM book b LEFT JOIN letter l USING (feed, minute)
    UNION ALL
    SELECT b.feed, b.minute, t.term || ', against the devices'' ledger', t.count, coalesce(e.count, 0)
    FROM book b CROSS JOIN LATERAL (VALUES ('duplicate', b.duplicate), ('rejected', b.rejected), ('shed', b.shed)) AS t(term, count)
    LEFT JOIN exception e ON e.feed = b.feed AND e.minute = b.minute AND e.term = t.term
    UNION ALL
    SELECT b.feed, date_trunc('minute', b.received_to), 'journal records between batches', b.reached, b.first_record
    FROM (SELECT x.*, lag(x.next_record) OVER (PARTITION BY x.feed ORDER BY x.number) AS reached,
                 lag(x.number) OVER (PARTITION BY x.feed ORDER BY x.number) AS before FROM store.batch x) b, span
    WHERE b.received_to >= span.start AND b.before IS NOT NULL AND (b.reached <> b.first_record OR b.number <> b.before + 1)
    UNION ALL
    -- Over the whole life of a feed the journal's own numbers say how many there were.
    SELECT f.id, date_trunc('minute', t.last), 'received, against the journal''s numbers', t.records, coalesce(m.received, 0)
    FROM store.feed f
    CROSS JOIN LATERAL (SELECT sum(b.next_record - b.first_record)::bigint AS records, max(b.received_to) AS last, min(b.number) AS first
                        FROM store.batch b WHERE b.feed = f.id AND b.kind = 'data') t
    LEFT JOIN LATERAL (SELECT sum(m.received)::bigint AS received FROM store.minute m WHERE m.feed = f.id) m ON true
    WHERE t.first = 1 AND t.last >= (SELECT start FROM span))
  SELECT f.worker, x.feed, x.minute, x.what, x.expected, x.found
  FROM fault x JOIN store.feed f ON f.id = x.feed
  WHERE x.expected <> x.found OR x.what = 'rows of a minute that has no books' OR x.what = 'journal records between batches'
  ORDER BY x.minute, x.feed, x.what
$$;

-- --- what goes by age

-- Full addresses of events, which are cut once they are old. The network that is left: /24 of IPv4, /48 of IPv6.
CREATE FUNCTION store.is_whole(address inet) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT masklen(address) = CASE family(address) WHEN 4 THEN 32 ELSE 128 END $$;
CREATE FUNCTION store.network_of(address inet) RETURNS inet
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT network(set_masklen(address, CASE family(address) WHEN 4 THEN 24 ELSE 48 END)) $$;
CREATE INDEX event_address ON store.event (time) WHERE store.is_whole(source);

-- Deletes rows of models that are kept shorter than the partitions live. A day (month) is looked at once, after its end.
CREATE FUNCTION store.prune_models() RETURNS void
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
  END LOOP;
  UPDATE store.model_retention o SET done_to = date_trunc('day', now() - o.keep) WHERE o.done_to < date_trunc('day', now() - o.keep);
END $$;

-- What has no partitions goes by age. The last batch of a feed stays for ever: it says where the feed goes on.
CREATE OR REPLACE FUNCTION store.prune() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '2s' AS $$
DECLARE
  before jsonb := (SELECT jsonb_object_agg(class, now() - keep) FROM store.retention);
  raw timestamptz := now() - store.longest('report') - interval '1 day';
BEGIN
  WITH dead AS (DELETE FROM store.dead_letter WHERE received < (before ->> 'dead letter')::timestamptz RETURNING batch, received)
  UPDATE store.minute m SET letters_gone = m.letters_gone + n.count
  FROM (SELECT (batch >> 40)::integer AS feed, date_trunc('minute', received) AS minute, count(*) AS count FROM dead GROUP BY 1, 2) n
  WHERE m.feed = n.feed AND m.minute = n.minute;
  WITH dead AS (DELETE FROM store.connectivity WHERE received < (before ->> 'event')::timestamptz RETURNING batch, received)
  UPDATE store.minute m SET gone = m.gone + n.count
  FROM (SELECT (batch >> 40)::integer AS feed, date_trunc('minute', received) AS minute, count(*) AS count FROM dead GROUP BY 1, 2) n
  WHERE m.feed = n.feed AND m.minute = n.minute;
  DELETE FROM store.connectivity_change WHERE at < (before ->> 'event')::timestamptz;
  DELETE FROM store.firmware f WHERE received < (before ->> 'event')::timestamptz
    AND EXISTS (SELECT FROM store.firmware n WHERE n.device = f.device AND n.time > f.time);
  DELETE FROM store.ledger WHERE minute < (before ->> 'ledger')::timestamptz;
  DELETE FROM store.minute WHERE minute < (before ->> 'ledger')::timestamptz;
  WITH gone AS (
    DELETE FROM store.alert WHERE state IN ('cleared', 'invalidated') AND changed_at < (before ->> 'alert')::timestamptz
    RETURNING device, id)
  DELETE FROM store.alert_event e USING gone g WHERE e.device = g.device AND e.alert = g.id;
  UPDATE store.event SET source = store.network_of(source)
    WHERE store.is_whole(source) AND time < (before ->> 'address')::timestamptz;
  DELETE FROM store.analysed_batch a USING store.batch b, store.checkpoint c
    WHERE b.feed = a.feed AND b.number = a.number AND b.committed_at < raw
      AND c.lane = a.lane AND a.step < c.step
      AND a.number < (SELECT max(m.number) FROM store.analysed_batch m WHERE m.lane = a.lane AND m.feed = a.feed);
  DELETE FROM store.batch b WHERE b.committed_at < raw
    AND b.number < (SELECT max(m.number) FROM store.batch m WHERE m.feed = b.feed)
    AND NOT EXISTS (SELECT FROM store.analysed_batch a WHERE a.feed = b.feed AND a.number = b.number)
    AND EXISTS (SELECT FROM store.analysed_batch a WHERE a.feed = b.feed AND a.number > b.number);
  PERFORM store.prune_models();
END $$;

CREATE OR REPLACE FUNCTION store.prune_sequences() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  DELETE FROM store.sequence s WHERE s.last_at < now() - (SELECT keep FROM store.retention WHERE class = 'event')
    AND EXISTS (SELECT FROM store.sequence n WHERE n.publisher = s.publisher AND n.last_at > s.last_at)
$$;

REVOKE ALL ON FUNCTION store.longest, store.note_gone, store.keep_us, store.set_retention, store.prune_models FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION store.housekeep, store.prune, store.prune_sequences FROM vedette_ingest, vedette_analysis;
GRANT EXECUTE ON FUNCTION store.housekeep, store.prune, store.prune_sequences TO vedette_keeper;
GRANT EXECUTE ON FUNCTION store.keep_us TO vedette_ingest;
GRANT SELECT ON store.retention, store.model_retention TO vedette_ingest;
REVOKE SELECT ON store.partitioned FROM vedette_ingest, vedette_analysis;
GRANT SELECT ON vedette.retention TO vedette_console, vedette_grafana;
