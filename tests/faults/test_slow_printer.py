"""A P1S as its owners know it: slow, and with one connection. What they see meanwhile is prompt and true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bambufs import simulator
from tests.faults.conftest import MakeFile, StartPrinter
from tests.faults.programs import Program, run, succeed
from tests.faults.site import IMPATIENT, Site, address
from tests.support.mounting import Mounted, mounted
from tests.support.waiting import wait_until

SIZE, RATE = 3_000_000, 300_000
PROMPT = 3.0
"""Seconds for a listing while a file is sent; on a machine that is busy with other tests as well."""

IN_THE_PRINTER = 300_000
"""Bytes that may be on their way between the count and the printer's disk."""


def progress(mount: Mounted) -> int:
    """The bytes that `.bambufs/transfers` says have gone; -1 when nothing is being sent."""
    found = re.search(r"sending .* (\d+) of \d+ bytes \(\d+ %\)", succeed("cat", mount.path / ".bambufs/transfers"))
    return int(found[1]) if found else -1


def arrived(printer: simulator.Printer) -> int:
    """The bytes of the upload that are on the printer's disk."""
    return sum(file.stat().st_size for file in (printer.card / "model").iterdir())


def second_mount(site: Site, printer: simulator.Printer, folder: Path) -> Program:
    """Somebody else mounts the same printer."""
    point = folder / "second"
    point.mkdir()
    arguments = ("--cache-dir", folder / "second-cache", "--ftps-port", str(printer.ftps_port))
    return site.command("mount", printer.host, point, *arguments, target=address(printer), module=IMPATIENT)


@pytest.mark.about_optimisations
def test_a_long_copy_to_a_p1s_leaves_nobody_in_the_dark(
    start_printer: StartPrinter, site: Site, fuse3: str, make_file: MakeFile, tmp_path: Path
) -> None:
    printer = start_printer("p1s")
    for name in ("cache/deep", "model", "timelapse"):
        (printer.card / name).mkdir(parents=True)
    (printer.card / "cache/deep/x.3mf").write_bytes(b"x")
    source = make_file("big.bin", SIZE)
    with mounted(address(printer), site.point, fuse3) as mount:
        printer.wait_for("LIST", count=5)  # each folder once, although nobody has looked into one
        printer.rate = RATE
        copy = Program("cp", source, mount.path / "model")
        wait_until(lambda: arrived(printer) > 0, "the upload to begin")

        shown = {"cache/deep": "x.3mf\n", "timelapse": "", "cache": "deep\n", "model": "big.bin\n"}
        for folder, names in shown.items():
            listed = run("ls", mount.path / folder)
            assert (listed.code, listed.out) == (0, names), listed
            assert listed.seconds < PROMPT, listed
            told = progress(mount)
            assert 0 <= told <= arrived(printer) + IN_THE_PRINTER

        refused = second_mount(site, printer, tmp_path).wait()
        assert refused.code == 8
        assert refused.err.count("\n") == 1
        assert "holds its only connection" in refused.err

        assert copy.wait(60).code == 0
        assert (printer.card / "model/big.bin").read_bytes() == source.read_bytes()


def test_a_folder_just_made_can_be_listed_during_a_copy(
    start_printer: StartPrinter, site: Site, fuse3: str, make_file: MakeFile
) -> None:
    printer = start_printer("p1s")
    (printer.card / "model").mkdir()
    source = make_file("big.bin", SIZE // 3)
    with mounted(address(printer), site.point, fuse3) as mount:
        succeed("mkdir", mount.path / "new")
        printer.rate = RATE
        copy = Program("cp", source, mount.path / "model")
        wait_until(lambda: arrived(printer) > 0, "the upload to begin")
        listed = run("ls", mount.path / "new")
        assert (listed.code, listed.out) == (0, ""), listed
        assert listed.seconds < PROMPT
        assert copy.wait(60).code == 0
