"""What stands in the way of a mount is said in one sentence, with an exit code of its own; nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import StartPrinter, StartVsftpd
from tests.faults.programs import Argument, Ended, Program, run, succeed
from tests.faults.site import IMPATIENT, Address, Site, address
from tests.support.mounting import Target, mount_device, mount_environment
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until

CODE = "s3cretCode"

# Runs the command line as if the Python packages named first were not installed.
_WITHOUT = """\
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
from bambufs.cli import main
sys.exit(main(sys.argv[2:]))
"""


def assert_refused(ended: Ended, code: int, *words: str) -> None:
    """The command ended with ``code`` and one sentence on standard error, with ``words`` in it."""
    assert ended.code == code, ended
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    assert line.startswith("bambufs: ")
    for word in words:
        assert word in line


def assert_left_nothing(site: Site) -> None:
    """Nothing is mounted, and no process is left."""
    assert not site.is_mounted
    assert site.daemons() == []
    assert os.listdir(site.point) == []


def test_a_wrong_access_code_is_exit_code_3(server: Vsftpd, site: Site, fuse3: str) -> None:
    wrong = Address(server.host, server.port, "00000000", server.serial)

    assert_refused(site.mount(wrong), 3, "access code")
    assert_left_nothing(site)


def test_a_wrong_access_code_is_exit_code_3_for_a_p1s(start_printer: StartPrinter, site: Site, fuse3: str) -> None:
    printer = start_printer("p1s")
    there = address(printer)
    printer.access_code = "changed"

    assert_refused(site.mount(there), 3, "access code")
    assert_left_nothing(site)


def test_a_printer_that_is_off_is_exit_code_4(start_printer: StartPrinter, site: Site, fuse3: str) -> None:
    printer = start_printer()
    printer.switch_off()

    assert_refused(site.mount(address(printer)), 4, printer.host, "switched on")
    assert_left_nothing(site)


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port at which connections are neither taken nor refused, as at an address where nobody is."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):  # these fill its queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_an_address_where_nobody_is_is_exit_code_4(site: Site, fuse3: str) -> None:
    with deaf_port() as port:
        ended = site.mount(Address("127.0.0.1", port, CODE, "SERIAL"), module=IMPATIENT)

    assert_refused(ended, 4, "127.0.0.1", "switched on")
    assert_left_nothing(site)


def test_a_name_that_nobody_knows_is_exit_code_4(site: Site, fuse3: str) -> None:
    nowhere = Address("no-such-printer.invalid", 990, CODE, "SERIAL")

    assert_refused(site.mount(nowhere), 4, "no-such-printer.invalid")
    assert_left_nothing(site)


def test_a_missing_mount_point_is_exit_code_5(server: Vsftpd, site: Site, fuse3: str) -> None:
    site.point.rmdir()

    assert_refused(site.mount(server), 5, str(site.point), "mkdir")
    assert not site.point.exists()


def test_a_file_as_mount_point_is_exit_code_5(server: Vsftpd, site: Site, fuse3: str) -> None:
    site.point.rmdir()
    site.point.write_text("mine")

    assert_refused(site.mount(server), 5, str(site.point), "folder")
    assert site.point.read_text() == "mine"


def test_a_mount_point_that_is_not_empty_is_exit_code_5(server: Vsftpd, site: Site, fuse3: str) -> None:
    (site.point / "mine.txt").write_text("mine")

    assert_refused(site.mount(server), 5, str(site.point), "empty")
    assert (site.point / "mine.txt").read_text() == "mine"
    assert not site.is_mounted


def test_a_mount_point_in_use_is_exit_code_5_and_stays_mounted(server: Vsftpd, site: Site, binding: str) -> None:
    assert site.mount(server, binding=binding).code == 0
    daemon = site.daemon()

    assert_refused(site.mount(server, binding=binding), 5, str(site.point), "unmount")
    assert site.daemon() == daemon
    succeed("ls", site.point)
    assert site.unmount().code == 0


def test_a_second_mount_of_the_same_printer_is_refused_in_a_sentence(
    server: Vsftpd, site: Site, tmp_path: Path, fuse3: str
) -> None:
    assert site.mount(server).code == 0
    other = tmp_path / "other"
    other.mkdir()

    command = ("mount", server.host, other, "--ftps-port", str(server.port), "--cache-dir", site.cache)
    ended = site.command(*command, target=server).wait()

    assert ended.code not in (0, 1)
    assert_refused(ended, ended.code, "--cache-dir")
    assert mount_device(other) == ""
    succeed("ls", site.point)
    assert site.unmount().code == 0


def _without(site: Site, server: Target, packages: str, *options: str) -> Ended:
    words: list[Argument] = ["mount", server.host, site.point, "--ftps-port", str(server.port)]
    words += ["--cache-dir", site.cache, *options]
    environment = mount_environment(server, site.home)
    return run(sys.executable, "-c", _WITHOUT, packages, *words, environment=environment)


def test_no_fuse_at_all_is_exit_code_6(server: Vsftpd, site: Site) -> None:
    assert_refused(_without(site, server, "fuse,mfusepy"), 6, "FUSE", "install")
    assert_left_nothing(site)


@pytest.mark.parametrize(("binding", "package"), [("fuse2", "fuse"), ("fuse3", "mfusepy")])
def test_a_binding_that_is_not_there_is_exit_code_6(server: Vsftpd, site: Site, binding: str, package: str) -> None:
    assert_refused(_without(site, server, package, "-o", f"fuse={binding[-1]}"), 6, binding)
    assert_left_nothing(site)


def test_an_unknown_binding_is_wrong_usage(server: Vsftpd, site: Site) -> None:
    assert_refused(site.mount(server, binding="fuse4"), 2, "fuse=4")
    assert_left_nothing(site)


@pytest.mark.parametrize("binding", [pytest.param("fuse2", marks=pytest.mark.slow), "fuse3"], indirect=True)
def test_a_changed_certificate_is_exit_code_7_until_trusted(
    start_printer: StartPrinter, site: Site, binding: str
) -> None:
    printer = start_printer()
    there = address(printer)
    assert site.mount(there, binding=binding).code == 0
    assert site.unmount().code == 0
    logged_in = len(printer.wait_for("PASS"))

    printer.renew_certificate()
    assert_refused(site.mount(there, binding=binding), 7, "bambufs trust")
    assert_left_nothing(site)
    logged_in_later = len(printer.wait_for("PASS"))

    trusted = site.command("trust", there.serial, "--cache-dir", site.cache).wait()
    assert trusted.code == 0, trusted
    assert site.mount(there, binding=binding).code == 0
    succeed("ls", site.point)
    assert site.unmount().code == 0
    assert logged_in_later == logged_in, "the access code was sent to a printer with another certificate"


def test_a_vsftpd_whose_sessions_are_taken_is_exit_code_8(
    start_vsftpd: StartVsftpd, site: Site, tmp_path: Path, fuse3: str
) -> None:
    server = start_vsftpd(max_clients=1)
    other = Site(_folder(tmp_path / "other"))
    try:
        assert site.mount(server).code == 0
        assert_refused(other.mount(server), 8, "taken")
        assert_left_nothing(other)
        succeed("ls", site.point)
        assert site.unmount().code == 0
    finally:
        other.clear_away()


@pytest.mark.parametrize("over_limit", ["421", "425", "hang"])
def test_a_p1s_whose_only_session_is_taken_is_exit_code_8(
    start_printer: StartPrinter, site: Site, tmp_path: Path, fuse3: str, over_limit: str
) -> None:
    printer = start_printer("p1s", over_limit=over_limit)
    other = Site(_folder(tmp_path / "other"))
    try:
        assert site.mount(address(printer)).code == 0
        assert_refused(other.mount(address(printer), module=IMPATIENT), 8, "another program")
        assert_left_nothing(other)
        succeed("ls", site.point)
        assert site.unmount().code == 0
    finally:
        other.clear_away()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("is_right", [True, False], ids=["right code", "wrong code"])
@pytest.mark.parametrize("form", [(), ("--foreground",)], ids=["background", "foreground"])
def test_the_access_code_appears_nowhere(
    start_printer: StartPrinter, site: Site, fuse3: str, is_right: bool, form: tuple[str, ...]
) -> None:
    printer = start_printer()
    printer.access_code = CODE
    there = address(printer)
    if not is_right:
        printer.access_code = "other"

    command = site.mounting(there, "-v", *form)
    if is_right:
        _use_and_unmount(site, command)
    ended = command.wait()

    assert ended.code == (0 if is_right else 3), ended
    assert CODE not in ended.out + ended.err
    assert _holding(CODE, site.folder) == []


def _use_and_unmount(site: Site, command: Program) -> None:
    wait_until(lambda: site.is_mounted or not command.is_running, "the mount")
    succeed("ls", "-l", site.point)
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in site.daemons()]
    assert lines
    assert not any(CODE.encode() in line for line in lines)
    assert site.unmount().code == 0


def _holding(text: str, folder: Path) -> list[Path]:
    """The files below ``folder`` that hold ``text``."""
    return [file for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]
