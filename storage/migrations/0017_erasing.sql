-- Erasure, as what was found in using it asks for: names are matched as they stand in topics, texts and payloads; the books of minutes that
-- ingest writes too are held for a moment at the end; analysis reads and writes no name of somebody who is being erased.

-- What a transaction that deletes has to write off: books of minutes, all together and in order when it is done. Empty between transactions.
CREATE TABLE store.unbooked (
  feed    integer NOT NULL,
  minute  timestamptz NOT NULL,
  gone    bigint NOT NULL,  -- reports and connectivity messages
  letters bigint NOT NULL
);

CREATE FUNCTION store.write_off() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM FROM store.minute m WHERE (m.feed, m.minute) IN (SELECT u.feed, u.minute FROM store.unbooked u) ORDER BY m.feed, m.minute FOR UPDATE;
  UPDATE store.minute m SET gone = m.gone + n.gone, letters_gone = m.letters_gone + n.letters
  FROM (SELECT u.feed, u.minute, sum(u.gone) AS gone, sum(u.letters) AS letters FROM store.unbooked u GROUP BY 1, 2) n
  WHERE m.feed = n.feed AND m.minute = n.minute;
  DELETE FROM store.unbooked;
END $$;

-- Whole words, so that pump-1 touches neither pump-10 nor pump-1.2; a stop that ends a sentence is no part of a word.
CREATE OR REPLACE FUNCTION store.without_names(said text, names text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY names LOOP
    CONTINUE WHEN position(name IN said) = 0;
    said := regexp_replace(said, '(?<![\w-]|\w\.)' || regexp_replace(name, '([^\w])', '\\\1', 'g') || '(?![\w-]|\.\w)', 'an erased device', 'g');
  END LOOP;
  RETURN said;
END $$;

-- A text as it may be read while erasures are under way.
CREATE FUNCTION store.without_erased(said text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT CASE WHEN e.names IS NULL THEN said ELSE store.without_names(said, e.names) END
  FROM (SELECT array_agg(credential) AS names FROM store.erasing WHERE NOT deleted) e
$$;

-- How a name can stand in a payload: behind its length (protobuf), between quotes, or, if it is a number, as one (JSON).
CREATE FUNCTION store.payload_names(payload bytea, name text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
  bytes bytea := convert_to(name, 'UTF8');
  size integer := octet_length(bytes);
BEGIN
  IF position(bytes IN payload) = 0 THEN
    RETURN false;
  END IF;
  RETURN position(CASE WHEN size < 128 THEN set_byte('\x00', 0, size) ELSE '\x8001'::bytea END || bytes IN payload) > 0
      OR position('\x22'::bytea || bytes || '\x22'::bytea IN payload) > 0
      OR name ~ '^[0-9]+$' AND encode(payload, 'escape') ~ ('[:,[\s]' || name || '[],}\s]');
END $$;

-- As before (0014): dead letters of these devices, and those of strangers and gateways that name one. A topic's words are whole levels of it.
CREATE OR REPLACE FUNCTION store.delete_letters(ids integer[], names text[]) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog AS $$
  WITH dead AS (
    DELETE FROM store.dead_letter l
    WHERE l.device = ANY (ids) OR string_to_array(l.topic, '/') && names OR store.without_names(l.detail, names) <> l.detail
       OR EXISTS (SELECT FROM unnest(names) AS n WHERE store.payload_names(l.payload, n))
    RETURNING l.batch, l.received),
  noted AS (
    INSERT INTO store.unbooked SELECT (batch >> 40)::integer, date_trunc('minute', received), 0, count(*) FROM dead GROUP BY 1, 2)
  SELECT count(*) FROM dead
$$;

-- As before (0014).
CREATE OR REPLACE FUNCTION store.delete_connectivity(ids integer[]) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog AS $$
  WITH dead AS (DELETE FROM store.connectivity WHERE device = ANY (ids) RETURNING batch, received),
  noted AS (
    INSERT INTO store.unbooked SELECT (batch >> 40)::integer, date_trunc('minute', received), count(*), 0 FROM dead GROUP BY 1, 2)
  SELECT count(*) FROM dead
$$;

-- As before (0014).
CREATE OR REPLACE FUNCTION store.delete_reports(ids integer[], OUT raw bigint, OUT packed bigint)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO store.unbooked
  SELECT (r.batch >> 40)::integer, date_trunc('minute', r.received), count(*), 0
  FROM store.receipt r WHERE r.device = ANY (ids) AND r.size > 0 GROUP BY 1, 2;
  WITH dead AS (DELETE FROM store.report WHERE device = ANY (ids) RETURNING batch),
  few AS (SELECT batch, count(*)::integer AS count FROM dead GROUP BY 1),
  noted AS (
    UPDATE store.batch b SET rows = b.rows - few.count FROM few
    WHERE b.feed = (few.batch >> 40)::integer AND b.number = few.batch & ((1::bigint << 40) - 1) AND b.committed_at >= store.settled_before())
  SELECT coalesce(sum(count), 0) INTO raw FROM few;
  WITH dead AS (DELETE FROM store.packed WHERE device = ANY (ids) RETURNING count)
  SELECT coalesce(sum(count), 0) INTO packed FROM dead;
END $$;

-- As before (0014). Not while partitions are made: a row that moves into a new one would be missed.
CREATE OR REPLACE FUNCTION store.finish_erasure(this bigint, at_most integer DEFAULT 10) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  ids integer[];
  names text[];
  done jsonb;
  rest integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('store.housekeep'));
  PERFORM FROM store.erasure WHERE id = this FOR UPDATE;
  SELECT array_agg(e.device), array_agg(e.credential) INTO ids, names
  FROM (SELECT device, credential FROM store.erasing WHERE erasure = this AND NOT deleted ORDER BY device LIMIT at_most) e;
  IF ids IS NULL THEN
    RETURN 0;
  END IF;
  done := store.delete_devices(ids, names);
  UPDATE store.erasing SET deleted = true WHERE device = ANY (ids);
  DELETE FROM store.erasing WHERE device = ANY (ids) AND cleared;
  SELECT count(*) INTO rest FROM store.erasing WHERE erasure = this AND NOT deleted;
  UPDATE store.erasure SET deleted_at = CASE rest WHEN 0 THEN clock_timestamp() END,
         counts = (SELECT jsonb_object_agg(d.key, d.value::bigint + coalesce((counts ->> d.key)::bigint, 0)) FROM jsonb_each_text(done) AS d)
  WHERE id = this;
  PERFORM store.write_off();
  RETURN rest;
END $$;

-- As before (0011), but it looks at which reports they are, too: as many may have come late as were erased since they were read.
DROP FUNCTION store.take_raw;
CREATE FUNCTION store.take_raw(for_day date, first_key text, last_key text, expected bigint, expected_check bigint, new_samples bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  raw text := to_char(for_day, '"report_"YYYYMMDD');
  taken bigint;
  taken_check bigint;
BEGIN
  EXECUTE format('LOCK TABLE store.%I IN SHARE ROW EXCLUSIVE MODE', raw);
  EXECUTE format('WITH dead AS (DELETE FROM store.%I WHERE (device, time, publisher, boot, sequence) >= %s'
                 ' AND (device, time, publisher, boot, sequence) <= %s RETURNING batch, sequence)'
                 ' SELECT count(*), coalesce(bit_xor(batch # sequence), 0) FROM dead',
                 raw, store.key_of(first_key), store.key_of(last_key)) INTO taken, taken_check;
  IF taken <> expected OR taken_check <> expected_check THEN
    RAISE serialization_failure USING MESSAGE = format('%s reports of %s are there, %s were read', taken, for_day, expected);
  END IF;
  UPDATE store.packing SET reports = reports + taken, samples = samples + new_samples WHERE day = for_day;
END $$;

-- What an erased device is called in the registry; nobody else may be.
ALTER TABLE store.device ADD CONSTRAINT device_credential_reserved CHECK (credential !~ '^erased:' OR life = 'erased');

REVOKE ALL ON FUNCTION store.write_off, store.without_erased, store.payload_names, store.take_raw FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.take_raw TO vedette_keeper;
GRANT EXECUTE ON FUNCTION store.without_erased, store.fence TO vedette_analysis;
GRANT SELECT ON store.erasure TO vedette_analysis;
