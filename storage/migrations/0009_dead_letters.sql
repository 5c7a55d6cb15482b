-- Dead letters can be replayed: they are kept whole as far as the caps of ingest go, have a number that people can type, and a state.
--   open      kept, nothing was done about it
--   queued    somebody asked for a replay; `claimed_by` is the feed whose worker is at it
--   replayed  handed back to a worker's journal; what became of it there is a record like any other
--   dropped   somebody let it go: the row stays, for the ledger, without its payload
ALTER TABLE store.dead_letter
  ADD COLUMN id         bigint GENERATED ALWAYS AS IDENTITY,
  ADD COLUMN state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'queued', 'replayed', 'dropped')),
  ADD COLUMN whole      boolean NOT NULL DEFAULT true,   -- topic and payload are complete
  ADD COLUMN marks      smallint NOT NULL DEFAULT 0,     -- as report.marks; 1: came of a replay
  ADD COLUMN changed_at timestamptz,                     -- of the last change of state …
  ADD COLUMN changed_by text,                            -- … and who asked for it
  ADD COLUMN claimed_by integer,
  ADD COLUMN claimed_at timestamptz;
UPDATE store.dead_letter SET whole = octet_length(payload) = size;
CREATE INDEX dead_letter_id ON store.dead_letter (id);
CREATE INDEX dead_letter_queued ON store.dead_letter (id) WHERE state = 'queued';

-- What a device says it runs in a report of the past is no news.
ALTER TABLE store.firmware ADD COLUMN marks smallint NOT NULL DEFAULT 0;   -- as report.marks

-- Takes queued letters for a worker: those that nobody has, those that this very feed claimed earlier (its worker died, or did not get
-- through with them), and those of retired feeds. At most so many, and no further one after so many bytes.
CREATE FUNCTION store.claim_letters(for_feed integer, at_most integer, at_most_bytes bigint)
RETURNS TABLE (id bigint, topic text, payload bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH next AS (
    SELECT q.id, q.device, q.batch, q.record, octet_length(q.payload)::bigint AS bytes
    FROM store.dead_letter q LEFT JOIN store.feed f ON f.id = q.claimed_by
    WHERE q.state = 'queued' AND (q.claimed_by IS NULL OR q.claimed_by = for_feed OR f.retired_at IS NOT NULL)
    ORDER BY q.id LIMIT at_most FOR UPDATE OF q SKIP LOCKED),
  few AS (
    SELECT n.* FROM (SELECT next.*, sum(bytes) OVER (ORDER BY id) - bytes AS before FROM next) n WHERE n.before < at_most_bytes),
  claimed AS (
    UPDATE store.dead_letter l SET claimed_by = for_feed, claimed_at = clock_timestamp()
    FROM few WHERE l.device = few.device AND l.batch = few.batch AND l.record = few.record
    RETURNING l.id, l.topic, l.payload)
  SELECT c.id, c.topic, c.payload FROM claimed c ORDER BY c.id
$$;

-- Says that claimed letters are in the journal of the feed, on the disk.
CREATE FUNCTION store.letters_replayed(for_feed integer, ids bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  UPDATE store.dead_letter SET state = 'replayed', changed_at = clock_timestamp(), claimed_by = NULL
  WHERE id = ANY (ids) AND state = 'queued' AND claimed_by = for_feed
$$;

-- Asks for a replay of open letters; returns how many of these were open and whole.
CREATE FUNCTION store.queue_letters(ids bigint[], who text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH done AS (
    UPDATE store.dead_letter SET state = 'queued', changed_at = clock_timestamp(), changed_by = who
    WHERE id = ANY (ids) AND state = 'open' AND whole RETURNING 1)
  SELECT count(*) FROM done
$$;

-- Lets letters go that are open, or queued and not in a worker's hands yet; returns how many of these were.
CREATE FUNCTION store.drop_letters(ids bigint[], who text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH done AS (
    UPDATE store.dead_letter SET state = 'dropped', payload = '', whole = false, changed_at = clock_timestamp(), changed_by = who
    WHERE id = ANY (ids) AND (state = 'open' OR state = 'queued' AND claimed_by IS NULL) RETURNING 1)
  SELECT count(*) FROM done
$$;
REVOKE ALL ON FUNCTION store.claim_letters, store.letters_replayed, store.queue_letters, store.drop_letters FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.claim_letters, store.letters_replayed TO vedette_ingest;

CREATE OR REPLACE VIEW vedette.dead_letter AS
SELECT l.received, l.device, coalesce(d.credential, '') AS credential, vedette.reason_name(l.reason) AS reason, l.detail, l.topic,
       l.boot, l.sequence, l.size, l.batch, l.record, l.id, l.state, l.whole, l.changed_at, l.changed_by
FROM store.dead_letter l LEFT JOIN store.device d ON d.id = l.device;

-- What a letter holds: telemetry, so not for everybody who may read that it exists.
CREATE FUNCTION vedette.dead_letter_payload(for_id bigint) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT payload FROM store.dead_letter WHERE id = for_id
$$;
REVOKE ALL ON FUNCTION vedette.dead_letter_payload FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vedette.dead_letter_payload TO vedette_console;
