"""Certificates of a private installation: one CA, one server, one ingest worker, one certificate a device. Elliptic curve P-256.

Everything is idempotent: what exists and is valid for another month stays.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .account import Account
from .errors import StackError

INGEST_NAME = "vedette/ingest-1"  # the slash is what no device's name can have
CA_LIFE = datetime.timedelta(days=3653)
LEAF_LIFE = datetime.timedelta(days=365)
RENEW_BEFORE = datetime.timedelta(days=30)
CLOCK_SLACK = datetime.timedelta(hours=1)  # certificates are valid a little before now, for clocks that are behind


class Authority:
    """A certificate authority in a folder, with what it issues. Keys belong to `account` with mode 0600."""

    def __init__(self, folder: Path, account: Account, name: str = "Vedette local CA") -> None:
        self.folder = folder
        self.account = account
        self.devices = folder / "devices"
        self.devices.mkdir(parents=True, exist_ok=True)
        self._key, self.certificate = self._load_or_make(name)

    @property
    def ca(self) -> Path:
        """The CA's certificate, which everyone may read."""
        return self.folder / "ca.crt"

    def issue_server(self) -> Path:
        """The broker's certificate, for 127.0.0.1 and localhost."""
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        return self.issue("localhost", self.folder / "server", alternative_names=names)

    def issue_ingest(self) -> Path:
        """The certificate of the ingest worker's session."""
        return self.issue(INGEST_NAME, self.folder / "ingest")

    def issue_devices(self, credentials: Iterable[str]) -> int:
        """One certificate a device in devices/<credential>.crt and .key; returns how many were made."""
        missing = [name for name in credentials if not self._is_good(self.devices / f"{name}.crt")]
        for name in missing:
            self.issue(name, self.devices / name)
        return len(missing)

    def issue(self, common_name: str, base: Path, *, alternative_names: list[x509.GeneralName] | None = None,
              life: datetime.timedelta = LEAF_LIFE, begin: datetime.datetime | None = None) -> Path:
        """Writes base.crt and base.key unless a good pair is there; `begin` and `life` let tests make expired ones."""
        target = base.with_name(base.name + ".crt")
        if begin is None and self._is_good(target):
            return target
        key = ec.generate_private_key(ec.SECP256R1())
        start = begin or _now() - CLOCK_SLACK
        builder = _builder(common_name, self.certificate.subject, key.public_key(), start, start + life)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if alternative_names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if alternative_names:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
        self._write_key(base.with_name(base.name + ".key"), key)
        _write(target, builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644)
        return target

    def _load_or_make(self, name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key_path = self.folder / "ca.key"
        if self.ca.exists() and key_path.exists():
            key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise StackError(f"{key_path} is no elliptic-curve key; ./run --fresh makes a new one")
            return key, x509.load_pem_x509_certificate(self.ca.read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(name, subject, key.public_key(), _now() - CLOCK_SLACK, _now() + CA_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        certificate = builder.sign(key, hashes.SHA256())
        _write(key_path, _key_bytes(key), 0o600)  # stays with the caller: no program of the stack needs it
        _write(self.ca, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return key, certificate

    def _is_good(self, path: Path) -> bool:
        """Whether a certificate with its key is there, of this CA, and valid for another while."""
        if not path.exists() or not path.with_name(path.name[:-4] + ".key").exists():
            return False
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        return certificate.issuer == self.certificate.subject and certificate.not_valid_after > _now() + RENEW_BEFORE

    def _write_key(self, path: Path, key: ec.EllipticCurvePrivateKey) -> None:
        _write(path, _key_bytes(key), 0o600)
        self.account.own(path)


def _now() -> datetime.datetime:
    """UTC without a zone, as the library wants it."""
    return datetime.datetime.utcnow()


def _builder(common_name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime.datetime,
             end: datetime.datetime) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name, _validate=False)])
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end))


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replaces a file whole; never world-readable for a moment when it must not be."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, mode)
    temporary.rename(path)
