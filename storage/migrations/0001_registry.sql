-- Schemas: `store` holds tables, for the daemons; `vedette` holds what people and Grafana read: views and functions.
-- Rules for every table here: no role but vedette_admin owns anything; the device is in every unique key of what grows with the
-- devices, so that the store can be distributed by device; no foreign key crosses from one of those to another.
CREATE SCHEMA store;
CREATE SCHEMA vedette;
GRANT USAGE ON SCHEMA store TO vedette_ingest, vedette_analysis;
GRANT USAGE ON SCHEMA vedette TO vedette_ingest, vedette_analysis, vedette_console, vedette_grafana;

CREATE TABLE store.model (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name        text NOT NULL UNIQUE,
  cadence     interval,                    -- expected time between reports, a prior for new devices
  created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE store.owner (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name        text NOT NULL UNIQUE
);

-- A device's number is never reused; its credential name may move to another device.
CREATE TABLE store.device (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  credential  text NOT NULL UNIQUE CHECK (octet_length(credential) BETWEEN 1 AND 128
                                          AND credential !~ '[/+#[:cntrl:]]'),
  model       integer NOT NULL REFERENCES store.model,
  firmware    text,                        -- as delivered; what runs is in store.firmware
  region      text,
  time_zone   text NOT NULL DEFAULT 'UTC',
  site        text,
  gateway     integer REFERENCES store.device,   -- may speak for this device
  owner       integer REFERENCES store.owner,
  critical    boolean NOT NULL DEFAULT false,    -- its silence is an alert by itself
  life        text NOT NULL DEFAULT 'active' CHECK (life IN ('provisioned', 'active', 'quarantined', 'retired', 'erased')),
  created_at  timestamptz NOT NULL DEFAULT now(),
  changed     xid8 NOT NULL DEFAULT pg_current_xact_id()  -- lets readers ask for what was committed since their last look
);
CREATE INDEX device_changed ON store.device (changed);
CREATE INDEX device_gateway ON store.device (gateway) WHERE gateway IS NOT NULL;

CREATE FUNCTION store.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed := pg_current_xact_id();
  RETURN NEW;
END $$;
CREATE TRIGGER device_touch BEFORE UPDATE ON store.device FOR EACH ROW EXECUTE FUNCTION store.touch();

-- Known firmware images of a model. A model with none is not judged.
CREATE TABLE store.firmware_release (
  model       integer NOT NULL REFERENCES store.model,
  version     text NOT NULL,
  image_hash  bytea NOT NULL CHECK (octet_length(image_hash) = 32),
  released_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (model, image_hash)
);

CREATE TABLE store.metric (
  id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name  text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9._/-]{1,64}$')
);

-- The metrics a model uses: declared for it, or first seen from one of its devices.
CREATE TABLE store.model_metric (
  model   integer NOT NULL REFERENCES store.model,
  metric  integer NOT NULL REFERENCES store.metric,
  kind    text CHECK (kind IN ('gauge', 'counter', 'state')),
  unit    text,                            -- UCUM
  PRIMARY KEY (model, metric)
);

-- Which metrics a row of values has, in the order of its values (ascending metric number). Numbered per device.
CREATE TABLE store.metric_set (
  device   integer NOT NULL,
  set      smallint NOT NULL,
  metrics  integer[] NOT NULL,
  PRIMARY KEY (device, set)
);

-- Returns the numbers of the named metrics, in the order asked; NULL for a name past the model's limit.
-- Runs in a transaction of its own, so that concurrent workers wait for each other only for a moment.
CREATE FUNCTION store.intern_metrics(for_model integer, names text[], name_limit integer) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  used integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('store.intern_metrics'), for_model);
  SELECT count(*) INTO used FROM store.model_metric WHERE model = for_model;
  WITH wanted AS (
    SELECT n, min(o) AS o FROM unnest(names) WITH ORDINALITY AS u(n, o)
    WHERE NOT EXISTS (SELECT FROM store.metric m JOIN store.model_metric mm ON mm.metric = m.id
                      WHERE m.name = u.n AND mm.model = for_model)
    GROUP BY n ORDER BY o LIMIT greatest(name_limit - used, 0)
  ), made AS (
    INSERT INTO store.metric (name) SELECT n FROM wanted ORDER BY n
    ON CONFLICT (name) DO UPDATE SET name = excluded.name
    RETURNING id
  )
  INSERT INTO store.model_metric (model, metric) SELECT for_model, id FROM made ON CONFLICT DO NOTHING;
  RETURN (SELECT array_agg(mm.metric ORDER BY u.o)
          FROM unnest(names) WITH ORDINALITY AS u(n, o)
          LEFT JOIN store.metric m ON m.name = u.n
          LEFT JOIN store.model_metric mm ON mm.metric = m.id AND mm.model = for_model);
END $$;

-- Returns the number of a device's metric set, made if need be; NULL past the limit.
CREATE FUNCTION store.intern_set(for_device integer, for_metrics integer[], set_limit integer) RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  found smallint;
  used integer;
BEGIN
  SELECT set INTO found FROM store.metric_set WHERE device = for_device AND metrics = for_metrics;
  IF found IS NULL THEN
    PERFORM pg_advisory_xact_lock(hashtext('store.intern_set'), for_device);
    SELECT set INTO found FROM store.metric_set WHERE device = for_device AND metrics = for_metrics;
  END IF;
  IF found IS NOT NULL THEN
    RETURN found;
  END IF;
  SELECT count(*) INTO used FROM store.metric_set WHERE device = for_device;
  IF used >= set_limit THEN
    RETURN NULL;
  END IF;
  INSERT INTO store.metric_set (device, set, metrics) VALUES (for_device, used + 1, for_metrics);
  RETURN used + 1;
END $$;

-- Unit and kind that a device declared; the first declaration of a model holds until an operator changes it.
CREATE FUNCTION store.declare_metric(for_model integer, for_metric integer, new_kind text, new_unit text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  UPDATE store.model_metric SET kind = coalesce(kind, new_kind), unit = coalesce(unit, new_unit)
  WHERE model = for_model AND metric = for_metric AND (kind IS NULL OR unit IS NULL);
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA store FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.intern_metrics, store.intern_set, store.declare_metric TO vedette_ingest;
GRANT SELECT ON store.model, store.device, store.metric, store.model_metric, store.metric_set TO vedette_ingest;
GRANT SELECT ON store.model, store.device, store.metric, store.model_metric, store.metric_set, store.firmware_release
  TO vedette_analysis;
