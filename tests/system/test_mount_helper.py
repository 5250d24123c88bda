"""`mount -t bambufs` and lines of /etc/fstab, with mount(8) itself, in a mount namespace of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs import simulator
from bambufs.cli import mounthelper
from tests.support import needs
from tests.support.sandbox import LET_GO_OF_FUSE

EXAMPLE = Path(__file__).parents[2] / "systemd/fstab.example"
OPTIONS = "noauto,nofail,_netdev,x-systemd.automount"

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[simulator.Printer]:
    simulator.make_card(tmp_path / "card")
    (tmp_path / "mnt").mkdir()
    with simulator.Printer(card=tmp_path / "card", mqtt=False) as running:
        code = tmp_path / "code"
        code.write_text(running.access_code)
        code.chmod(0o600)
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs shell lines where /sbin holds the helper alone; what they mount, and its process, goes with them."""
    needs.need("fuse3", "unshare", "mount")
    if os.geteuid() != 0:
        pytest.skip("mount -t needs root (try: sudo make test)")
    helper = tmp_path / "sbin/mount.bambufs"
    helper.parent.mkdir()
    shutil.copy("/sbin/ldconfig", helper.parent)  # by which Python finds libfuse
    call = "import sys; from bambufs.cli.mounthelper import main; sys.exit(main())"
    helper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(call)} "$@"\n')
    helper.chmod(0o755)

    def running(lines: str) -> subprocess.CompletedProcess[str]:
        script = f"set -e\n{LET_GO_OF_FUSE}\nmount --bind {helper.parent} {os.path.realpath('/sbin')}\n{lines}"
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]
        clean = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONPATH": os.getcwd()}
        return subprocess.run(
            command, env=clean, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    return running


def options(printer: simulator.Printer, folder: Path) -> str:
    own = f"ftps_port={printer.ftps_port},mqtt_port=9,cache_dir={folder}/cache,access_code_file={folder}/code"
    return f"{OPTIONS},{own}"


def test_mount_t_mounts_and_umount_unmounts(run: Run, printer: simulator.Printer, tmp_path: Path) -> None:
    done = run(
        f"""mount -t bambufs -o {options(printer, tmp_path)} {printer.host} mnt
        grep -c ' fuse.bambufs ' /proc/self/mounts
        cp card/verify_job mnt/cache/copy
        umount mnt
        ls mnt"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    assert (tmp_path / "card/cache/copy").read_bytes() == bytes(range(16))


def test_line_of_fstab_is_mounted(run: Run, printer: simulator.Printer, tmp_path: Path) -> None:
    place = tmp_path / "mnt"
    line = f"{printer.host} {place} bambufs {options(printer, tmp_path)},ro,uid=1000 0 0\n"
    (tmp_path / "fstab").write_text(line)
    done = run(f"mount --fstab fstab {place}; ls mnt; stat -c %u mnt/cache; touch mnt/x 2>&1 || true; umount mnt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["1000", "touch: cannot touch 'mnt/x': Read-only file system"]


def test_failure_is_told_to_mount(run: Run, printer: simulator.Printer, tmp_path: Path) -> None:
    (tmp_path / "code").write_text("87654321")
    done = run(f"mount -t bambufs -o {options(printer, tmp_path)} {printer.host} mnt")
    assert done.returncode == 32
    assert "refuses the access code" in done.stderr
    assert "87654321" not in done.stderr


def test_example_lines_are_understood() -> None:
    lines = [line.split() for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    assert [line[2] for line in lines] == ["bambufs", "bambufs"]
    for line in lines:
        assert "--access-code-file=/etc/bambufs/garage.code" in mounthelper.arguments_for(line[3].split(","))


def test_what_cannot_be_meant_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert mounthelper.main(["printer"]) == 1
    assert mounthelper.main(["printer", "/mnt", "--bogus"]) == 1
    assert "usage: mount.bambufs" in capsys.readouterr().err
    assert mounthelper.main(["printer", "/mnt", "-f"]) == 0
    assert mounthelper.main(["printer", "/none/there", "-o", "no_such_option"]) == 32
    assert "no such option" in capsys.readouterr().err
