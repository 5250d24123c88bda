"""Which certificate belongs to which printer.

Printers show a certificate signed by a BBL authority with the serial as its common name and without any
alternative name, so the usual host name check cannot work. Three ways are offered: remember the
certificate seen first (``first-use``), check it against an authority and the serial (``ca``), or nothing
at all (``none``).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from ..errors import CertificateRefused

logger = logging.getLogger(__name__)

MODES = ("first-use", "ca", "none")

Context: TypeAlias = ssl.SSLContext


def make_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """A client context for a printer: TLS 1.2 alone, and with ``ca_file`` a check of chain and name.

    TLS 1.3 is refused by most printers, and where it is not (some P2S) its end-of-data alert cuts
    uploads short (maziggy/bambuddy#1401). Some X1C firmware offers plain RSA key exchange only
    (maziggy/bambuddy#620), which Python's own cipher list leaves out.

    Raises `OSError` or `ssl.SSLError` when ``ca_file`` cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DEFAULT")
    if ca_file is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca_file)
        # The BBL authority lacks keyUsage, which Python 3.13 insists on by default.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        # What the user names is trusted, also when it is the one in between (BBL Device CA) without its root.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def fingerprint(der: bytes) -> str:
    """The SHA-256 of a DER certificate, in upper-case hex pairs."""
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


class TrustStore:
    """The certificates seen first, in one JSON file that several mounts may share.

    Keys are serials where known, else ``host:port``.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def check(self, key: str, der: bytes) -> None:
        """Accept the certificate remembered for ``key``, or the first; raises `CertificateRefused` for another."""
        seen = fingerprint(der)
        with self._open() as known:
            trusted = known.setdefault(key, seen)
            if trusted == seen:
                return
        raise CertificateRefused(
            f"the printer {key} shows another certificate than before. If it was reset or replaced, accept the new one "
            f"with: bambufs trust {key}. If not, somebody may be listening in"
        )

    def forget(self, key: str) -> bool:
        """Forget the certificate of ``key``, so that the next one is accepted; returns whether there was one."""
        with self._open() as known:
            return known.pop(key, None) is not None

    def fingerprint(self, key: str) -> str | None:
        """The fingerprint that is remembered for ``key``; None when there is none."""
        with self._open() as known:
            return known.get(key)

    def known(self) -> list[str]:
        """Every printer whose certificate is remembered."""
        with self._open() as known:
            return sorted(known)

    @contextmanager
    def _open(self) -> Iterator[dict[str, str]]:
        """The remembered fingerprints; what the block changes is written back whole.

        Raises `CertificateRefused` when the file cannot be read, or cannot be written and has to be.
        """
        with self._lock, self._locked():
            known = self._read()
            before = dict(known)
            yield known
            if known != before:
                self._write(known)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other mounts from the file; one in a folder that cannot be written is only read."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(f"{self._file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, known: dict[str, str]) -> None:
        draft = self._file.with_suffix(".new")
        try:
            draft.touch(0o600)
            with open(draft, "w", encoding="utf-8") as file:
                file.write(json.dumps(known, indent=1))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._file)
        except OSError as error:
            raise self._unusable("written", error) from error

    def _unusable(self, what: str, error: OSError) -> CertificateRefused:
        why = (error.strerror or "").lower()
        return CertificateRefused(
            f"the printers' certificates in {self._file} cannot be {what} ({why}), so none can be trusted; mend that, "
            "or choose another folder with --cache-dir"
        )

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self._file.read_text())
            return {str(key): str(value) for key, value in known.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable("read", error) from error
        except (ValueError, AttributeError, RecursionError):
            logger.warning("%s is damaged and starts anew; certificates will be remembered again", self._file)
            return {}


def checker(mode: str, store: TrustStore, key: str) -> Callable[[bytes], None]:
    """What to call with the printer's certificate before the access code is sent, for a trust ``mode``."""
    if mode == "first-use":
        return lambda der: store.check(key, der)
    if mode == "none":
        logger.warning("the printer's certificate is not checked: anybody in the network could pose as the printer")
    return lambda der: None


def common_name(der: bytes) -> str | None:
    """The common name of a certificate's subject, which is the serial on these printers; None when there is none."""
    return _name(der, 4)


def issuer_name(der: bytes) -> str | None:
    """The common name of who signed a certificate; None when there is none."""
    return _name(der, 2)


def _name(der: bytes, field: int) -> str | None:
    """The common name in the ``field`` of the certificate: 2 is the issuer, 4 the subject."""
    try:
        tbs = _children(_children(_value(der))[0][1])
        fields = tbs[1:] if tbs[0][0] == 0xA0 else tbs  # the version is left out in X.509 v1 (an A1 mini's leaf)
        for _, attributes in _children(fields[field][1]):
            for _, pair in _children(attributes):
                oid, value = _children(pair)[:2]
                if oid[1] == b"\x55\x04\x03":
                    return value[1].decode("utf-8", "replace")
    except (IndexError, ValueError):
        pass
    return None


def _value(der: bytes) -> bytes:
    return _children(der)[0][1]


def _children(der: bytes) -> list[tuple[int, bytes]]:
    """The (tag, value) pairs of a DER sequence's content."""
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(der[at : at + count], "big"), at + count
        if at + length > len(der):
            raise ValueError("truncated certificate")
        found.append((tag, der[at : at + length]))
        at += length
    return found
