#!/usr/bin/python3
"""Makes the seeds of the fuzzers: tests/fuzz/corpus/<target>/, valid messages and files that a fuzzer then bends.

    tests/fuzz/make_corpus.py [FOLDER]

What it writes is kept in the repository, and is the same at each run. The wire is encoded by hand, so that broken messages can be
made too.
"""

import pathlib
import struct
import sys
from typing import Callable, Dict, List, Sequence, Tuple

FUZZ = pathlib.Path(__file__).resolve().parent
ROOT = FUZZ.parent.parent
NOW = 1_790_000_000_000_000  # microseconds, as fuzz_batch.c has it
Seeds = Dict[str, bytes]


# --- protobuf, by hand


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def fixed64(field: int, value: int) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def block(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def sample(metric: bytes, value: bytes, time: int = 0) -> bytes:
    return block(8, block(1, metric) + value + (number(6, time) if time else b""))


def head(boot: int = 7, sequence: int = 1, time: int = NOW) -> bytes:
    return number(1, boot) + number(3, sequence) + number(4, time)


def samples() -> bytes:
    return (
        sample(b"temperature.case", double(2, 21.5))
        + sample(b"packets/total", number(3, zigzag(1 << 60)))
        + sample(b"door-open", number(4, 1))
        + sample(b"mode", block(5, "k\u00fchl".encode()))
        + sample(b"temperature.case", double(2, 21.25), NOW - 1_000_000)
    )


def declarations() -> bytes:
    unit = block(1, b"temperature.case") + number(2, 1) + block(3, b"Cel")
    return block(9, unit) + block(9, block(1, b"mode") + number(2, 3))


def firmware() -> bytes:
    return block(10, block(1, b"2.4.1") + block(2, bytes(range(32))) + number(3, 1))


def traffic() -> bytes:
    counters = b"".join(number(field, value) for field, value in enumerate((10_000_000, 4096, 1024, 12, 9, 3, 2), 1))
    flows = block(8, block(1, bytes((198, 51, 100, 23))) + number(2, 443) + number(3, 1) + number(5, 1024))
    flows += block(8, block(1, bytes(range(16))) + number(2, 53) + number(3, 2))
    return block(11, counters + flows + block(9, varint(22) + varint(443)) + block(10, varint(5353)))


def events() -> bytes:
    login = number(1, 1) + number(3, 4) + block(4, b"admin") + block(5, bytes((192, 0, 2, 9)))
    return block(12, login) + block(12, number(1, 5) + number(2, NOW - 5) + block(4, b"JTAG"))


def connectivity(state: int, boot: bytes, more: bytes = b"") -> bytes:
    return number(1, state) + boot + number(4, 1) + more


# --- the targets


def reports() -> Seeds:
    full = head() + samples() + declarations() + firmware() + traffic() + events() + number(13, 1)
    many = head(sequence=9) + b"".join(sample(b"m%d" % i, double(2, i)) for i in range(200))
    return {
        "empty-samples": head(),
        "full": full,
        "random-boot": fixed64(2, 0xFEDCBA9876543210) + number(3, 2) + samples(),
        "child": head(sequence=3) + block(6, b"child") + samples(),
        "claims": head(sequence=4) + block(7, b"alpha") + number(5, 1) + samples(),
        "many-samples": many,
        "empty-submessages": head() + b"\x42\x00" * 600,
        "merged-submessage": head() + block(11, number(1, 1)) * 200,
        "unknown-fields": head() + b"".join(number(100 + i, i) for i in range(12)),
        "nan": head() + sample(b"x", double(2, float("nan"))),
        "packed-ports": head() + block(11, block(9, b"\x01" * 200)),
    }


def connectivities() -> Seeds:
    counter = number(2, 7)
    return {
        "online": connectivity(1, counter, number(7, NOW)),
        "will": connectivity(2, counter, block(6, b"will")),
        "asleep": connectivity(3, fixed64(3, 1 << 63), number(5, NOW + 3_600_000_000) + block(6, b"night")),
        "twice": connectivity(1, counter + fixed64(3, 5)) * 2,
    }


def topics() -> Seeds:
    names = ["vedette/v1/alpha/report", "vedette/v1/00:1b:44:11:3a:b7/connectivity", "vedette/v1//report", "vedette/v2/a/report"]
    names += ["vedette/v1/" + "x" * 128 + "/report", "vedette/v1/" + "x" * 129 + "/report", "vedette/v1/a/reports", "vedette/v1/"]
    return {f"topic-{place}": name.encode() for place, name in enumerate(names)}


def batches() -> Seeds:
    def message(header: int, payload: bytes) -> bytes:
        return bytes((header,)) + struct.pack("<H", len(payload)) + payload

    known = reports()
    online = message(0x01, connectivities()["online"])
    return {
        "one": message(0x00, known["full"]),
        "repeat": message(0x00, known["full"]) + message(0x04, known["full"]),
        "conflict": message(0x00, known["full"]) + message(0x00, known["empty-samples"] + number(13, 0)),
        "child": message(0x10, known["child"]) + message(0x00, known["child"]),
        "connectivity": online + message(0x09, connectivities()["online"]) + message(0x11, connectivities()["asleep"]),
        "strangers": message(0x20, known["full"]) + message(0x30, known["full"]) + message(0x03, b"?"),
        "mixed": b"".join(message(0, payload) for payload in known.values()),
    }


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def segment(first: int, records: Sequence[Tuple[bytes, bytes]], size: int) -> bytes:
    out = b"VDJRNL01" + bytes(range(16)) + struct.pack("<QQ", first, size)
    out += struct.pack("<I", crc32c(out)) + bytes(20)
    for place, (topic, payload) in enumerate(records):
        body = topic + payload
        rest = struct.pack("<IQqHB5x", len(body), first + place, NOW + place, len(topic), place & 3) + body
        record = struct.pack("<I", crc32c(rest)) + rest
        out += record + bytes(-len(record) % 8)
    return out + bytes(size - len(out))


def journals() -> Seeds:
    messages = [(b"vedette/v1/alpha/report", head()), (b"vedette/v1/alpha/connectivity", b""), (b"", b"x" * 9)]
    whole = segment(0, messages, 512)
    return {
        "whole": b"\x00" + whole,
        "to-the-end": b"\x00" + segment(41, messages[1:], 64 + 64 + 48),
        "empty": b"\x00" + segment(5, [], 128),
        "torn": b"\x00" + whole[:140] + bytes(20) + whole[160:],
        "mended": b"\x03" + whole,
        "mended-records": b"\x02" + whole,
    }


def configs() -> Seeds:
    example = (ROOT / "deploy/vedette.example.yaml").read_bytes()
    lines = [line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in example.decode().splitlines()[3:]]
    return {
        "example": example,
        "all-settings": ("\n".join(lines) + "\n").encode(),
        "flow": b"store: {host: '/run', port: 1}\nbroker: &b {host: h, ca: a, certificate: c, key: k}\ningest: *b\n",
        "twice": b"store:\n  host: a\n  host: b\n",
    }


def mappings() -> Seeds:
    """Mapping files; behind the cut a message for the first mapping."""
    shipped = {file.stem: file.read_bytes() for file in sorted((ROOT / "deploy/mappings").glob("*.yaml"))}
    every = (
        b"mappings:\n- topic: a/{publisher}/+/#\n  child: who.id[0].\"x.y\"\n  boot: b\n  sequence: s\n"
        b"  time: {path: t, format: iso8601, zone: '-03:30'}\n  samples:\n"
        b"  - {path: ., metric: a, unit: Cel, kind: counter, type: number, scale: 1e-3, when: {id: 1}}\n"
        b"  - {path: p, metric: b, values: {'ON': 1, 'OFF': 0}}\n  each:\n"
        b"  - {path: list, time: {path: t, format: unix-us}, samples: [{path: v, metric: v, type: text}]}\n"
    )
    message = b'{"who": {"id": [{"x.y": "c"}]}, "b": 1, "s": 2, "t": "2026-09-21T14:13:20", "p": "ON", "list": [{"t": 1, "v": "x"}]}'
    return shipped | {
        "every": every,
        "message": every + b"---8<---\n" + message,
        "two": b"mappings:\n- {topic: '{publisher}/x', samples: &s [{path: a, metric: a}]}\n- {topic: b/c, publisher: p, samples: *s}\n",
        "overlap": b"mappings:\n- {topic: '{publisher}/#', samples: [{path: a, metric: a}]}\n",
        "itself": b"mappings: &a\n- *a\n",
    }


def messages() -> Seeds:
    """JSON for the mappings of fuzz_json.c; the first byte is the topic."""
    rich = (
        b'{"Time": "2026-09-21T14:13:20.5", "ENERGY": {"Power": 42}, "n": 9007199254740993, "flag": true, "text": "k\\u00fchl",'
        b' "word": "ON", "list": [0, {"a.b": [2.5]}], "past": [{"t": 1789999990.25, "v": -1e-7, "id": 1, "w": "x"}, {}], "more": []}'
    )
    return {
        "rich": b"\0" + rich,
        "null": b'\0{"Time": null, "ENERGY": null, "past": null}',
        "wrong": b'\0{"ENERGY": 3, "flag": 1}',
        "twice": b'\0{"n": 1, "n": 2}',
        "numbered": b'\1{"b": 7, "s": 1, "t": 1790000000000, "v": 18446744073709551616}',
        "child": b'\2{"who": "lamp", "t": 1790000000000000, "v": 1e308}',
        "child-number": b'\2{"who": 17, "v": 0}',
        "value": b"\x0321.5",
        "array": b'\4[{"t": 1790000000, "v": 1}, {"t": 1790000001, "v": 2}]',
        "deep": b"\0" + b"[" * 3000,
        "objects": b"\4[" + b"{}," * 2000 + b"{}]",
    }


def tables() -> Seeds:
    return {
        "devices": b"credential,model,region\r\nsensor-1,meter-a,DE-BE\r\nsensor-2,\"a \"\"quoted\"\" one\",\r\n",
        "mark": b"\xef\xbb\xbfcredential\nx\n\ny\n",
        "open-quote": b'a,b\n"open,1\nc,d\n',
        "invalid": b"a\n\xff\xfe\n\x00\n" + b"," * 70 + b"\nlast",
    }


def proc_files() -> Seeds:
    tcp = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
        "   1: 0F02000A:0016 0202000A:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n"
    )
    tcp6 = (
        "  sl  local_address                         remote_address                        st\n"
        "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000\n"
        "   1: B80D01200000000000000000010000FF:01BB B80D01200000000000000000020000FF:C350 01 00000000:00000000\n"
        "   2: 0000000000000000FFFF00000F02000A:0016 0000000000000000FFFF00000202000A:C351 01 00000000:00000000\n"
    )
    dev = (
        "Inter-|   Receive  |  Transmit\n face |bytes    packets errs\n"
        "    lo: 9 5 0 0 0 0 0 0 9 5 0 0 0 0 0 0\n  eth0:1000000 2000 0 0 0 0 0 7 300000 1500 0 0 0 0 0 0\n"
    )
    texts = {
        "tcp": tcp,
        "tcp6": tcp6,
        "dev": dev,
        "loadavg": "0.52 0.58 0.59 1/389 12345\n",
        "meminfo": "MemTotal: 16318480 kB\nMemAvailable: 9123456 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n",
        "uptime": "350735.47 234388.90\n",
        "temperature": "-12000\n",
        "os-release": 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION="12 (bookworm)"\nPRETTY_NAME=\'x\'\n',
    }
    return {name: text.encode() for name, text in texts.items()}


def auth_logs() -> Seeds:
    start = "Nov  1 12:00:00 host sshd[1]: "
    texts = {
        "password": start + "Failed password for invalid user admin from 192.0.2.1 port 4242 ssh2\n",
        "ipv6": start + "Failed password for root from 2001:db8::1 port 22 ssh2\n",
        "folded": start + "message repeated 3 times: [ Failed password for root from 192.0.2.1 port 22 ssh2]\n",
        "folded_0": start + "message repeated 0 times: [ Failed password for root from 192.0.2.1 port 22 ssh2]\n",
        "pam": "Nov  1 12:00:00 host su: pam_unix(su:auth): authentication failure; logname= uid=1000 euid=0 tty=pts/0 "
        "ruser=me rhost=192.0.2.7  user=root\n",
        "iso": "2025-11-01T12:00:00.1+00:00 host sshd[1]: Failed password for a from b from 192.0.2.1 port 1 ssh2\n",
        "other": start + "Accepted publickey for root from 192.0.2.1 port 22\n",
    }
    return {name: text.encode() for name, text in texts.items()}


def scenarios() -> Seeds:
    every = (
        b"version: 1\nfrom: start\ndefaults: {duration: 7.5, devices: [4]}\nfaults:\n"
        b"- {name: a, kind: flood, start: 1, rate: 50, spread: 2}\n"
        b"- {name: b, kind: malformed, start: 2, how: oversized, duration: 1, instead: yes, devices: {share: 0.25, model: m}}\n"
        b"- {name: c, kind: firmware, start: 0, known: true, version: 9.9, reboot: false, devices: [sim-1, 2]}\n"
        b"- {name: d, kind: traffic, start: 0, factor: 3, destination: 192.0.2.1, port: 23, listen: 23, destinations: 4}\n"
        b"- {name: e, kind: value, start: 0, metric: queue, offset: 1, spike: 2, one_in: 3, devices: {every: 3}}\n"
        b"- {name: f, kind: clock, start: 0, offset: -5, devices: {count: 2, region: r, site: s}}\n"
        b"- {name: g, kind: reboot, start: 0, how: hard, interval: 5, down: 1}\n"
    )
    wear = (
        b"version: 1\ndefaults: {start: 0, duration: 20, devices: {share: 1, firmware: 1.9.2}}\nfaults:\n"
        b"- {name: a, kind: unplug, how: goodbye, nights: true, period: 60, expect: none}\n"
        b"- {name: b, kind: loss, share: 0.6, burst: 3}\n- {name: c, kind: frozen, metric: queue, expect: link lost}\n"
        b"- {name: d, kind: flap, every: 5, down: 0.5}\n- {name: e, kind: pace, factor: 0.5, announce: yes}\n"
        b"- {name: f, kind: clock, drift: -200}\n- {name: g, kind: drain, rate: 36000}\n"
        b"- {name: h, kind: rejoin, after: 2, jitter: no}\n"
    )
    shipped = {file.stem: file.read_bytes() for file in sorted((ROOT / "deploy/scenarios").glob("*.yaml"))}
    return shipped | {"every": every, "wear": wear}


def truths() -> Seeds:
    def line(fault: str, device: str, end: str, more: str = "") -> bytes:
        head = f'{{"fault":"{fault}","kind":"crash","device":"{device}",{more}"start":"2026-01-31T10:01:30.118Z"'
        return f'{head},"end":{end}}}\n'.encode()

    ended = '"2026-01-31T10:02:30.119Z"'
    return {
        "ended": line("power cut", "sim-1", "null") + line("power cut", "sim-1", ended) + line("power cut", "sim-2", "null"),
        "fields": line("a", "gw", ended, '"expect":"none","cohort":"north",') + line("a", "child", ended, '"through":"gw",'),
        "many": b"".join(line(f"f{i}", f"sim-{i % 7}", ended, f'"expect":"kind {i % 50}",') for i in range(60)),
        "backwards": line("a", "b", '"2026-01-31T10:01:00+01:00"') + b"\r\n",
        "long": b'{"fault":"' + b"x" * 16400 + b'"}\n',
        "deep": b'{"a":' + b"[" * 2000,
    }


def columns() -> Seeds:
    """An even first byte: doubles to pack; an odd one: count, bits to leave out at the end, and a packed column."""

    def doubles(*values: float) -> bytes:
        return b"\0" + b"".join(struct.pack("<d", value) for value in values)

    def column(count: int, head: str, *words: str) -> bytes:
        bits = head + "".join(words)
        padded = bits + "0" * (-len(bits) % 8)
        return b"\1" + struct.pack(">HB", count, -len(bits) % 8) + bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8))

    base = format(215, "064b")
    return {
        "decimals": doubles(*(215 / 10 + n / 10 for n in range(40))),
        "edges": doubles(0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308, 1 / 3, 2.0**53, 1e15, float("inf"), float("nan")),
        "steps": doubles(*(n * 60e6 for n in range(50))),
        "equal": doubles(*[7.5] * 30),
        "packed": column(3, "01" + "0" + "00001" + "0000100" + "00000000000" + base, "0000", "0001", "0010"),
        "packed-delta": column(3, "00" + "1" + "00000" + "0000010" + "00000000000" + base + base, "01", "11"),
        "packed-odd": column(2, "10" + "0" + "00000" + "0000000" + "00000000010" + base, "00000000000" + "1", "00000000001" + "0" + base),
        "packed-wide": column(1, "10" + "0" + "00000" + "1000000" + "00000000000" + "0" * 64, base),
    }


def recordings() -> Seeds:
    return {
        "seconds": b"timestamp,In Rate,out\n1501867012,1,2\n1501867016.5,,nan\n1501867020,1e3,-0.5\n",
        "dates": b"timestamp,value\n2014-02-14 14:30:00,0.132\n2014-02-14T14:35:00.25Z,0.134\n",
        "quoted": b'"timestamp","a ""b""",a-b\r\n1,2,3\r\n',
        "alike": b"timestamp" + b"," * 500 + b"\n1" + b",1" * 500 + b"\n",  # once cost the cube of the columns
    }


def series() -> Seeds:
    def samples(first: int, values: Sequence[float], gap_ms: int) -> bytes:
        return bytes([first, 0]) + b"".join(struct.pack("<di", value, gap_ms) for value in values)

    daily = [20 + (index % 288) / 50 for index in range(600)]
    return {
        "gauge": samples(0, daily, 300_000),
        "counter": samples(0, [float(7 * index) for index in range(300)], 60_000),
        "constant": samples(0, [5.0] * 120 + [90.0] * 20, 300_000),
        "odd": samples(0, [0.0, float("inf"), float("nan"), 1e300, -1e300, 5e-324, 2.0**53] * 20, 300_000),
        "rows": b"\x01" + b"".join(struct.pack("<4d", a, 2 * a, -a, 1) for a in (index % 17 for index in range(80))),
    }


TARGETS: List[Tuple[str, Callable[[], Seeds]]] = [
    ("decode_report", reports),
    ("decode_connectivity", connectivities),
    ("wire", lambda: {**reports(), **connectivities()}),
    ("topic", topics),
    ("batch", batches),
    ("journal", journals),
    ("config", configs),
    ("mapping", mappings),
    ("json", messages),
    ("csv", tables),
    ("agent_proc", proc_files),
    ("agent_authlog", auth_logs),
    ("scenario", scenarios),
    ("recording", recordings),
    ("truth", truths),
    ("pack", columns),
    ("series", series),
]


def main() -> int:
    if len(sys.argv) > 2 or sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0 if len(sys.argv) == 2 else 2
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) == 2 else FUZZ / "corpus"
    for target, seeds in TARGETS:
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, content in seeds().items():
            (folder / target / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
