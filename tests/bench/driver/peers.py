"""What else one could put between a broker and PostgreSQL, on the firehose with the same reports as JSON texts."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.processes import Process, wait_until

from . import cpu
from .lab import LONGEST_S, Lab, json_lines

NODE = Path("/usr/bin/node")
# After the COPY of the raw texts: parse, validate, typed arrays, duplicates refused.
PARSE = """
INSERT INTO bench.metric_set (names)
  SELECT DISTINCT (SELECT string_agg(k, ' ') FROM json_object_keys(payload::json -> 'values') k) FROM bench.raw
  ON CONFLICT DO NOTHING;
INSERT INTO bench.report (time, received, boot, sequence, device, set, values)
  SELECT to_timestamp((j ->> 'time')::bigint / 1e6), now(), (j ->> 'boot')::bigint, (j ->> 'sequence')::bigint,
         substr(split_part(topic, '/', 3), 5)::integer, s.id, v.list
  FROM (SELECT topic, payload::json AS j FROM bench.raw) r,
       LATERAL (SELECT string_agg(key, ' ') AS names,
                       array_agg(CASE value WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE value::double precision END) AS list,
                       bool_and(key ~ '^[a-z0-9._/-]{1,64}$') AS named
                FROM json_each_text(j -> 'values')) v
       JOIN bench.metric_set s ON s.names = v.names
  WHERE v.named AND (j ->> 'boot')::bigint > 0 AND (j ->> 'sequence')::bigint > 0
    AND to_timestamp((j ->> 'time')::bigint / 1e6) BETWEEN now() - interval '30 days' AND now() + interval '5 minutes'
  ON CONFLICT DO NOTHING
"""


def psql(lab: Lab, work: bool = False) -> dict[str, float]:
    """mosquitto_sub into psql's COPY: one table of texts; with `work`, parsed by SQL afterwards."""
    lab.empty_store()
    count = lab.scale.reports + lab.scale.warm
    hose = lab.firehose(lab.scale.reports, json_text=True)
    pki = lab.folder / "pki"
    subscriber = (f"mosquitto_sub -V mqttv5 -D connect receive-maximum 1000 -h 127.0.0.1 -p {lab.firehose_port} --cafile {pki}/ca.crt"
                  f" --cert {pki}/ingest.crt --key {pki}/ingest.key -i peer -q 1 -C {count} -t 'vedette/v1/+/report' -F '%t\\t%p'")
    store = f"psql -X -q -v ON_ERROR_STOP=1 -h {lab.stack.postgres.socket} -U vedette_ingest -d vedette -c 'COPY bench.raw FROM STDIN'"
    if work:
        parse = lab.folder / "parse.sql"
        parse.write_text(PARSE, encoding="utf-8")
        store += f" -f {parse}"
    return _measure(lab, hose, ["/bin/bash", "-c", f"set -o pipefail; {subscriber} | {store}"], count, work)


def node(lab: Lab, work: bool = False) -> dict[str, float]:
    """A Node client with mqtt and pg, batches of 2,000 by unnest."""
    lab.empty_store()
    folder = node_folder(lab)
    count = lab.scale.reports + lab.scale.warm
    hose = lab.firehose(lab.scale.reports, json_text=True)
    pki = lab.folder / "pki"
    argv: list[str | Path] = [NODE, folder / "peer.js", "work" if work else "raw", str(lab.firehose_port), pki / "ca.crt", pki / "ingest.crt",
            pki / "ingest.key", lab.stack.postgres.socket, str(count)]
    return _measure(lab, hose, argv, count, work)


def _measure(lab: Lab, hose: Process, argv: list[str | Path], count: int, work: bool) -> dict[str, float]:
    store_before = cpu.of_family(lab.postmaster)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    peer = lab.process("peer", argv)
    if not wait_until(lambda: peer.exit_code() is not None, LONGEST_S, step=0.005):
        raise StackError(f"the peer did not end within {LONGEST_S:.0f} s")
    ended_us = time.time_ns() // 1000
    after = resource.getrusage(resource.RUSAGE_CHILDREN)  # the peer is the only child that was waited for meanwhile
    if peer.exit_code() != 0:
        raise StackError(peer.failure())
    played = lab.played(hose)
    hose.stop()
    said = json_lines(peer)
    ((rows,),) = lab.sql(f"SELECT count(*) FROM bench.{'report' if work else 'raw'}")
    if rows != count:
        raise StackError(f"the peer stored {rows} of {count} messages")
    ended_us = int(said[0]["end_us"]) if said else ended_us
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"per_s": played.measured / ((ended_us - played.first_us) / 1e6), "cpu_us": used * 1e6 / count,
            "acknowledged_per_s": played.measured / ((played.last_us - played.first_us) / 1e6),
            "postgres_us": (cpu.of_family(lab.postmaster) - store_before).total / count}


def node_folder(lab: Lab) -> Path:
    """The peer with its packages, installed once a run."""
    folder = lab.folder / "node"
    if (folder / "node_modules").exists():
        return folder
    shutil.copytree(lab.root / "tests" / "bench" / "node", folder, dirs_exist_ok=True)
    try:
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True,
                              timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"npm ci failed: {error}") from None
    if done.returncode != 0:
        raise StackError(f"npm ci failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(base, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return folder


def available(lab: Lab) -> str:
    """Why the Node client cannot be measured here; empty if it can."""
    if not NODE.exists():
        return "Node is not installed"
    try:
        node_folder(lab)
    except StackError as error:
        return str(error)
    return ""
