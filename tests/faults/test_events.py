"""What happens around a printer while it is mounted: somebody takes its connection, changes its access code, pulls its
card, or sets this computer's clock."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.world import P1S, X1C, World, open_world
from tests.support.waiting import wait_until

OLD, NEW = b"old content", b"new content" * 1000
YEAR = 365 * 86400


def put(world: World) -> None:
    """Files on the card, and the root listed."""
    for name in ("a.3mf", "folder/b.3mf"):
        (world.root / name).parent.mkdir(exist_ok=True)
        (world.root / name).write_bytes(OLD)
    world.files.readdir("/")


def failure_of(verb: Callable[[], object]) -> str:
    """The name of the errno with which ``verb`` fails."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 (the caller looks at the number)
        verb()
    return errno.errorcode[caught.value.errno or 0]


def _shows_what_it_knows(world: World) -> bool:
    assert [name for name, _ in world.files.readdir("/")] == ["a.3mf", "folder"]
    return world.files.stale_for() is not None


@pytest.mark.parametrize("over_limit", ["hang", "421"])
def test_another_program_takes_the_only_connection(tmp_path: Path, over_limit: str) -> None:
    with open_world(P1S, tmp_path, over_limit=over_limit) as world:
        put(world)
        world.printer.drop_sessions()
        place = (world.printer.host, world.printer.ftps_port)
        with socket.create_connection(place, timeout=5):
            world.printer.wait_for_sessions(1)
            assert failure_of(lambda: world.read("/folder/b.3mf")) == "EBUSY"
            began = time.monotonic()
            for _ in range(20):
                assert failure_of(lambda: world.files.mkdir("/new")) == "EBUSY"
            assert time.monotonic() - began < 5  # they do not wait in line one after the other
            wait_until(lambda: _shows_what_it_knows(world), "what was known to be shown")
        world.until_it_works()
        assert world.read("/folder/b.3mf") == OLD
        assert world.disk() == {"/a.3mf": OLD, "/folder": None, "/folder/b.3mf": OLD}


@pytest.mark.parametrize("family", [X1C, P1S])
def test_the_access_code_changes(tmp_path: Path, family: str) -> None:
    """It is tried once, not by every program that comes: printers lock out who fails too often."""
    with open_world(family, tmp_path) as world:
        put(world)
        tried = len(world.printer.wait_for("PASS"))
        right, world.printer.access_code = world.printer.access_code, "87654321"
        world.printer.drop_sessions()
        for _ in range(10):
            assert failure_of(lambda: world.files.mkdir("/new")) == "EACCES"
            assert failure_of(lambda: world.write("/a.3mf", NEW)) == "EACCES"
        assert len(world.printer.wait_for("PASS")) == tried + 1
        world.printer.access_code = right
        world.card.pool.breaker.succeeded()  # which otherwise waits for half a minute
        world.until_it_works()
        assert (world.root / "a.3mf").read_bytes() == OLD


@pytest.mark.parametrize("family", [X1C, P1S])
def test_the_card_is_pulled_and_put_back(tmp_path: Path, family: str) -> None:
    with open_world(family, tmp_path) as world:
        put(world)
        world.printer.quirks["card"] = "denied"
        assert failure_of(lambda: world.write("/a.3mf", NEW)) in ("EACCES", "EIO", "ENOENT")
        assert failure_of(lambda: world.read("/folder/b.3mf")) in ("EACCES", "EIO", "ENOENT")
        world.printer.quirks["card"] = "ok"
        world.until_it_works()
        world.until_tidy()
        world.until_it_agrees()
        assert world.disk() == {"/a.3mf": OLD, "/folder": None, "/folder/b.3mf": OLD}
        world.write("/a.3mf", NEW)
        assert (world.root / "a.3mf").read_bytes() == NEW


@pytest.mark.parametrize("family", [X1C, P1S])
def test_the_clock_of_this_computer_jumps(tmp_path: Path, family: str) -> None:
    """By the end of a suspension, by NTP, by a flat battery: files and times stay, and nothing waits for it."""
    ahead = [0.0]
    with open_world(family, tmp_path, clock=lambda: time.time() + ahead[0]) as world:
        put(world)
        world.write("/folder/new.3mf", NEW, mtime=1_700_000_000)
        for ahead[0] in (2.0 * YEAR, -2.0 * YEAR, -1e9, 0.0):
            began = time.monotonic()
            world.write("/a.3mf", NEW + str(ahead[0]).encode())
            world.files.forget()
            assert world.read("/a.3mf") == NEW + str(ahead[0]).encode()
            assert world.files.getattr("/folder/new.3mf").mtime == 1_700_000_000
            assert time.monotonic() - began < 10
        wait_until(lambda: world.tree() == world.disk(), "all to agree")
