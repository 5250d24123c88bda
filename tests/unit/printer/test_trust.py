"""Which certificate belongs to which printer."""

from __future__ import annotations

import errno
import json
import logging
import os
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from bambufs.errors import CertificateRefused
from bambufs.printer.session import FtpsSession
from bambufs.printer.trust import TrustStore, checker, common_name, fingerprint, make_context
from tests.support.certificates import PrinterCertificate, printer_certificate
from tests.support.scripted import CALM, SERIAL, Step, Talk, login, scripted

ONE, OTHER = b"one certificate", b"another certificate"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "trust.json"


@pytest.fixture
def store(file: Path) -> TrustStore:
    return TrustStore(file)


def der(certificate: PrinterCertificate) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.leaf.decode())


# --- remembering the first ---------------------------------------------------------------------------


def test_first_certificate_is_accepted(store: TrustStore) -> None:
    store.check(SERIAL, ONE)


def test_same_certificate_is_accepted_again(store: TrustStore, file: Path) -> None:
    store.check(SERIAL, ONE)
    TrustStore(file).check(SERIAL, ONE)


def test_another_certificate_is_refused(store: TrustStore) -> None:
    store.check(SERIAL, ONE)
    with pytest.raises(CertificateRefused):
        store.check(SERIAL, OTHER)


def test_another_certificate_is_refused_after_a_restart(store: TrustStore, file: Path) -> None:
    store.check(SERIAL, ONE)
    with pytest.raises(CertificateRefused):
        TrustStore(file).check(SERIAL, OTHER)


def test_refusing_does_not_forget_the_first(store: TrustStore) -> None:
    store.check(SERIAL, ONE)
    with pytest.raises(CertificateRefused):
        store.check(SERIAL, OTHER)
    store.check(SERIAL, ONE)


def test_refusal_tells_how_to_accept(store: TrustStore) -> None:
    store.check("192.168.1.50:990", ONE)
    with pytest.raises(CertificateRefused, match=r"bambufs trust 192\.168\.1\.50\b"):
        store.check("192.168.1.50:990", OTHER)


def test_refusal_tells_how_to_accept_a_printer_with_an_ipv6_address(store: TrustStore) -> None:
    store.check("fe80::1:990", ONE)
    with pytest.raises(CertificateRefused, match=r"bambufs trust fe80::1\b"):
        store.check("fe80::1:990", OTHER)


def test_another_printer_has_a_certificate_of_its_own(store: TrustStore) -> None:
    store.check(SERIAL, ONE)
    store.check("01P00A000000002", OTHER)
    assert store.known() == ["01P00A000000001", "01P00A000000002"]


def test_forgotten_certificate_makes_way(store: TrustStore) -> None:
    store.check(SERIAL, ONE)
    assert store.forget(SERIAL)
    store.check(SERIAL, OTHER)


def test_forgetting_a_stranger_tells_so(store: TrustStore) -> None:
    assert not store.forget(SERIAL)


@pytest.mark.parametrize("damage", ["", "{", "[1]", "7", "\x00"])
def test_damaged_file_starts_anew(store: TrustStore, file: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    file.parent.mkdir()
    file.write_text(damage)
    store.check(SERIAL, ONE)
    assert "damaged" in caplog.text
    assert store.known() == [SERIAL]


def test_file_that_is_no_text_starts_anew(store: TrustStore, file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe")
    store.check(SERIAL, ONE)


def test_files_are_for_their_owner_alone(store: TrustStore, file: Path) -> None:
    store.check(SERIAL, ONE)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert (modes, stat.S_IMODE(file.parent.stat().st_mode)) == ({0o600}, 0o700)


def test_file_holds_the_fingerprint(store: TrustStore, file: Path) -> None:
    store.check(SERIAL, ONE)
    assert json.loads(file.read_text()) == {SERIAL: fingerprint(ONE)}


def test_many_mounts_at_once_lose_nothing(file: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: TrustStore(file).check(f"printer{number}", ONE), range(40)))
    assert len(TrustStore(file).known()) == 40


def test_fingerprint_is_written_as_usual() -> None:
    assert fingerprint(b"").startswith("E3:B0:C4:42:98:FC:1C:14:")


# --- the ways to trust ------------------------------------------------------------------------------


def test_first_use_checks_with_the_store(store: TrustStore) -> None:
    check = checker("first-use", store, SERIAL)
    check(ONE)
    with pytest.raises(CertificateRefused):
        check(OTHER)


@pytest.mark.parametrize("mode", ["none", "ca"])
def test_other_ways_remember_nothing(store: TrustStore, mode: str) -> None:
    checker(mode, store, SERIAL)(ONE)
    assert store.known() == []


def test_no_check_at_all_is_loud(store: TrustStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        checker("none", store, SERIAL)
    assert "not checked" in caplog.text


# --- TLS --------------------------------------------------------------------------------------------


def test_only_tls_1_2_is_spoken() -> None:
    context = make_context()
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


def test_plain_rsa_key_exchange_is_offered() -> None:
    assert "AES256-GCM-SHA384" in {cipher["name"] for cipher in make_context().get_ciphers()}


def test_authority_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        make_context(tmp_path / "missing.pem")


@pytest.fixture
def open_with_authority(tmp_path: Path) -> Callable[[str, list[Step]], None]:
    """Opens a session that is checked against the authority and a serial."""
    authority = printer_certificate(SERIAL).write(tmp_path)[2]

    def open_session(serial: str, script: list[Step]) -> None:
        with scripted(script) as printer:
            target = replace(printer.target(), context=make_context(authority), server_name=serial)
            FtpsSession.open(target, CALM).close()

    return open_session


def hears_no(talk: Talk) -> None:
    """The client ends the handshake."""
    with pytest.raises(ssl.SSLError):
        assert talk.sock


def test_printer_signed_by_the_authority_is_accepted(open_with_authority: Callable[[str, list[Step]], None]) -> None:
    open_with_authority(SERIAL, login())


def test_printer_with_another_serial_is_refused(open_with_authority: Callable[[str, list[Step]], None]) -> None:
    with pytest.raises(CertificateRefused):
        open_with_authority("01P00A000000002", [hears_no])


# --- reading certificates -------------------------------------------------------------------------


def test_common_name_is_the_serial() -> None:
    assert common_name(der(printer_certificate(SERIAL))) == SERIAL


@pytest.mark.parametrize("junk", [b"", b"\x30", b"\x30\x80", b"\x30\x82\xff\xff\x00", b"junk", b"\x30\x03\x30\x01\x00"])
def test_junk_has_no_common_name(junk: bytes) -> None:
    assert common_name(junk) is None


@pytest.mark.parametrize("length", [1, 10, 100, 300])
def test_certificate_cut_short_has_no_common_name(length: int) -> None:
    assert common_name(der(printer_certificate(SERIAL))[:length]) is None


# --- the file on this computer -----------------------------------------------------------------------


REMEMBER = """
import pathlib, sys
from bambufs.printer.trust import TrustStore
for name in sys.argv[2:]:
    TrustStore(pathlib.Path(sys.argv[1])).check(name, name.encode())
"""
"""What one mount does, in a process of its own."""


def test_mounts_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "trust.json"
    names = [[f"{process}-{number}" for number in range(25)] for process in range(4)]
    processes = [subprocess.Popen([sys.executable, "-c", REMEMBER, file, *some]) for some in names]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert TrustStore(file).known() == sorted(name for some in names for name in some)


def test_known_printer_is_trusted_from_a_file_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TrustStore(tmp_path / "trust.json")
    store.check("01P", b"certificate")
    monkeypatch.setattr("bambufs.printer.trust.os.open", refuse)
    monkeypatch.setattr(Path, "touch", refuse)
    store.check("01P", b"certificate")
    with pytest.raises(CertificateRefused, match="another certificate"):
        store.check("01P", b"other")


def test_new_printer_is_not_trusted_when_it_cannot_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(CertificateRefused, match="cannot be written"):
        TrustStore(tmp_path / "trust.json").check("01P", b"certificate")


def refuse(*args: object, **more: object) -> NoReturn:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))
