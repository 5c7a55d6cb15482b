-- Erasure: what is known of a device, or of all devices of an owner, goes for good, and late messages bring nothing back (docs/store.md,
-- "Erasure"). A tombstone is a salted digest of the credential: by it ingest knows what to refuse without a trace.
--
-- Who writes rows about devices holds a shared lock until its commit and looks, behind it, for erasures that it does not know yet; who begins
-- an erasure holds it alone. So when the erasure has begun, nobody adds a row about its devices any more, and one deletion is enough.
CREATE TABLE store.installation (
  one  boolean PRIMARY KEY DEFAULT true CHECK (one),
  salt bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
);
INSERT INTO store.installation DEFAULT VALUES;

CREATE TABLE store.tombstone (
  digest    bytea PRIMARY KEY,             -- SHA-256 of the salt and the credential
  erased_at timestamptz NOT NULL,
  changed   xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX tombstone_changed ON store.tombstone (changed);

CREATE FUNCTION store.digest_of(credential text) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT sha256(salt || convert_to(credential, 'UTF8')) FROM store.installation
$$;

-- The receipts: counts, and nothing that says of whom.
CREATE TABLE store.erasure (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  what       text NOT NULL CHECK (what IN ('device', 'owner')),
  devices    integer NOT NULL,
  counts     jsonb NOT NULL DEFAULT '{}',  -- rows deleted, by what they were
  asked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  deleted_at timestamptz                   -- from the store
);

-- Devices whose erasure is not done: the only place where their names are, until it is.
CREATE TABLE store.erasing (
  device     integer PRIMARY KEY,
  credential text NOT NULL,
  erasure    bigint NOT NULL REFERENCES store.erasure,
  deleted    boolean NOT NULL DEFAULT false,  -- from the store
  cleared    boolean NOT NULL DEFAULT false   -- the broker keeps no message of it
);
CREATE INDEX erasing_erasure ON store.erasing (erasure);

-- Up to which erasure a worker's journal was emptied.
ALTER TABLE store.feed ADD COLUMN erased_to bigint NOT NULL DEFAULT 0;

-- A credential that is registered again: what its device says of the time before the erasure is refused.
ALTER TABLE store.device ADD COLUMN not_before timestamptz;
CREATE FUNCTION store.look_for_tombstone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  NEW.not_before := (SELECT erased_at FROM store.tombstone WHERE digest = store.digest_of(NEW.credential));
  RETURN NEW;
END $$;
CREATE TRIGGER device_tombstone BEFORE INSERT OR UPDATE OF credential ON store.device FOR EACH ROW WHEN (NEW.life <> 'erased')
  EXECUTE FUNCTION store.look_for_tombstone();

-- --- the fence

-- Waits while an erasure begins; from here to the end of the transaction none does.
CREATE FUNCTION store.hold_erasures() RETURNS void
LANGUAGE sql SET search_path = pg_catalog AS $$ SELECT pg_advisory_xact_lock_shared(hashtext('store.erasure')) $$;

-- The first thing a batch's transaction does: fails where devices were erased since its worker last read the registry (`seen`).
CREATE FUNCTION store.fence(seen bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM store.hold_erasures();
  IF EXISTS (SELECT FROM store.erasure WHERE id > seen) THEN
    RAISE 'devices were erased since this worker last read the registry' USING ERRCODE = 'VE001';
  END IF;
END $$;

CREATE FUNCTION store.is_erased(for_device integer) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT EXISTS (SELECT FROM store.device WHERE id = for_device AND life = 'erased')
$$;

-- --- deleting

-- A text without these names: whole words, so that pump-1 does not touch pump-10.
CREATE FUNCTION store.without_names(said text, names text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY names LOOP
    said := regexp_replace(said, '(?<![\w-])' || regexp_replace(name, '([^\w])', '\\\1', 'g') || '(?![\w-])', 'an erased device', 'g');
  END LOOP;
  RETURN said;
END $$;

-- The same of the texts in an explanation; its keys and numbers are no names, whatever devices are called.
CREATE FUNCTION store.without_names(said jsonb, names text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
  CASE jsonb_typeof(said)
    WHEN 'object' THEN
      RETURN (SELECT coalesce(jsonb_object_agg(e.key, store.without_names(e.value, names)), '{}') FROM jsonb_each(said) AS e);
    WHEN 'array' THEN
      RETURN (SELECT coalesce(jsonb_agg(store.without_names(e.value, names) ORDER BY e.place), '[]')
              FROM jsonb_array_elements(said) WITH ORDINALITY AS e(value, place));
    WHEN 'string' THEN
      RETURN to_jsonb(store.without_names(said #>> '{}', names));
    ELSE
      RETURN said;
  END CASE;
END $$;

-- Dead letters of these devices, and those of strangers and gateways that name one: in the topic, in what is wrong, or in the payload, where
-- a name stands behind its length (protobuf) or between quotes (JSON).
CREATE FUNCTION store.delete_letters(ids integer[], names text[]) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog AS $$
  WITH name AS (SELECT n, convert_to(n, 'UTF8') AS bytes FROM unnest(names) AS n),
  dead AS (
    DELETE FROM store.dead_letter l
    WHERE l.device = ANY (ids)
       OR EXISTS (SELECT FROM name WHERE position(n IN l.topic) > 0 AND store.without_names(l.topic, ARRAY[n]) <> l.topic
                                      OR position(n IN l.detail) > 0 AND store.without_names(l.detail, ARRAY[n]) <> l.detail
                                      OR position(set_byte('\x00', 0, octet_length(bytes)) || bytes IN l.payload) > 0
                                      OR position('\x22'::bytea || bytes || '\x22'::bytea IN l.payload) > 0)
    RETURNING l.batch, l.received),
  noted AS (
    UPDATE store.minute m SET letters_gone = m.letters_gone + n.count
    FROM (SELECT (batch >> 40)::integer AS feed, date_trunc('minute', received) AS minute, count(*) AS count FROM dead GROUP BY 1, 2) n
    WHERE m.feed = n.feed AND m.minute = n.minute)
  SELECT count(*) FROM dead
$$;

CREATE FUNCTION store.delete_connectivity(ids integer[]) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog AS $$
  WITH dead AS (DELETE FROM store.connectivity WHERE device = ANY (ids) RETURNING batch, received),
  noted AS (
    UPDATE store.minute m SET gone = m.gone + n.count
    FROM (SELECT (batch >> 40)::integer AS feed, date_trunc('minute', received) AS minute, count(*) AS count FROM dead GROUP BY 1, 2) n
    WHERE m.feed = n.feed AND m.minute = n.minute)
  SELECT count(*) FROM dead
$$;

-- Reports, raw ones first: while a piece is being compressed this waits for it, and then finds its chunks. Batches that analysis has not read
-- yet are to be found with that many rows less.
CREATE FUNCTION store.delete_reports(ids integer[], OUT raw bigint, OUT packed bigint)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM store.note_gone('-infinity', 'infinity', ids);
  WITH dead AS (DELETE FROM store.report WHERE device = ANY (ids) RETURNING batch),
  few AS (SELECT batch, count(*)::integer AS count FROM dead GROUP BY 1),
  noted AS (
    UPDATE store.batch b SET rows = b.rows - few.count FROM few
    WHERE b.feed = (few.batch >> 40)::integer AND b.number = few.batch & ((1::bigint << 40) - 1) AND b.committed_at >= store.settled_before())
  SELECT coalesce(sum(count), 0) INTO raw FROM few;
  WITH dead AS (DELETE FROM store.packed WHERE device = ANY (ids) RETURNING count)
  SELECT coalesce(sum(count), 0) INTO packed FROM dead;
END $$;

-- Deletes every row about devices, and counts.
CREATE FUNCTION store.delete_devices(ids integer[], names text[]) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  reports record;
  counts jsonb;
  rows bigint;
  what text;
BEGIN
  SELECT * INTO reports FROM store.delete_reports(ids);
  counts := jsonb_build_object('reports', reports.raw, 'compressed reports', reports.packed,
                               'connectivity messages', store.delete_connectivity(ids), 'dead letters', store.delete_letters(ids, names));
  -- `stale` before `hour` and `five`: who makes a rollup holds the row that asks for it.
  FOREACH what IN ARRAY ARRAY['traffic', 'event', 'firmware', 'stale', 'hour', 'five', 'latest', 'metric_set', 'clock', 'alert_event', 'alert',
                              'detector_state', 'connectivity_now', 'connectivity_change', 'sequence']
  LOOP
    EXECUTE format('DELETE FROM store.%I WHERE %I = ANY ($1)', what, CASE what WHEN 'sequence' THEN 'publisher' ELSE 'device' END) USING ids;
    GET DIAGNOSTICS rows = ROW_COUNT;
    counts := counts || jsonb_build_object(replace(what, '_', ' '), rows);
  END LOOP;
  -- What others' alerts say of them.
  UPDATE store.alert SET sentence = store.without_names(sentence, names), explanation = store.without_names(explanation, names)
  WHERE EXISTS (SELECT FROM unnest(names) AS n WHERE position(n IN sentence) > 0 OR store.without_names(explanation, ARRAY[n]) <> explanation);
  UPDATE store.alert_event SET detail = store.without_names(detail, names)
  WHERE EXISTS (SELECT FROM unnest(names) AS n WHERE position(n IN detail) > 0);
  -- The ledger's exceptions stay, as nobody's: the books go on adding up.
  WITH moved AS (DELETE FROM store.ledger WHERE device = ANY (ids) RETURNING *)
  INSERT INTO store.ledger AS l (device, minute, feed, term, reason, count)
  SELECT 0, minute, feed, term, reason, sum(count)::bigint FROM moved GROUP BY minute, feed, term, reason
  ON CONFLICT (device, minute, feed, term, reason) DO UPDATE SET count = l.count + excluded.count;
  RETURN counts;
END $$;

-- --- the course of an erasure

-- Begins one: from its commit on nobody of these is known. Returns its number. Those who are erased already are left out.
CREATE FUNCTION store.begin_erasure(of_what text, ids integer[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog SET lock_timeout = '5s' AS $$
DECLARE
  this bigint;
BEGIN
  LOCK TABLE store.device IN ROW EXCLUSIVE MODE;  -- waits for an import now, not with the lock that all writers want
  PERFORM pg_advisory_xact_lock(hashtext('store.erasure'));
  INSERT INTO store.erasure (what, devices)
  SELECT of_what, count(*) FROM store.device WHERE id = ANY (ids) AND life <> 'erased' RETURNING id INTO this;
  INSERT INTO store.erasing (device, credential, erasure)
  SELECT id, credential, this FROM store.device WHERE id = ANY (ids) AND life <> 'erased';
  INSERT INTO store.tombstone (digest, erased_at)
  SELECT store.digest_of(credential), clock_timestamp() FROM store.erasing WHERE erasure = this
  ON CONFLICT (digest) DO UPDATE SET erased_at = excluded.erased_at, changed = excluded.changed;
  UPDATE store.device SET gateway = NULL WHERE gateway = ANY (ids);
  UPDATE store.device d SET life = 'erased', credential = 'erased:' || d.id, firmware = NULL, region = NULL, time_zone = 'UTC', site = NULL,
         gateway = NULL, owner = NULL, critical = false, not_before = NULL
  FROM store.erasing e WHERE e.erasure = this AND e.device = d.id;
  RETURN this;
END $$;

-- Deletes what there is of a few of its devices; returns how many are left. Few, since ingest waits for the books of its minute until this
-- commits. Who died in the midst of it, or the keeper for them, calls it again.
CREATE FUNCTION store.finish_erasure(this bigint, at_most integer DEFAULT 10) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  ids integer[];
  names text[];
  done jsonb;
  rest integer;
BEGIN
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
  RETURN rest;
END $$;

-- The keeper's: goes on with an erasure that nobody is at any more; returns how many devices of it are left.
CREATE FUNCTION store.finish_erasures() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  this bigint;
BEGIN
  SELECT r.id INTO this FROM store.erasure r
  WHERE r.asked_at < clock_timestamp() - interval '1 minute' AND EXISTS (SELECT FROM store.erasing e WHERE e.erasure = r.id AND NOT e.deleted)
  ORDER BY r.id LIMIT 1 FOR UPDATE SKIP LOCKED;
  RETURN CASE WHEN this IS NULL THEN 0 ELSE store.finish_erasure(this) END;
END $$;

-- The ingest workers': the broker keeps nothing of these devices any more …
CREATE FUNCTION store.retained_cleared(ids integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  UPDATE store.erasing SET cleared = true WHERE device = ANY (ids);
  DELETE FROM store.erasing WHERE device = ANY (ids) AND deleted;
END $$;

-- … nor does this worker's journal, of the devices of erasures up to this one.
CREATE FUNCTION store.journal_forgot(for_feed integer, up_to bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  UPDATE store.feed SET erased_to = greatest(erased_to, up_to) WHERE id = for_feed
$$;

CREATE VIEW vedette.erasure AS
SELECT e.id, e.what, e.devices, e.asked_at, e.deleted_at,
       CASE WHEN e.deleted_at IS NULL AND e.devices > 0 THEN 'deleting'
            WHEN w.names IS NOT NULL OR x.retained > 0 THEN 'waiting for workers' ELSE 'done' END AS state,
       w.names AS journals, x.retained, e.counts
FROM store.erasure e
CROSS JOIN LATERAL (SELECT string_agg(DISTINCT f.worker, ', ' ORDER BY f.worker) AS names FROM store.feed f
                    WHERE f.retired_at IS NULL AND f.erased_to < e.id) w
CROSS JOIN LATERAL (SELECT count(*) AS retained FROM store.erasing g WHERE g.erasure = e.id AND NOT g.cleared) x;

-- A new journal holds nothing of before.
CREATE FUNCTION store.feed_is_new() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  NEW.erased_to := coalesce((SELECT max(id) FROM store.erasure), 0);
  RETURN NEW;
END $$;
CREATE TRIGGER feed_new BEFORE INSERT ON store.feed FOR EACH ROW EXECUTE FUNCTION store.feed_is_new();

-- --- who writes outside a batch: as before, behind the lock and not about the erased

-- As before (0001).
CREATE OR REPLACE FUNCTION store.intern_set(for_device integer, for_metrics integer[], set_limit integer) RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  found smallint;
  used integer;
BEGIN
  SELECT set INTO found FROM store.metric_set WHERE device = for_device AND metrics = for_metrics;
  IF found IS NULL THEN
    PERFORM store.hold_erasures();
    PERFORM pg_advisory_xact_lock(hashtext('store.intern_set'), for_device);
    SELECT set INTO found FROM store.metric_set WHERE device = for_device AND metrics = for_metrics;
  END IF;
  IF found IS NOT NULL THEN
    RETURN found;
  END IF;
  SELECT count(*) INTO used FROM store.metric_set WHERE device = for_device;
  IF used >= set_limit OR store.is_erased(for_device) THEN
    RETURN NULL;
  END IF;
  INSERT INTO store.metric_set (device, set, metrics) VALUES (for_device, used + 1, for_metrics);
  RETURN used + 1;
END $$;

-- As before (0008).
CREATE OR REPLACE FUNCTION store.note_sequences(for_feed integer, up_to bigint, publishers integer[], boots bigint[], firsts bigint[], lasts bigint[],
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
    WHERE NOT store.is_erased(u.publisher)  -- a worker may still have numbers of theirs to tell
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
CREATE OR REPLACE FUNCTION store.recover_sequences(for_journal uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  this integer := (SELECT id FROM store.feed WHERE journal = for_journal);
BEGIN
  PERFORM store.hold_erasures();
  PERFORM store.note_sequences(
    this, (SELECT coalesce(max(b.number), 0) FROM store.batch b WHERE b.feed = this),
    coalesce(array_agg(g.publisher), '{}'), coalesce(array_agg(g.boot), '{}'), coalesce(array_agg(lower(g.range)), '{}'),
    coalesce(array_agg(upper(g.range) - 1), '{}'), coalesce(array_agg(false), '{}'), coalesce(array_agg(0::bigint), '{}'))
  FROM (SELECT n.publisher, n.boot, unnest(range_agg(int8range(n.sequence, n.sequence, '[]'))) AS range
        FROM store.sequence_recent n WHERE n.feed = this GROUP BY n.publisher, n.boot) g;
END $$;

-- As before (0004).
CREATE OR REPLACE FUNCTION store.raise_alert(for_device integer, for_kind text, for_key text, new_severity text, at timestamptz,
                                             new_sentence text, new_explanation jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  live store.alert;
BEGIN
  IF store.is_erased(for_device) THEN
    RETURN false;
  END IF;
  UPDATE store.alert SET count = count + 1, changed_at = at, sentence = new_sentence, explanation = new_explanation
  WHERE device = for_device AND kind = for_kind AND key = for_key AND state IN ('open', 'acknowledged') RETURNING * INTO live;
  IF live.id IS NULL THEN
    INSERT INTO store.alert (device, kind, key, state, severity, opened_at, changed_at, sentence, explanation)
    VALUES (for_device, for_kind, for_key, 'open', new_severity, at, at, new_sentence, new_explanation) RETURNING * INTO live;
  END IF;
  INSERT INTO store.alert_event (device, alert, place, at, change, actor, detail)
  SELECT for_device, live.id, coalesce(max(place), 0) + 1, raise_alert.at,
         CASE live.count WHEN 1 THEN 'opened' ELSE 'repeated' END, for_kind, new_sentence
  FROM store.alert_event WHERE device = for_device AND alert = live.id;
  RETURN live.count = 1;
END $$;

-- As before (0012).
CREATE OR REPLACE FUNCTION store.note_batches(keys bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO store.stale (device, hour)
  SELECT DISTINCT r.device, date_trunc('hour', r.time, 'UTC') FROM store.report r JOIN store.device d ON d.id = r.device AND d.life <> 'erased'
  WHERE r.batch = ANY (keys) AND r.set > 0 AND r.marks & 6 = 0 ORDER BY 1, 2
  ON CONFLICT DO NOTHING;
  INSERT INTO store.latest AS l (device, set, time, values, texts)
  SELECT DISTINCT ON (r.device, r.set) r.device, r.set, r.time, r.values, r.texts
  FROM store.report r JOIN store.device d ON d.id = r.device AND d.life <> 'erased'
  WHERE r.batch = ANY (keys) AND r.set > 0 AND r.marks & 6 = 0 ORDER BY r.device, r.set, r.time DESC, r.publisher, r.boot DESC, r.sequence DESC
  ON CONFLICT (device, set) DO UPDATE SET time = excluded.time, values = excluded.values, texts = excluded.texts
  WHERE excluded.time >= l.time;
END $$;

REVOKE ALL ON FUNCTION store.digest_of, store.look_for_tombstone, store.hold_erasures, store.fence, store.is_erased, store.without_names(text, text[]), store.without_names(jsonb, text[]),
  store.delete_letters, store.delete_connectivity, store.delete_reports, store.delete_devices, store.begin_erasure, store.finish_erasure,
  store.finish_erasures, store.retained_cleared, store.journal_forgot, store.feed_is_new FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.fence, store.retained_cleared, store.journal_forgot TO vedette_ingest;
GRANT EXECUTE ON FUNCTION store.hold_erasures, store.is_erased TO vedette_analysis;
GRANT EXECUTE ON FUNCTION store.finish_erasures TO vedette_keeper;
GRANT SELECT ON store.installation, store.tombstone, store.erasure, store.erasing TO vedette_ingest;
GRANT SELECT ON vedette.erasure TO vedette_console, vedette_grafana;