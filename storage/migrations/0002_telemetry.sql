-- A journal is a feed of numbered batches. Its id is drawn when its folder is made, so a new folder is a new feed.
CREATE TABLE store.feed (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (id < 1 << 22),
  journal     uuid NOT NULL UNIQUE,
  worker      text NOT NULL,               -- the ingest worker's configured name
  opened_at   timestamptz NOT NULL DEFAULT now(),
  retired_at  timestamptz,                 -- set: fenced, takes no batch any more
  retired_why text
);
CREATE INDEX feed_worker ON store.feed (worker);

-- One row a committed batch, the first thing its transaction inserts: a commit that is repeated fails here and not on rows.
CREATE TABLE store.batch (
  feed         integer NOT NULL REFERENCES store.feed,
  number       bigint NOT NULL,            -- 1, 2, 3, … within the feed
  kind         text NOT NULL DEFAULT 'data' CHECK (kind IN ('data', 'lost', 'void')),
  first_record bigint NOT NULL,            -- journal records covered: [first_record, next_record)
  next_record  bigint NOT NULL,
  journaled    bigint NOT NULL,            -- records the journal held at commit: what a lost journal takes with it
  received_to  timestamptz NOT NULL,       -- all that the worker received before this is committed
  seeing_since timestamptz NOT NULL,       -- the worker has had its broker session without a break since
  committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  reports      integer NOT NULL DEFAULT 0, -- messages stored as reports
  rows         integer NOT NULL DEFAULT 0, -- rows of store.report with this batch
  connectivity integer NOT NULL DEFAULT 0, -- connectivity messages stored
  duplicates   integer NOT NULL DEFAULT 0,
  rejected     integer NOT NULL DEFAULT 0,
  shed         integer NOT NULL DEFAULT 0,
  days         date[] NOT NULL DEFAULT '{}',  -- days of device time its rows lie in
  PRIMARY KEY (feed, number),
  CHECK (next_record >= first_record),
  CHECK (kind <> 'data' OR reports + connectivity + duplicates + rejected + shed = next_record - first_record)
);
CREATE INDEX batch_committed ON store.batch (committed_at);

-- A batch's key in the rows: feed and number in one.
CREATE FUNCTION store.batch_key(feed integer, number bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (feed::bigint << 40) | number $$;

-- One row a message and distinct sample time. marks: 1 historical, 2 device has no clock, 4 clock ahead, 8 clock behind.
CREATE TABLE store.report (
  time        timestamptz NOT NULL,        -- device clock, as sent
  received    timestamptz NOT NULL,
  boot        bigint NOT NULL,             -- as sent; 64 bits, so large random ones show as negative
  sequence    bigint NOT NULL,
  batch       bigint NOT NULL,
  digest      bigint NOT NULL,             -- of the message: tells a duplicate from a conflict
  device      integer NOT NULL,            -- whom the values are about
  publisher   integer NOT NULL,            -- who sent them: the device itself or its gateway
  size        integer NOT NULL,            -- bytes of the message; 0 in the further rows of one message
  set         smallint NOT NULL,           -- 0: no samples
  marks       smallint NOT NULL,
  values      double precision[],          -- in the order of the set; NULL where the value is text
  texts       text[]                       -- same order; only where the set has texts, or integers beyond 2^53 (exact)
) PARTITION BY RANGE (time);
CREATE UNIQUE INDEX report_key ON store.report (device, time, publisher, boot, sequence);
CREATE INDEX report_batch ON store.report (batch);
CREATE TABLE store.report_default PARTITION OF store.report DEFAULT;

CREATE TABLE store.traffic (
  time          timestamptz NOT NULL,
  boot          bigint NOT NULL,
  sequence      bigint NOT NULL,
  batch         bigint NOT NULL,
  device        integer NOT NULL,
  publisher     integer NOT NULL,
  span          bigint NOT NULL,           -- length of the interval, microseconds
  bytes_in      bigint NOT NULL,
  bytes_out     bigint NOT NULL,
  packets_in    bigint NOT NULL,
  packets_out   bigint NOT NULL,
  connections   integer NOT NULL,
  destinations  integer NOT NULL,
  flow_address  inet[] NOT NULL,           -- flow_*: the largest flows, same order
  flow_port     integer[] NOT NULL,
  flow_transport smallint[] NOT NULL,      -- 1 TCP, 2 UDP, 3 ICMP
  flow_in       bigint[] NOT NULL,
  flow_out      bigint[] NOT NULL,
  listening_tcp integer[] NOT NULL,
  listening_udp integer[] NOT NULL
) PARTITION BY RANGE (time);
CREATE UNIQUE INDEX traffic_key ON store.traffic (device, time, publisher, boot, sequence);
CREATE INDEX traffic_batch ON store.traffic (batch);
CREATE TABLE store.traffic_default PARTITION OF store.traffic DEFAULT;

CREATE TABLE store.event (
  time        timestamptz NOT NULL,
  received    timestamptz NOT NULL,
  boot        bigint NOT NULL,
  sequence    bigint NOT NULL,
  batch       bigint NOT NULL,
  device      integer NOT NULL,
  publisher   integer NOT NULL,
  place       smallint NOT NULL,           -- within the message, from 0
  kind        smallint NOT NULL,           -- vedette.v1.EventKind
  count       integer NOT NULL,
  marks       smallint NOT NULL,           -- as report.marks
  source      inet,
  subject     text NOT NULL
) PARTITION BY RANGE (time);
CREATE UNIQUE INDEX event_key ON store.event (device, time, publisher, boot, sequence, place);
CREATE INDEX event_batch ON store.event (batch);
CREATE TABLE store.event_default PARTITION OF store.event DEFAULT;

-- What a device said it runs, at each report that said so.
CREATE TABLE store.firmware (
  time        timestamptz NOT NULL,
  received    timestamptz NOT NULL,
  boot        bigint NOT NULL,
  sequence    bigint NOT NULL,
  batch       bigint NOT NULL,
  device      integer NOT NULL,
  publisher   integer NOT NULL,
  verification smallint NOT NULL,          -- vedette.v1.BootVerification
  version     text NOT NULL,
  image_hash  bytea,
  PRIMARY KEY (device, time, publisher, boot, sequence)
);
CREATE INDEX firmware_batch ON store.firmware (batch);

CREATE TABLE store.connectivity (
  device      integer NOT NULL,
  boot        bigint NOT NULL,
  connection  bigint NOT NULL,
  state       smallint NOT NULL,           -- vedette.v1.ConnectivityState
  received    timestamptz NOT NULL,
  time        timestamptz,                 -- device clock; a will has none
  until       timestamptz,
  batch       bigint NOT NULL,
  retained    boolean NOT NULL,            -- seen at subscription: says nothing about when
  reason      text NOT NULL,
  PRIMARY KEY (device, boot, connection, state)
);
CREATE INDEX connectivity_batch ON store.connectivity (batch);

-- Rejected messages that are kept. device 0: nobody we know.
CREATE TABLE store.dead_letter (
  device      integer NOT NULL,
  batch       bigint NOT NULL,
  record      bigint NOT NULL,             -- journal record
  received    timestamptz NOT NULL,
  reason      smallint NOT NULL,           -- vedette.v1.Reason
  boot        bigint,                      -- where they could be read
  sequence    bigint,
  size        integer NOT NULL,            -- bytes of the whole payload
  topic       text NOT NULL,
  detail      text NOT NULL,
  payload     bytea NOT NULL,              -- its first bytes
  PRIMARY KEY (device, batch, record)
);
CREATE INDEX dead_letter_batch ON store.dead_letter (batch);
CREATE INDEX dead_letter_received ON store.dead_letter (received);

-- The ledger's exceptions: a row only where something other than `stored` happened; the rest is counted from the reports.
CREATE TABLE store.ledger (
  device      integer NOT NULL,
  minute      timestamptz NOT NULL,        -- of receipt
  feed        integer NOT NULL,
  term        text NOT NULL CHECK (term IN ('duplicate', 'rejected', 'shed')),
  reason      smallint NOT NULL,           -- vedette.v1.Reason; 0 for duplicates
  count       bigint NOT NULL,
  PRIMARY KEY (device, minute, feed, term, reason)
);

-- Opens a worker's feed and says where to go on. A new journal of the same worker retires the worker's earlier feeds: with the
-- folder their unstored records are gone, which their last batch row (kind `lost`) says.
CREATE FUNCTION store.open_feed(for_journal uuid, for_worker text,
                                OUT feed integer, OUT next_number bigint, OUT next_record bigint, OUT retired boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  old record;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('store.open_feed'), hashtext(for_worker));
  INSERT INTO store.feed (journal, worker) VALUES (for_journal, for_worker) ON CONFLICT (journal) DO NOTHING;
  SELECT f.id, f.retired_at IS NOT NULL INTO feed, retired FROM store.feed f WHERE f.journal = for_journal;
  IF NOT retired THEN
    FOR old IN SELECT f.id FROM store.feed f WHERE f.worker = for_worker AND f.id <> feed AND f.retired_at IS NULL LOOP
      PERFORM store.retire_feed(old.id, 'the worker came with a new journal');
    END LOOP;
  END IF;
  SELECT coalesce(max(b.number), 0) + 1 INTO next_number FROM store.batch b WHERE b.feed = open_feed.feed;
  -- A retired feed ends with a row that has no data: what it counts as lost the journal can still hand over to a new one.
  SELECT coalesce((SELECT CASE WHEN retired THEN b.first_record ELSE b.next_record END FROM store.batch b
                   WHERE b.feed = open_feed.feed ORDER BY b.number DESC LIMIT 1), 0) INTO next_record;
END $$;

-- Ends a feed: its next batch number is taken by a `lost` row (records that were journaled and not committed, as far as known) or a
-- `void` row, so that a worker that comes back from the dead fails on the batch key.
CREATE FUNCTION store.retire_feed(for_feed integer, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  last store.batch;
BEGIN
  UPDATE store.feed SET retired_at = clock_timestamp(), retired_why = why WHERE id = for_feed AND retired_at IS NULL;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  LOOP
    SELECT * INTO last FROM store.batch WHERE feed = for_feed ORDER BY number DESC LIMIT 1;
    BEGIN
      IF last.feed IS NULL THEN
        INSERT INTO store.batch (feed, number, kind, first_record, next_record, journaled, received_to, seeing_since)
        VALUES (for_feed, 1, 'void', 0, 0, 0, clock_timestamp(), clock_timestamp());
      ELSE
        INSERT INTO store.batch (feed, number, kind, first_record, next_record, journaled, received_to, seeing_since)
        VALUES (for_feed, last.number + 1, CASE WHEN last.journaled > last.next_record THEN 'lost' ELSE 'void' END,
                last.next_record, greatest(last.journaled, last.next_record), last.journaled, last.received_to, last.seeing_since);
      END IF;
      RETURN;
    EXCEPTION WHEN unique_violation THEN
      NULL;  -- the worker lives, and its commit was first: the row goes behind that one
    END;
  END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA store FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.intern_metrics, store.intern_set, store.declare_metric, store.open_feed, store.batch_key TO vedette_ingest;
GRANT EXECUTE ON FUNCTION store.batch_key TO vedette_analysis;
GRANT SELECT, INSERT ON store.batch, store.report, store.traffic, store.event, store.firmware, store.connectivity, store.dead_letter
  TO vedette_ingest;
GRANT SELECT, INSERT, UPDATE ON store.ledger TO vedette_ingest;
GRANT SELECT ON store.feed, store.batch, store.report, store.traffic, store.event, store.firmware, store.connectivity,
  store.dead_letter TO vedette_analysis;
GRANT SELECT ON store.feed TO vedette_ingest;
