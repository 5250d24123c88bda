"""Certificates as printers show them: the serial as common name, no alternative name, a maker's CA above.

Sources: greghesp/ha-bambulab (pybambu/certs), Doridian/OpenBambuAPI (tls.md).
"""

from __future__ import annotations

import datetime
import functools
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class PrinterCertificate:
    """PEM texts: the leaf, its private key, and the CA that signed it."""

    leaf: bytes
    key: bytes
    ca: bytes

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """Write leaf and CA, key, and CA alone into ``folder``; return the three paths."""
        chain, key, ca = folder / "printer.pem", folder / "printer.key", folder / "ca.pem"
        chain.write_bytes(self.leaf + self.ca)
        key.write_bytes(self.key)
        key.chmod(0o600)
        ca.write_bytes(self.ca)
        return chain, key, ca


@functools.lru_cache(maxsize=16)
def printer_certificate(serial: str, generation: int = 1) -> PrinterCertificate:
    """Return the certificate of the printer ``serial``; another ``generation`` has another key."""
    ca_key, key = _ca_key(), _new_key()
    leaf = _signed(_name(serial), key, ca_key, is_ca=False)
    ca = _signed(_name("BBL Test CA"), ca_key, ca_key, is_ca=True)
    return PrinterCertificate(_pem(leaf), _key_pem(key), _pem(ca))


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def _ca_key() -> rsa.RSAPrivateKey:
    return _new_key()


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "BBL Technologies Co., Ltd"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _signed(
    subject: x509.Name, key: rsa.RSAPrivateKey, ca_key: rsa.RSAPrivateKey, *, is_ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_name("BBL Test CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
    )
    if is_ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(ca_key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
