"""Which failure ends the command line with which number, and that it is told in one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bambufs import errors, log
from bambufs.cli import main
from bambufs.cli.explain import explained
from bambufs.errors import PrinterError, UsageError
from bambufs.mount import binding
from bambufs.mount.adapter import Adapter
from bambufs.simulator import Printer
from tests.support.ports import port_block
from tests.support.scripted import LOGIN, ask, plain, scripted
from tests.unit.test_errors import KINDS


class Library:
    """Stands for libfuse: mounts nothing, and returns at once."""

    name = "none"

    def __init__(self) -> None:
        self.mounts, self.options = True, dict[str, Any]()

    def run(self, adapter: Adapter, mountpoint: str, options: dict[str, Any]) -> int:
        self.options = options
        if self.mounts:
            adapter.mounted()
        return 0 if self.mounts else 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    monkeypatch.setattr(binding, "choose", lambda wanted=None: library)
    return library


@pytest.fixture(autouse=True)
def process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave pytest's log alone, and the umask as it was."""
    monkeypatch.setattr(log, "set_up", lambda **options: None)
    monkeypatch.setenv("BAMBU_ACCESS_CODE", "47281593")
    for name in ("BAMBU_IP", "BAMBU_DEVICE_ID", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


Mount = Callable[..., int]


@pytest.fixture
def mount(tmp_path: Path, library: Library) -> Mount:
    """Runs `bambufs mount --foreground`; returns its exit code."""
    (tmp_path / "mnt").mkdir()

    def run(port: int, *arguments: str, host: str = "127.0.0.1") -> int:
        fixed = ["mount", host, str(tmp_path / "mnt"), "--foreground", "--ftps-port", str(port)]
        return main([*fixed, "--cache-dir", str(tmp_path / "cache"), *arguments])

    return run


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[Printer]:
    (tmp_path / "card").mkdir()
    with Printer(card=tmp_path / "card", access_code="47281593", mqtt=False) as printer:
        yield printer


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What was told on standard error, which must be one sentence."""
    told = capsys.readouterr().err
    assert told.startswith("bambufs: ")
    assert told.count("\n") == 1
    return told


# --- mounting ---------------------------------------------------------------------------------------


def test_good_mount_ends_with_0(mount: Mount, printer: Printer) -> None:
    assert mount(printer.ftps_port) == 0


def test_wrong_access_code_ends_with_3(
    mount: Mount, printer: Printer, capsys: pytest.CaptureFixture[str]
) -> None:
    printer.access_code = "other"
    assert mount(printer.ftps_port) == 3
    assert "access code" in sentence(capsys)


def test_unreachable_printer_ends_with_4(mount: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    with port_block() as ports:
        assert mount(ports[0]) == 4
    assert "no printer answers" in sentence(capsys)


def test_host_that_nobody_knows_ends_with_4(mount: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    assert mount(990, host="a..b") == 4
    sentence(capsys)


def test_missing_mount_point_ends_with_5(
    mount: Mount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mnt").rmdir()
    assert mount(990) == 5
    assert "mkdir -p" in sentence(capsys)


def test_mount_that_fuse_refuses_ends_with_6(
    mount: Mount, printer: Printer, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    library.mounts = False
    assert mount(printer.ftps_port) == 6
    assert "FUSE" in sentence(capsys)


def test_fuse_that_is_not_installed_ends_with_6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(binding, "available", list)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    assert main(["mount", "printer", str(tmp_path)]) == 6
    assert "apt install" in sentence(capsys)


def test_changed_certificate_ends_with_7(
    mount: Mount, printer: Printer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mount(printer.ftps_port) == 0
    printer.renew_certificate()
    assert mount(printer.ftps_port) == 7
    assert "bambufs trust" in sentence(capsys)


def test_busy_printer_ends_with_8(mount: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted([plain("421 There are too many connected users, please try later.")]) as talk:
        assert mount(talk.port) == 8
    assert "taken" in sentence(capsys)


def test_certificate_that_was_forgotten_is_remembered_anew(
    mount: Mount, printer: Printer, tmp_path: Path
) -> None:
    mount(printer.ftps_port)
    printer.renew_certificate()
    assert main(["trust", printer.host, "--cache-dir", str(tmp_path / "cache")]) == 0
    assert mount(printer.ftps_port) == 0


def test_forgetting_a_stranger_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust", "stranger", "--cache-dir", str(tmp_path)]) == 2
    assert "there are: none" in sentence(capsys)


def test_no_access_code_ends_with_2(
    mount: Mount, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BAMBU_ACCESS_CODE")
    assert mount(990) == 2
    assert "--access-code-file" in sentence(capsys)


def test_unknown_option_ends_with_2(mount: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    assert mount(990, "-o", "bogus") == 2
    assert "bogus" in sentence(capsys)


def test_printer_from_an_environment_that_lacks_it_ends_with_2(
    mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mount(990, host="-") == 2
    assert "BAMBU_IP" in sentence(capsys)


def test_printer_is_taken_from_the_environment(
    mount: Mount, printer: Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAMBU_IP", printer.host)
    assert mount(printer.ftps_port, host="-") == 0


def test_authority_that_cannot_be_read_ends_with_2(mount: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    assert mount(990, "--tls-trust", "ca", "--serial", "01P00A000000001", "-o", "tls_ca=/nope.pem") == 2
    assert "/nope.pem" in sentence(capsys)


def test_cache_that_cannot_be_used_is_told_in_a_sentence(
    mount: Mount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert mount(990) != 0
    assert str(tmp_path / "cache") in sentence(capsys)


def test_log_that_cannot_be_written_is_told_in_a_sentence(
    mount: Mount, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**options: object) -> None:
        raise NotADirectoryError(20, "Not a directory", "/dev/null/x")

    monkeypatch.setattr(log, "set_up", refuse)
    assert mount(990) == 1
    assert "/dev/null/x" in sentence(capsys)


def test_waiting_for_a_printer_can_be_ended_by_ctrl_c(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bambufs.vfs.root.Root.connect", interrupt)
    assert mount(990) == 130


def test_read_only_is_told_to_fuse(mount: Mount, printer: Printer, library: Library) -> None:
    mount(printer.ftps_port, "-o", "ro")
    assert library.options["ro"] is True


def test_kernel_keeps_nothing_longer_than_ourselves(mount: Mount, printer: Printer, library: Library) -> None:
    mount(printer.ftps_port, "--ttl", "0.5")
    assert (library.options["attr_timeout"], library.options["entry_timeout"]) == (0.5, 0.5)


def test_access_code_is_in_no_output(mount: Mount, capfd: pytest.CaptureFixture[str]) -> None:
    with scripted([*LOGIN[:2], ask("PASS *", "530 Login incorrect.")]) as talk:
        assert mount(talk.port) == 3
    told = capfd.readouterr()
    assert "47281593" not in told.out + told.err


def test_unmounting_what_is_no_mount_ends_with_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unmount", str(tmp_path)]) == 5
    assert "no printer is mounted" in sentence(capsys)


# --- errors as sentences ------------------------------------------------------------------------------

CODES = {
    errors.LoginRefused: 3,
    errors.PrinterUnreachable: 4,
    errors.PrinterTimeout: 4,
    errors.CertificateRefused: 7,
    errors.PrinterBusy: 8,
    errors.DataRefused: 8,
    errors.PrinterSilent: 8,
}


@pytest.mark.parametrize("kind", KINDS)
def test_error_of_the_printer_has_its_exit_code(kind: type[PrinterError]) -> None:
    assert explained(kind("what happened")).exit_code == CODES.get(kind, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_error_of_the_printer_keeps_its_sentence(kind: type[PrinterError]) -> None:
    assert explained(kind("what happened")).message == "what happened"


def test_wrong_usage_stays_what_it_is() -> None:
    error = UsageError("no", 5)
    assert explained(error) is error


def test_anything_else_is_a_fault_of_bambufs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = explained(KeyError("x"))
    assert told.exit_code == 9
    assert "fault in bambufs itself (KeyError)" in told.message
    assert str(tmp_path / "bambufs" / "faults.log") in told.message
