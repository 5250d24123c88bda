"""`bambufs recover` after a mount that was killed while it owed two files."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.faults.conftest import MakeFile
from tests.faults.programs import Ended, succeed
from tests.faults.site import Site
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until


@pytest.fixture
def source(make_file: MakeFile) -> Path:
    return make_file("a.3mf", 40_000)


@pytest.fixture
def left(server: Vsftpd, site: Site, fuse3: str, source: Path) -> Site:
    """What is left of a mount that was killed while it owed a.3mf and b.3mf."""
    assert site.mount(server, "--write-back", "600").code == 0
    succeed("cp", source, site.point)
    succeed("cp", source, site.point / "b.3mf")
    os.kill(site.daemon(), signal.SIGKILL)
    wait_until(lambda: not site.daemons(), "the driver to be gone")
    return site


def recover(site: Site, server: Vsftpd, *arguments: str | Path) -> Ended:
    """Run it."""
    words = ("recover", server.host, "--ftps-port", str(server.port), "--cache-dir", site.cache, *arguments)
    return site.command(*words, target=server).wait(60)


def numbers(site: Site, server: Vsftpd) -> dict[str, int]:
    """The numbers of what is kept, by path."""
    listed = recover(site, server, "--json")
    assert listed.code == 0, listed
    return {one["path"]: one["number"] for one in json.loads(listed.out)}


def test_everything_is_listed_and_sent(left: Site, server: Vsftpd, source: Path) -> None:
    listed = recover(left, server)
    assert listed.code == 0, listed
    assert "/a.3mf" in listed.out
    assert "/b.3mf" in listed.out
    assert "the next mount sends it" in listed.out

    sent = recover(left, server, "--retry")

    assert sent.code == 0, sent
    assert "/a.3mf: sent" in sent.out
    assert (server.root / "a.3mf").read_bytes() == (server.root / "b.3mf").read_bytes() == source.read_bytes()
    assert "Nothing is kept" in recover(left, server).out
    assert left.owed() == []


def test_one_is_exported_and_one_discarded(left: Site, server: Vsftpd, source: Path, tmp_path: Path) -> None:
    assert recover(left, server, "/a.3mf", "--export", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "a.3mf").read_bytes() == source.read_bytes()
    assert os.listdir(tmp_path / "out") == ["a.3mf"]

    refused = recover(left, server, "--discard")
    assert refused.code == 2
    assert "--discard --all" in refused.err
    assert len(numbers(left, server)) == 2
    assert recover(left, server, "--discard", str(numbers(left, server)["/b.3mf"])).code == 0
    assert list(numbers(left, server)) == ["/a.3mf"]


def test_nothing_is_done_while_the_printer_is_mounted(left: Site, server: Vsftpd) -> None:
    assert left.mount(server, "--write-back", "600").code == 0
    refused = recover(left, server, "--discard", "--all")
    assert refused.code == 2, refused
    assert "mounted" in refused.err
    assert ".bambufs/transfers" in refused.err
    assert left.unmount().code == 0
    assert len(os.listdir(server.root)) == 2


def test_retry_without_the_printer_changes_nothing(left: Site, server: Vsftpd) -> None:
    server.kill()
    refused = recover(left, server, "--retry")
    assert refused.code == 4, refused
    assert len(numbers(left, server)) == 2
