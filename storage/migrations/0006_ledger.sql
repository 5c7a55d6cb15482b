-- The books of ingest, for each worker's feed and minute of receipt. Each number is counted where it happens: `received` when a record is
-- taken from the journal, the others when its rows are written; none is a difference of others.
CREATE TABLE store.minute (
  feed        integer NOT NULL REFERENCES store.feed,
  minute      timestamptz NOT NULL,        -- of receipt
  received    bigint NOT NULL,
  stored      bigint NOT NULL,             -- reports and connectivity messages
  duplicate   bigint NOT NULL,
  rejected    bigint NOT NULL,
  shed        bigint NOT NULL,
  letters     bigint NOT NULL,             -- of the rejected: kept as dead letters
  PRIMARY KEY (feed, minute)
);
GRANT SELECT, INSERT, UPDATE ON store.minute TO vedette_ingest;

-- For people: what became of everything, by worker and minute.
CREATE VIEW vedette.ledger AS
SELECT f.worker, m.feed, m.minute, m.received, m.stored, m.duplicate, m.rejected, m.shed, m.letters
FROM store.minute m JOIN store.feed f ON f.id = m.feed;

-- The same of one device: what is stored is counted from the rows, the rest from the ledger's exceptions.
CREATE FUNCTION vedette.device_ledger(for_credential text, since timestamptz)
RETURNS TABLE (minute timestamptz, received bigint, stored bigint, duplicate bigint, rejected bigint, shed bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH d AS (SELECT id FROM store.device WHERE credential = for_credential),
  counts AS (
    SELECT date_trunc('minute', r.received) AS minute, 'stored' AS term, count(*) AS count
    FROM store.report r WHERE r.publisher = (SELECT id FROM d) AND r.size > 0 AND r.received >= since GROUP BY 1
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

-- Everything that does not add up since `since`: no rows is good. Looks at what was committed in whole minutes.
CREATE FUNCTION vedette.ledger_faults(since timestamptz)
RETURNS TABLE (worker text, feed integer, minute timestamptz, what text, expected bigint, found bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH span AS (SELECT date_trunc('minute', since) AS start),
  book AS (SELECT m.* FROM store.minute m, span WHERE m.minute >= span.start),
  report AS (
    SELECT (r.batch >> 40)::integer AS feed, date_trunc('minute', r.received) AS minute, count(*) FILTER (WHERE r.size > 0) AS count
    FROM store.report r, span WHERE r.received >= span.start AND r.time >= span.start - interval '31 days' OR r.time < '2000-01-01'
    GROUP BY 1, 2),
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
    SELECT b.feed, b.minute, 'stored, against the rows', b.stored, coalesce(r.count, 0) + coalesce(c.count, 0)
    FROM book b LEFT JOIN report r USING (feed, minute) LEFT JOIN connectivity c USING (feed, minute)
    UNION ALL
    SELECT r.feed, r.minute, 'rows of a minute that has no books', 0, r.count
    FROM report r, span WHERE r.minute >= span.start AND NOT EXISTS (SELECT FROM book b WHERE b.feed = r.feed AND b.minute = r.minute)
    UNION ALL
    SELECT b.feed, b.minute, 'dead letters, against the rows', b.letters, coalesce(l.count, 0)
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

GRANT SELECT ON vedette.ledger TO vedette_console, vedette_grafana;
REVOKE ALL ON FUNCTION vedette.device_ledger, vedette.ledger_faults FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vedette.device_ledger, vedette.ledger_faults TO vedette_console, vedette_grafana;

-- What has no partitions goes by age. The last batch of a feed stays for ever: it says where the feed goes on.
CREATE FUNCTION store.prune() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '2s' AS $$
DECLARE
  raw interval := (SELECT keep FROM store.retention WHERE what = 'report');
  long interval := (SELECT keep FROM store.retention WHERE what = 'event');
BEGIN
  DELETE FROM store.dead_letter WHERE received < now() - raw;
  DELETE FROM store.connectivity WHERE received < now() - long;
  DELETE FROM store.connectivity_change WHERE at < now() - long;
  DELETE FROM store.firmware f WHERE received < now() - long
    AND EXISTS (SELECT FROM store.firmware n WHERE n.device = f.device AND n.time > f.time);
  DELETE FROM store.ledger WHERE minute < now() - long;
  DELETE FROM store.minute WHERE minute < now() - long;
  DELETE FROM store.analysed_batch a USING store.batch b, store.checkpoint c
    WHERE b.feed = a.feed AND b.number = a.number AND b.committed_at < now() - raw - interval '1 day'
      AND c.lane = a.lane AND a.step < c.step
      AND a.number < (SELECT max(m.number) FROM store.analysed_batch m WHERE m.lane = a.lane AND m.feed = a.feed);
  DELETE FROM store.batch b WHERE b.committed_at < now() - raw - interval '1 day'
    AND b.number < (SELECT max(m.number) FROM store.batch m WHERE m.feed = b.feed)
    AND NOT EXISTS (SELECT FROM store.analysed_batch a WHERE a.feed = b.feed AND a.number = b.number)
    AND EXISTS (SELECT FROM store.analysed_batch a WHERE a.feed = b.feed AND a.number > b.number);
END $$;
REVOKE ALL ON FUNCTION store.prune FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.prune TO vedette_ingest;
