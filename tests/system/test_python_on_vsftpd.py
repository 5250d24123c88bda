"""The Python interface on Debian's vsftpd, the daemon that the X1 family runs."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs import Printer
from bambufs.errors import CardFull
from tests.support import needs
from tests.support.vsftpd import Vsftpd, vsftpd_printer

BIG = os.urandom(16_000_000)
WHEN = 1_749_990_606


def client(server: Vsftpd, folder: Path) -> Printer:
    return Printer(server.host, server.access_code, ftps_port=server.port, mqtt_port=9, cache_dir=folder / "cache")


@pytest.fixture
def server() -> Iterator[Vsftpd]:
    needs.need("vsftpd")
    with vsftpd_printer() as running:
        yield running


def test_files_go_there_and_back(server: Vsftpd, tmp_path: Path) -> None:
    with client(server, tmp_path) as printer:
        printer.mkdir("/model/a", parents=True)
        info = printer.upload(io.BytesIO(BIG), "/model/a/big.bin", mtime=WHEN)
        assert printer.stat("/model/a/big.bin") == info
        assert (server.root / "model/a/big.bin").read_bytes() == BIG
        with printer.open("/model/a/big.bin") as file:
            file.seek(-1000, os.SEEK_END)
            assert file.read() == BIG[-1000:]
        got = printer.download("/model/a/big.bin", tmp_path)
        assert (got.read_bytes(), int(got.stat().st_mtime)) == (BIG, WHEN)
        printer.rename("/model/a/big.bin", "/model/b.bin")
        assert [[info.name for info in files] for _, _, files in printer.walk()] == [[], ["b.bin"], []]
        printer.rmtree("/model")
        assert os.listdir(server.root) == []


def test_download_goes_on_after_the_server_was_killed(server: Vsftpd, tmp_path: Path) -> None:
    (server.root / "big.bin").write_bytes(BIG)
    killed: list[int] = []

    def kill_once(done: int, _size: int) -> None:
        if not killed and done > 500_000:
            killed.append(done)
            server.restart()

    with client(server, tmp_path) as printer:
        assert printer.download("/big.bin", tmp_path, progress=kill_once).read_bytes() == BIG
    starts = [int(command.argument) for command in server.commands("REST")]
    assert killed
    assert starts[-1] >= 500_000


def test_full_card_is_told_and_left_clean(tmp_path: Path) -> None:
    needs.need("vsftpd")
    with vsftpd_printer(small_disk=2_000_000) as server:
        with client(server, tmp_path) as printer:
            with pytest.raises(CardFull) as full:
                printer.upload(io.BytesIO(BIG), "/big.bin")
        assert full.value.errno == errno.ENOSPC
        assert os.listdir(server.root) == []
