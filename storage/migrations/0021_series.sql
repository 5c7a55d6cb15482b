-- What was learned of the values of a device, as of the checkpoint; see analysis/values.h.
CREATE TABLE store.series_state (
  lane   smallint NOT NULL,
  device integer NOT NULL,
  metric integer NOT NULL,                 -- below 0: of the device's own traffic
  state  bytea NOT NULL,
  PRIMARY KEY (lane, device, metric)
);
CREATE VIEW vedette.series_learned AS
SELECT d.credential, CASE WHEN s.metric < 0 THEN t.name ELSE m.name END AS metric, t.unit, s.state, c.taken_at AS as_of
FROM store.series_state s
JOIN store.device d ON d.id = s.device AND d.life <> 'erased'
JOIN store.checkpoint c ON c.lane = s.lane
LEFT JOIN store.metric m ON m.id = s.metric
LEFT JOIN (VALUES (-1, 'bytes out', 'bytes/s'), (-2, 'bytes in', 'bytes/s'), (-3, 'packets out', 'packets/s'), (-4, 'packets in', 'packets/s'),
                  (-5, 'connections', ''), (-6, 'destinations', ''), (-7, 'listening ports', '')) AS t (metric, name, unit) ON t.metric = s.metric;
GRANT SELECT ON vedette.series_learned TO vedette_console, vedette_grafana, vedette_analysis;
GRANT SELECT, INSERT, UPDATE ON store.series_state TO vedette_analysis;
INSERT INTO store.about_devices VALUES (18, 'series_state', 'device');
