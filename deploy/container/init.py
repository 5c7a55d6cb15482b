#!/usr/bin/python3
"""The init container: makes the certificate authority, what it issues and Grafana's secrets, and puts each into the volume of the one
container that needs it. What exists stays; certificates are renewed a month before they end.

    init.py                  make what is missing
    init.py device NAME...   issue certificates for devices, into the volume `authority`, folder devices/
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import secrets
import sys
from pathlib import Path

from cryptography import x509

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from deploy.local.account import Account  # noqa: E402
from deploy.local.errors import StackError  # noqa: E402
from deploy.local.pki import Authority  # noqa: E402

VOLUMES = Path("/volumes")
TEMPLATES = ROOT / "deploy" / "mosquitto"
INGEST, MOSQUITTO, GRAFANA = 10001, 10003, 472  # deploy/container/users
BROKER_VALUES = {"DATA": "/var/lib/vedette/broker", "PKI": "/run/vedette", "ACL": "/run/vedette", "ADDRESS": "0.0.0.0",
                 "LOG": "stdout", "DEVICES_PORT": "8883", "INGEST_PORT": "8884",
                 "LOG_TYPES": "\n".join(f"log_type {kind}" for kind in ("error", "warning", "notice", "information", "subscribe"))}


def put(target: Path, content: bytes, owner: int, mode: int = 0o400) -> None:
    """Writes a file whole, for one owner."""
    fresh = target.with_name(target.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.chmod(fresh, mode)
    os.chown(fresh, owner, owner)
    fresh.rename(target)


def hand_out(authority: Authority, name: str, to: Path, owner: int) -> None:
    """Copies a certificate with its key, and the CA's certificate, into the volume of its user."""
    for file in (f"{name}.crt", f"{name}.key", "ca.crt"):
        put(to / file, (authority.folder / file).read_bytes(), owner)


def alternative_names(text: str) -> list[x509.GeneralName]:
    """The names by which clients may call the broker: the service's own, and the given ones."""
    names: list[x509.GeneralName] = [x509.DNSName("broker")]
    for word in dict.fromkeys(text.split()):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(word)))
        except ValueError:
            if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", word):
                raise StackError(f'VEDETTE_BROKER_NAMES has "{word}", which is no host name and no address') from None
            names.append(x509.DNSName(word))
    return names


def issue_server(authority: Authority, names: list[x509.GeneralName]) -> None:
    """The broker's certificate; a new one when the names have changed."""
    path = authority.folder / "server.crt"
    if path.exists():
        old = x509.load_pem_x509_certificate(path.read_bytes())
        if list(old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) != names:
            path.unlink()
    authority.issue("broker", authority.folder / "server", alternative_names=names)


def configure_broker(to: Path) -> None:
    """The shipped configuration and access lists, filled in for the container."""
    text = (TEMPLATES / "mosquitto.conf.in").read_text(encoding="utf-8")
    text = re.sub(r"@([A-Z_]+)@", lambda match: BROKER_VALUES[match[1]], text)
    put(to / "mosquitto.conf", text.encode(), MOSQUITTO)
    for name in ("devices.acl", "ingest.acl"):
        put(to / name, (TEMPLATES / name).read_bytes(), MOSQUITTO)


def make_secret(target: Path, owner: int) -> None:
    """A random secret that is made once."""
    if not target.exists():
        put(target, secrets.token_urlsafe(24).encode(), owner)


def make_all(authority: Authority, names: str) -> None:
    issue_server(authority, alternative_names(names))
    authority.issue_ingest()
    hand_out(authority, "server", VOLUMES / "broker", MOSQUITTO)
    hand_out(authority, "ingest", VOLUMES / "ingest", INGEST)
    configure_broker(VOLUMES / "broker")
    make_secret(VOLUMES / "grafana" / "admin-password", GRAFANA)
    make_secret(VOLUMES / "grafana" / "secret-key", GRAFANA)


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes certificates and secrets for the containers.")
    parser.add_argument("words", nargs="*", metavar="device NAME", help="issue certificates for these devices")
    words = parser.parse_args().words
    if words and (words[0] != "device" or len(words) == 1):
        parser.error("say: device NAME...")
    try:
        authority = Authority(VOLUMES / "authority", Account("root", 0, 0, False), "Vedette CA")
        make_all(authority, os.environ.get("VEDETTE_BROKER_NAMES", "localhost"))
        bad = [name for name in words[1:] if not re.fullmatch(r"[^/+#\x00-\x1f\x7f]{1,128}", name)]
        if bad:
            raise StackError(f'"{bad[0]}" is no credential name: 1 to 128 bytes without / + # and control characters')
        authority.issue_devices(words[1:])
    except (StackError, OSError) as error:
        print(f"init: {error}", file=sys.stderr)
        return 1
    for name in words[1:]:
        print(f"{authority.devices / name}.crt and .key, with {authority.ca}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
