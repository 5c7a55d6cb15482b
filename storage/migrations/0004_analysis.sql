-- A lane is a set of shards (device % 64) that one analysis worker works through. The rows are its cursor and, by `step`, the
-- order in which it took the batches of all feeds: after a crash the same order is run again from the checkpoint.
CREATE TABLE store.analysed_batch (
  lane      smallint NOT NULL,
  step      bigint NOT NULL,
  feed      integer NOT NULL,
  number    bigint NOT NULL,
  rows      integer NOT NULL,              -- rows of store.report seen; differs from batch.rows only if something is wrong
  analysed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (lane, step),
  UNIQUE (lane, feed, number)
);
CREATE INDEX analysed_batch_feed ON store.analysed_batch (feed, number);

CREATE TABLE store.checkpoint (
  lane      smallint PRIMARY KEY,
  step      bigint NOT NULL,               -- states are as of after this step
  version   integer NOT NULL,              -- of the state's layout
  feeds     jsonb NOT NULL,                -- clock of each feed
  taken_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE store.detector_state (
  lane      smallint NOT NULL,
  device    integer NOT NULL,
  state     bytea NOT NULL,
  PRIMARY KEY (lane, device)
);

-- Connectivity as analysis judges it; history in connectivity_change.
CREATE TABLE store.connectivity_now (
  device      integer PRIMARY KEY,
  state       text NOT NULL,
  since       timestamptz NOT NULL,
  reason      text NOT NULL
);
CREATE TABLE store.connectivity_change (
  device      integer NOT NULL,
  step        bigint NOT NULL,
  place       integer NOT NULL,            -- within the step
  at          timestamptz NOT NULL,
  state       text NOT NULL,
  reason      text NOT NULL,
  PRIMARY KEY (device, step, place)
);
CREATE INDEX connectivity_change_at ON store.connectivity_change (device, at);

-- device 0: Vedette itself.
CREATE TABLE store.alert (
  id          bigint GENERATED ALWAYS AS IDENTITY,
  device      integer NOT NULL,
  kind        text NOT NULL,
  key         text NOT NULL DEFAULT '',
  state       text NOT NULL CHECK (state IN ('open', 'acknowledged', 'cleared', 'invalidated')),
  severity    text NOT NULL CHECK (severity IN ('info', 'warning', 'major', 'critical')),
  opened_at   timestamptz NOT NULL,        -- event time
  changed_at  timestamptz NOT NULL,        -- event time
  cleared_at  timestamptz,                 -- event time
  raised_at   timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when the row was written
  count       integer NOT NULL DEFAULT 1,
  sentence    text NOT NULL,
  explanation jsonb NOT NULL,
  PRIMARY KEY (device, id)
);
CREATE UNIQUE INDEX alert_live ON store.alert (device, kind, key) WHERE state IN ('open', 'acknowledged');
CREATE INDEX alert_opened ON store.alert (opened_at);
CREATE INDEX alert_id ON store.alert (id);   -- `vedette alert show ID`

CREATE TABLE store.alert_event (
  entry       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,  -- what `vedette tail` follows
  device      integer NOT NULL,
  alert       bigint NOT NULL,
  place       integer NOT NULL,            -- 1, 2, 3, … of this alert
  at          timestamptz NOT NULL,        -- event time, or the time of a person's act
  change      text NOT NULL,               -- opened, repeated, cleared, …
  actor       text NOT NULL,               -- the detector or the person
  detail      text NOT NULL,
  PRIMARY KEY (device, alert, place)
);

-- Raises an alert, or counts a repetition of the live one. True when it is new.
CREATE FUNCTION store.raise_alert(for_device integer, for_kind text, for_key text, new_severity text, at timestamptz,
                                  new_sentence text, new_explanation jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  live store.alert;
BEGIN
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

CREATE FUNCTION store.clear_alert(for_device integer, for_kind text, for_key text, at timestamptz, why text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  gone bigint;
BEGIN
  UPDATE store.alert SET state = 'cleared', cleared_at = at, changed_at = at
  WHERE device = for_device AND kind = for_kind AND key = for_key AND state IN ('open', 'acknowledged') RETURNING id INTO gone;
  IF gone IS NULL THEN
    RETURN false;
  END IF;
  INSERT INTO store.alert_event (device, alert, place, at, change, actor, detail)
  SELECT for_device, gone, coalesce(max(place), 0) + 1, clear_alert.at, 'cleared', for_kind, why
  FROM store.alert_event WHERE device = for_device AND alert = gone;
  RETURN true;
END $$;

REVOKE ALL ON FUNCTION store.raise_alert, store.clear_alert FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.raise_alert, store.clear_alert TO vedette_analysis;
GRANT SELECT, INSERT ON store.analysed_batch, store.connectivity_change TO vedette_analysis;
GRANT SELECT, INSERT, UPDATE ON store.checkpoint, store.detector_state, store.connectivity_now TO vedette_analysis;
GRANT SELECT ON store.alert TO vedette_analysis;
