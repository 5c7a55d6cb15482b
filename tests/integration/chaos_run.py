"""A run of chaos: simulated devices publish through a real Mosquitto into a real PostgreSQL while chaos_faults.py does its worst;
then everything is counted. The simulator's own record says what was acknowledged to devices, the broker's log what ingest
acknowledged."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import books
from chaos_faults import BROKER, DISK_MIB, Cut, Fault, Hands
from deploy.local.processes import wait_until
from deploy.local.stack import Simulation, Stack, is_ready
from support import Installation, Wire

TAIL_S = 5.0     # everything is well, devices go on: what is lost shows as a gap only when later reports arrive
HEAL_S = 90.0    # until all are ready again
STEP_S = 0.1
SETTINGS = {
    "store": {"host": "./cut"},  # the daemons come to the database through the cut
    "ingest": {"journal": {"segment_mib": 1, "keep_mib": 2, "high_mib": DISK_MIB // 2, "low_mib": DISK_MIB // 4}},
    "analysis": {"checkpoint_s": 5},
}
SENT = re.compile(r"Sending PUBLISH to vedette/ingest-1 \(d\d, q1, r\d, m(\d+), 'vedette/v1/([^/]+)/")
TAKEN = re.compile(r"Received PUBACK from vedette/ingest-1 \(Mid: (\d+)")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Load:
    """What the devices do."""

    devices: int
    rate: int     # reports a second, of all together
    samples: int  # a report; many make the journal need a new segment, of 1 MiB, each few seconds
    keep: bool    # devices keep reports until they are stored: then nothing may be lost at all


def run(stack: Stack, faults: list[Fault], load: Load, seed: int, say: Say) -> None:
    """Everything: start, faults, healing, tail, drain, checks. The stack is prepared with SETTINGS and its store runs, migrated. An
    AssertionError says what does not add up."""
    installation = Installation(stack, Wire(ModuleType("none")))
    cut = Cut(stack.account.folder(stack.folder / "cut", 0o755), stack.postgres.socket)
    hands = Hands(stack, cut)
    try:
        stack.start_broker()
        stack.register_simulated(Simulation(load.devices))
        stack.start_ingest()
        stack.start_analysis()
        start_devices(stack, load, seed, max(fault.until for fault in faults))
        suffer(hands, faults, say)
        heal(stack, hands, load, say)
        tell_alerts(installation, say)
        settle(installation, say)
        check(installation, load, faults, say)
        say("faults: " + ", ".join(f"{count} × {what}" for what, count in sorted(hands.done.items()))
            + (f"; the worker left {hands.restarts} times because of a full disk" if hands.restarts else ""))
    finally:
        hands.release()
        installation.close()
        stack.stop()
        cut.close()


def start_devices(stack: Stack, load: Load, seed: int, seconds: float) -> None:
    """The simulator. It goes on until it is told to stop; devices that keep their reports stop publishing some time after the last
    fault, and go when all is confirmed."""
    more = ["--keep", "--keep-limit", "100000:1000000000", "--resend-after", "5", "--duration", str(int(seconds + TAIL_S) + 1),
            "--linger", str(int(HEAL_S))] if load.keep else []
    stack.start_simulator(Simulation(load.devices), "--rate", str(load.rate), "--seed", str(seed), "--samples", str(load.samples),
                          "--backoff", "0.2:2", "--inflight", "200", "--stored-log", stored_log(stack), *more)
    assert wait_until(lambda: status(stack).get("connected") == load.devices, 30), "the devices did not connect"


def stored_log(stack: Stack) -> Path:
    """Where the simulator writes what was acknowledged to devices."""
    return stack.folder / "sim" / "stored.log"


def status(stack: Stack) -> dict[str, float]:
    """The simulator's counters."""
    try:
        return dict(json.loads(stack.sim_status.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


# --- the bad time


def suffer(hands: Hands, faults: list[Fault], say: Say) -> None:
    """Carries out the plan by the clock."""
    events = sorted([(fault.at, True, fault) for fault in faults] + [(fault.until, False, fault) for fault in faults],
                    key=lambda event: (event[0], not event[1]))
    start = time.monotonic()
    for at, begins, fault in events:
        while (left := start + at - time.monotonic()) > 0:
            time.sleep(min(left, STEP_S))
            hands.supervise()
        if begins:
            say(f"{time.monotonic() - start:7.1f} s  {fault}")
            hands.begin(fault)
        else:
            hands.end(fault)


def heal(stack: Stack, hands: Hands, load: Load, say: Say) -> None:
    """Waits until all work again, then lets the devices go on for a while, then stops them: each says goodbye when all it sent is
    acknowledged, or confirmed."""
    sim = stack.processes["vedette-sim"]

    def well() -> bool:
        hands.supervise()
        return (stack.broker.answers() and stack.postgres.answers() and is_ready(stack.ports.ingest_http)
                and is_ready(stack.ports.analysis_http))

    def gone() -> bool:
        hands.supervise()
        return not sim.alive()

    began = time.monotonic()
    assert wait_until(well, HEAL_S, step=STEP_S), f"not all are well {HEAL_S:.0f} s after the last fault"
    say(f"all well {time.monotonic() - began:.1f} s after the last fault")
    if load.keep:
        assert wait_until(gone, 2 * HEAL_S, step=STEP_S), "devices keep reports that nobody confirms"
        assert sim.exit_code() == 0, sim.failure()
        say(f"all reports confirmed {time.monotonic() - began:.1f} s after the last fault")
        return
    assert wait_until(lambda: status(stack).get("connected") == load.devices, HEAL_S, step=STEP_S), "not all devices came back"
    time.sleep(TAIL_S)
    assert sim.stop(grace=30) == 0, sim.failure()


def settle(installation: Installation, say: Say) -> None:
    """Waits until the last report of each device is stored (what is before it was delivered before), then stops the daemons."""
    last = {credential: max(sequences) for credential, sequences in acknowledged(installation.stack).items()}
    began = time.monotonic()

    def arrived() -> bool:
        rows = books.ask(installation, "SELECT d.credential, max(r.sequence) FROM store.report r JOIN store.device d"
                         " ON d.id = r.publisher GROUP BY 1")
        return {credential: sequence for credential, sequence in rows} == last

    assert wait_until(arrived, books.END_S, step=0.2), "the last reports did not arrive"
    say(f"drained {time.monotonic() - began:.1f} s after the last device left")
    books.finish(installation)


def tell_alerts(installation: Installation, say: Say) -> None:
    """Which alerts there were, for people: devices never stopped to publish, but were cut off with the broker."""
    rows = installation.query("SELECT kind, state, count(*) FROM vedette.alert GROUP BY 1, 2 ORDER BY 1, 2")
    say("alerts while all devices report: " + (", ".join(f"{count} × {kind} ({state})" for kind, state, count in rows) or "none"))


# --- the account


def acknowledged(stack: Stack) -> dict[str, set[int]]:
    """Sequences that the broker acknowledged to each device, by the devices' own record."""
    found: dict[str, set[int]] = {}
    for line in stored_log(stack).read_text(encoding="ascii").splitlines():
        credential, _, sequence = line.split()
        found.setdefault(credential, set()).add(int(sequence))
    return found


def delivered(log: Path) -> tuple[Counter[str], Counter[str]]:
    """How many messages of each device the broker sent to ingest, and how many of these deliveries ingest acknowledged. Numbers of
    messages are the broker's and are used again; what was sent last with a number is what is acknowledged."""
    sent: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    under_way: dict[str, str] = {}
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if match := SENT.search(line):
                sent[match[2]] += 1
                under_way[match[1]] = match[2]
            elif (match := TAKEN.search(line)) and match[1] in under_way:
                taken[under_way.pop(match[1])] += 1
    return sent, taken


RECEIVED = """
  SELECT d.credential, (SELECT count(*) FROM store.report r WHERE r.publisher = d.id AND r.size > 0)
    + (SELECT count(*) FROM store.connectivity c WHERE c.device = d.id)
    + (SELECT coalesce(sum(l.count), 0) FROM store.ledger l WHERE l.device = d.id)::bigint
  FROM store.device d"""
BOOKS = ("SELECT sum(received)::bigint, sum(stored)::bigint, sum(duplicate)::bigint, sum(rejected)::bigint, sum(shed)::bigint"
         " FROM store.minute")


def check(installation: Installation, load: Load, faults: list[Fault], say: Say) -> None:
    """Books, rows, devices and broker tell the same story, to the message."""
    stack = installation.stack
    books.check(installation)
    stack.vedette("ledger", "--check", "--since", "1d")
    received, stored, duplicate, rejected, shed = installation.query(BOOKS, role=books.ADMIN)[0]
    assert received == stored + duplicate + rejected + shed
    assert rejected == shed == 0
    acked, found, missing = acknowledged(stack), books.stored(installation), books.gaps(installation)
    lost = 0
    for credential, sequences in acked.items():
        assert sequences == set(range(1, max(sequences) + 1)), f"{credential}: the broker did not acknowledge all"
        assert found[credential] <= sequences, f"{credential}: stored, and never acknowledged to the device"
        gone = sequences - found[credential]
        assert gone == missing.get(credential, set()), f"{credential}: gaps are not what is missing: {gone ^ missing[credential]}"
        lost += len(gone)
    assert found.keys() == acked.keys()
    if load.keep or not any(fault.victim == BROKER and fault.kind == "kill" for fault in faults):
        assert lost == 0, f"{lost} reports are lost, and {'devices kept them' if load.keep else 'no broker was killed'}"
    check_deliveries(installation, say)
    say(f"{sum(map(len, acked.values()))} reports acknowledged to {len(acked)} devices: {sum(map(len, found.values()))} stored once,"
        f" {lost} lost with a killed broker, all of them in vedette.sequence_gap")
    say(f"books: {received} received = {stored} stored + {duplicate} duplicates + {rejected} rejected + {shed} shed")


def check_deliveries(installation: Installation, say: Say) -> None:
    """Each delivery that ingest acknowledged is in its books, and nothing that was not delivered. In between is what was journaled and
    whose acknowledgement was lost with the worker or the connection."""
    sent, taken = delivered(installation.stack.broker.log)
    received = {credential: int(count) for credential, count in installation.query(RECEIVED, role=books.ADMIN)}
    for credential, count in received.items():
        assert taken[credential] <= count <= sent[credential], (
            f"{credential}: ingest acknowledged {taken[credential]} of {sent[credential]} deliveries, its books have {count}")
    say(f"broker's log: {sum(sent.values())} deliveries to ingest, {sum(taken.values())} acknowledged; in the books"
        f" {sum(received.values())}")
    assert sum(received.values()) == installation.value("SELECT sum(received)::bigint FROM store.minute", role=books.ADMIN)


