// A subscriber as one would write it in Node: MQTT 5 with QoS 1, batches of 2,000 into PostgreSQL by `unnest`.
//
//   node peer.js MODE PORT CA CERT KEY SOCKET_FOLDER COUNT
//
// MODE raw: topic and payload as text into bench.raw. MODE work: parse, validate, intern the metric set, typed arrays into
// bench.report, what is there already refused by its key. Ends when COUNT messages are committed, and prints one line of JSON.
'use strict';

const fs = require('fs');
const mqtt = require('mqtt');
const pg = require('pg');

const BATCH = 2000;
const AGE_MS = 100;
const WAITING_MOST = 20000; // messages not yet committed; above it the socket is not read

const [mode, port, ca, cert, key, socket, countText] = process.argv.slice(2);
const count = Number(countText);
if (!['raw', 'work'].includes(mode) || !(count > 0)) {
  process.stderr.write('usage: node peer.js raw|work PORT CA CERT KEY SOCKET_FOLDER COUNT\n');
  process.exit(2);
}

const pool = new pg.Pool({ host: socket, user: 'vedette_ingest', database: 'vedette', max: 2 });
let waiting = [];
let inFlight = 0; // messages in statements that run
let running = 0; // statements that run
let committed = 0;
let refused = 0;
let stored = 0;
let timer = null;
const sets = new Map(); // metric names, joined → number of the set

function fail(error) {
  process.stderr.write(`${error && error.stack ? error.stack : error}\n`);
  process.exit(1);
}

const RAW = {
  name: 'raw',
  text: 'INSERT INTO bench.raw (topic, payload) SELECT * FROM unnest($1::text[], $2::text[])',
};
const WORK = {
  name: 'work',
  text: `INSERT INTO bench.report (time, received, boot, sequence, device, set, values)
    SELECT to_timestamp(t.time / 1e6), to_timestamp(t.received / 1e6), t.boot, t.sequence, t.device, t.set, t.values::float8[]
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::smallint[], $7::text[])
      AS t(time, received, boot, sequence, device, set, values)
    ORDER BY t.device, t.time, t.boot, t.sequence
    ON CONFLICT DO NOTHING`,
};

async function storeRaw(messages) {
  const topics = new Array(messages.length);
  const payloads = new Array(messages.length);
  for (let i = 0; i < messages.length; i++) {
    topics[i] = messages[i].topic;
    payloads[i] = messages[i].payload.toString();
  }
  return pool.query({ ...RAW, values: [topics, payloads] });
}

const NAME = /^[a-z0-9._/-]{1,64}$/;
const KEEP_US = 30 * 86400e6;
const AHEAD_US = 300e6;

// The report in a message, or null when it is not one.
function parse(message) {
  let report;
  try {
    report = JSON.parse(message.payload);
  } catch {
    return null;
  }
  const parts = message.topic.split('/');
  const device = Number(parts[2].slice(4));
  const { boot, sequence, time, values } = report;
  if (!Number.isInteger(device) || !Number.isInteger(boot) || boot < 1 || !Number.isInteger(sequence) || sequence < 1 ||
      !Number.isInteger(time) || time < message.received - KEEP_US || time > message.received + AHEAD_US ||
      typeof values !== 'object' || values === null) {
    return null;
  }
  const names = Object.keys(values);
  if (names.length > 1024) {
    return null;
  }
  const numbers = new Array(names.length);
  for (let i = 0; i < names.length; i++) {
    const value = values[names[i]];
    const number = typeof value === 'boolean' ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isFinite(number)) {
      return null;
    }
    numbers[i] = number;
  }
  return { device, boot, sequence, time, received: message.received, names: names.join(' '), numbers };
}

async function numberOf(names) {
  if (!names.split(' ').every((name) => NAME.test(name))) {
    return null;
  }
  const found = await pool.query('INSERT INTO bench.metric_set (names) VALUES ($1) ON CONFLICT (names) DO UPDATE SET names = $1 RETURNING id',
    [names]);
  sets.set(names, found.rows[0].id);
  return found.rows[0].id;
}

async function storeWork(messages) {
  const columns = [[], [], [], [], [], [], []];
  for (const message of messages) {
    const report = parse(message);
    const set = report === null ? null : sets.get(report.names) ?? await numberOf(report.names);
    if (set === null) {
      refused++;
      continue;
    }
    columns[0].push(report.time);
    columns[1].push(report.received);
    columns[2].push(report.boot);
    columns[3].push(report.sequence);
    columns[4].push(report.device);
    columns[5].push(set);
    columns[6].push(`{${report.numbers.join(',')}}`);
  }
  return pool.query({ ...WORK, values: columns });
}

async function flush() {
  clearTimeout(timer);
  timer = null;
  if (waiting.length === 0 || running >= 2) {
    return;
  }
  const messages = waiting.splice(0, BATCH);
  inFlight += messages.length;
  running++;
  const result = await (mode === 'raw' ? storeRaw(messages) : storeWork(messages));
  running--;
  inFlight -= messages.length;
  committed += messages.length;
  stored += result.rowCount;
  if (committed >= count) {
    finish();
    return;
  }
  if (waiting.length + inFlight < WAITING_MOST / 2 && client.stream.isPaused()) {
    client.stream.resume();
  }
  schedule();
}

function schedule() {
  if (waiting.length >= BATCH) {
    flush().catch(fail);
  } else if (waiting.length > 0 && timer === null) {
    timer = setTimeout(() => flush().catch(fail), AGE_MS);
  }
}

function finish() {
  const used = process.cpuUsage();
  process.stdout.write(`${JSON.stringify({ committed, stored, refused, end_us: Date.now() * 1000, cpu_us: used.user + used.system })}\n`);
  client.end(true, () => pool.end().then(() => process.exit(0)));
}

const client = mqtt.connect({
  protocol: 'mqtts', host: '127.0.0.1', port: Number(port), protocolVersion: 5, clientId: 'peer', clean: true, reconnectPeriod: 0,
  ca: fs.readFileSync(ca), cert: fs.readFileSync(cert), key: fs.readFileSync(key), properties: { receiveMaximum: 1000 },
});
client.on('error', fail);
client.on('connect', () => client.subscribe('vedette/v1/+/report', { qos: 1 }, (error) => error && fail(error)));
client.on('message', (topic, payload) => {
  waiting.push({ topic, payload, received: Date.now() * 1000 });
  if (waiting.length + inFlight > WAITING_MOST) {
    client.stream.pause();
  }
  if (waiting.length >= BATCH || timer === null) {
    schedule();
  }
});
