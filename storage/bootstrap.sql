-- What only a database superuser can do, once, before the first `vedette migrate`. Run in the database `vedette`.
-- Running it again changes nothing. No role has a password: people and daemons come by peer, certificate or SCRAM as the
-- administrator of the server decides (docs/store.md).
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['vedette_admin', 'vedette_ingest', 'vedette_analysis', 'vedette_keeper', 'vedette_console',
                             'vedette_grafana']
  LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', name);
    END IF;
  END LOOP;
  EXECUTE format('ALTER DATABASE %I OWNER TO vedette_admin', current_database());
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO vedette_ingest, vedette_analysis, vedette_keeper, vedette_console, vedette_grafana',
                 current_database());
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO vedette_ingest', current_database());
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
