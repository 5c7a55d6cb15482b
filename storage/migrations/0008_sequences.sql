-- Which numbers of each publisher's boots were received, as ranges: what is missing between them was sent and never came. Ingest adds to
-- it every few seconds, in the transaction of a batch; what the batches since then hold is in store.sequence_recent.
CREATE FUNCTION store.count_missing(begins bigint, received int8multirange, shed int8multirange) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT coalesce(sum(upper(h) - lower(h)), 0)::bigint
  FROM unnest(int8multirange(int8range(least(begins, lower(received + shed)), upper(received + shed))) - received - shed) AS h
$$;

CREATE TABLE store.sequence (
  publisher integer NOT NULL,
  boot      bigint NOT NULL,
  begins    bigint NOT NULL,               -- numbers below are not expected
  received  int8multirange NOT NULL,       -- stored, or rejected for good
  shed      int8multirange NOT NULL,       -- received and left out: not missing, and not stored
  kept_from bigint NOT NULL,               -- the publisher keeps its reports from here on until told that they are stored; 0: it does not ask
  folded    bigint NOT NULL DEFAULT 0,     -- numbers missing in holes too many to keep apart
  hole_at   timestamptz,                   -- when the newest hole was noticed
  last_at   timestamptz NOT NULL,          -- when it was last added to
  missing   bigint NOT NULL GENERATED ALWAYS AS (store.count_missing(begins, received, shed)) STORED,
  PRIMARY KEY (publisher, boot)
) WITH (fillfactor = 70);
CREATE INDEX sequence_missing ON store.sequence (hole_at) WHERE missing > 0;

-- The last batch of each feed that is in store.sequence.
CREATE TABLE store.sequenced (
  feed   integer PRIMARY KEY REFERENCES store.feed,
  number bigint NOT NULL
);

-- Many holes cost memory: beyond 2,000 bytes only the newest 50 ranges are kept apart.
CREATE FUNCTION store.fold(ranges int8multirange, OUT kept int8multirange, OUT lost bigint)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
  old int8multirange;
BEGIN
  kept := ranges;
  lost := 0;
  IF pg_column_size(ranges) > 2000 THEN
    SELECT range_agg(r) INTO old FROM (SELECT r FROM unnest(ranges) AS r ORDER BY r DESC OFFSET 50) o;
    lost := store.count_missing(lower(old), old, '{}');
    kept := ranges + int8multirange(int8range(lower(old), upper(old)));
  END IF;
END $$;

-- Adds ranges, given as arrays of one length (kept_from 0: the publisher does not ask). Returns how far those who ask are stored: without
-- a hole from what they still keep on. Numbering begins at 1, but for a device that was registered within the last day: what it sent before
-- was refused, and is not missing.
CREATE FUNCTION store.note_sequences(for_feed integer, up_to bigint, publishers integer[], boots bigint[], firsts bigint[], lasts bigint[],
                                     sheds boolean[], kept bigint[])
RETURNS TABLE (publisher integer, boot bigint, through bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO store.sequenced (feed, number) VALUES (for_feed, up_to) ON CONFLICT (feed) DO UPDATE SET number = excluded.number;
  RETURN QUERY
  WITH given AS (
    SELECT u.publisher, u.boot, max(u.kept) AS kept_from,
           coalesce(range_agg(int8range(u.first, u.last, '[]')) FILTER (WHERE NOT u.shed), '{}') AS received,
           coalesce(range_agg(int8range(u.first, u.last, '[]')) FILTER (WHERE u.shed), '{}') AS shed
    FROM unnest(publishers, boots, firsts, lasts, sheds, kept) AS u(publisher, boot, first, last, shed, kept)
    GROUP BY u.publisher, u.boot),
  written AS (
    INSERT INTO store.sequence AS s (publisher, boot, begins, received, shed, kept_from, last_at)
    SELECT g.publisher, g.boot, CASE WHEN d.created_at < now() - interval '1 day' THEN 1 ELSE lower(g.received + g.shed) END,
           g.received, g.shed, g.kept_from, now()
    FROM given g JOIN store.device d ON d.id = g.publisher ORDER BY g.publisher, g.boot
    ON CONFLICT (publisher, boot) DO UPDATE SET
      (received, folded) = (SELECT f.kept + excluded.received, least(s.folded + f.lost, 1::bigint << 62) FROM store.fold(s.received) AS f),
      shed = (SELECT f.kept + excluded.shed FROM store.fold(s.shed) AS f),
      begins = least(s.begins, excluded.begins),
      kept_from = greatest(s.kept_from, excluded.kept_from),
      hole_at = CASE WHEN lower(excluded.received) > upper(s.received) THEN now() ELSE s.hole_at END,
      last_at = now()
    RETURNING s.publisher, s.boot, s.received, s.kept_from)
  SELECT w.publisher, w.boot,
         coalesce((SELECT upper(r) - 1 FROM unnest(w.received) AS r WHERE r @> w.kept_from), w.kept_from - 1)
  FROM written w JOIN given g ON g.publisher = w.publisher AND g.boot = w.boot WHERE g.kept_from > 0;
END $$;

-- Numbers in batches that are not in store.sequence yet. marks 16: the message had no number of its own.
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

-- A worker that lost its connection, or its life, takes up what it had not noted yet.
CREATE FUNCTION store.recover_sequences(for_journal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  this integer := (SELECT id FROM store.feed WHERE journal = for_journal);
BEGIN
  PERFORM store.note_sequences(
    this, (SELECT coalesce(max(b.number), 0) FROM store.batch b WHERE b.feed = this),
    coalesce(array_agg(g.publisher), '{}'), coalesce(array_agg(g.boot), '{}'), coalesce(array_agg(lower(g.range)), '{}'),
    coalesce(array_agg(upper(g.range) - 1), '{}'), coalesce(array_agg(false), '{}'), coalesce(array_agg(0::bigint), '{}'))
  FROM (SELECT n.publisher, n.boot, unnest(range_agg(int8range(n.sequence, n.sequence, '[]'))) AS range
        FROM store.sequence_recent n WHERE n.feed = this GROUP BY n.publisher, n.boot) g;
END $$;

DROP VIEW vedette.sequence_gap;

-- How far each publisher's numbering came, boot by boot. missing NULL: it does not number its messages.
CREATE VIEW vedette.sequence AS
SELECT d.id AS device, d.credential, s.boot, s.begins AS first_sequence, upper(s.received + s.shed) - 1 AS last_sequence,
       s.missing + s.folded AS missing, s.last_at
FROM store.device d LEFT JOIN store.sequence s ON s.publisher = d.id
WHERE d.life <> 'erased';

-- Holes in the publishers' own numbering: reports that were sent and never received. Rejected and shed ones were received.
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

-- How each device's clock stands to ours, from the reports with the shortest way (minimum filter).
CREATE TABLE store.clock (
  device      integer PRIMARY KEY,
  ahead_us    bigint NOT NULL,             -- device time less time of receipt, microseconds
  drift_ppm   real NOT NULL,               -- how fast that grows, microseconds a second
  measured_at timestamptz NOT NULL
);
CREATE VIEW vedette.clock AS
SELECT c.device, d.credential, c.ahead_us / 1e6 AS seconds_ahead, c.drift_ppm, c.measured_at
FROM store.clock c JOIN store.device d ON d.id = c.device;

-- What is in the store already.
INSERT INTO store.sequence (publisher, boot, begins, received, shed, kept_from, last_at)
SELECT publisher, boot, min(sequence), range_agg(int8range(sequence, sequence, '[]')), '{}', 0, max(received)
FROM store.sequence_recent GROUP BY publisher, boot;
INSERT INTO store.sequenced (feed, number) SELECT feed, max(number) FROM store.batch GROUP BY feed;

-- A boot whose publisher went on to others goes by age.
CREATE FUNCTION store.prune_sequences() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  DELETE FROM store.sequence s WHERE s.last_at < now() - (SELECT keep FROM store.retention WHERE what = 'event')
    AND EXISTS (SELECT FROM store.sequence n WHERE n.publisher = s.publisher AND n.last_at > s.last_at)
$$;

REVOKE ALL ON FUNCTION store.count_missing, store.fold, store.note_sequences, store.recover_sequences, store.prune_sequences FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.count_missing, store.note_sequences, store.recover_sequences, store.prune_sequences TO vedette_ingest;
GRANT SELECT, INSERT, UPDATE ON store.clock TO vedette_ingest;
GRANT SELECT ON vedette.sequence, vedette.sequence_gap, vedette.clock TO vedette_console, vedette_grafana, vedette_analysis, vedette_ingest;
