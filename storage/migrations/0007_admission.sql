-- What neither a row nor a dead letter tells analysis: for each device and reason, how many messages of the batch were shed, or rejected
-- past the dead letters that are kept. Same length.
ALTER TABLE store.batch
  ADD COLUMN unkept_devices integer[] NOT NULL DEFAULT '{}',
  ADD COLUMN unkept_reasons integer[] NOT NULL DEFAULT '{}',  -- vedette.v1.Reason
  ADD COLUMN unkept_counts integer[] NOT NULL DEFAULT '{}';
