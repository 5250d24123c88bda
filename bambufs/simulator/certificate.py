"""A certificate as a Bambu Lab printer has it: CN is the serial number, no SAN, signed by "BBL CA".

Not self-signed, but no system trusts the signer (seen on an A1 mini: sksat/bambu-rs docs/protocol.md).
The keys are made once a process, because making them takes a tenth of a second; with a folder
given, key and certificate are kept there and found again by the next run.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_ISSUER = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "BBL Technologies Co., Ltd"),
        x509.NameAttribute(NameOID.COMMON_NAME, "BBL CA"),
    ]
)
_START = datetime.datetime(2022, 4, 4, tzinfo=datetime.UTC)
_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Identity:
    """The PEM texts that a printer shows: its own certificate, its key and the CA's certificate."""

    leaf: bytes
    key: bytes
    authority: bytes

    def __repr__(self) -> str:
        return f"Identity({self.fingerprint[:16]}...)"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf certificate in hex."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.leaf.decode())).hexdigest()

    def write(self, path: Path, *, with_chain: bool) -> None:
        """Write key and certificates into one PEM file that only its owner can read."""
        text = self.key + self.leaf + (self.authority if with_chain else b"")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)


def identity_for(serial: str, folder: Path | None = None) -> Identity:
    """The identity of the printer with this serial number, kept in ``folder`` if one is given."""
    if folder is None:
        return _made_once(serial)
    kept = folder / f"{serial}.pem"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        new_identity(serial).write(kept, with_chain=True)
    return _parse(kept.read_bytes())


def new_identity(serial: str) -> Identity:
    """A fresh key and certificate, as after a factory reset."""
    return _issue(serial, _new_key())


@cache
def _made_once(serial: str) -> Identity:
    return _issue(serial, _printer_key())


@cache
def _printer_key() -> rsa.RSAPrivateKey:
    return _new_key()


@cache
def _authority_key() -> rsa.RSAPrivateKey:
    return _new_key()


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _issue(serial: str, key: rsa.RSAPrivateKey) -> Identity:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, serial)])
    leaf = _builder(subject, key.public_key()).sign(_authority_key(), hashes.SHA256())
    authority = _builder(_ISSUER, _authority_key().public_key())
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Identity(
        leaf=leaf.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        authority=authority.sign(_authority_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
    )


def _builder(subject: x509.Name, key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_ISSUER)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_START)
        .not_valid_after(_START + datetime.timedelta(days=_DAYS))
    )


def _parse(pem: bytes) -> Identity:
    marker = b"-----BEGIN CERTIFICATE-----"
    key, leaf, authority = pem.split(marker)
    return Identity(leaf=marker + leaf, key=key, authority=marker + authority)
