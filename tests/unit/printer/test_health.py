"""Since when the file server lets us in, or does not."""

from __future__ import annotations

import pytest

from bambufs.errors import PrinterUnreachable
from bambufs.printer.health import DoorHealth, local_time


class Door:
    """A health whose clock, login and trouble can be set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.reason: str | None = None
        self.health = DoorHealth(lambda: self.now)
        self.health.trouble = lambda: self.reason

    def knock(self) -> None:
        def open_session() -> str:
            if self.reason:
                raise PrinterUnreachable(self.reason)
            return "session"

        assert self.health.watched(open_session) == "session"

    def fail(self, reason: str) -> None:
        def refuse() -> None:
            raise PrinterUnreachable(reason)

        with pytest.raises(PrinterUnreachable):
            self.health.watched(refuse)
        self.reason = reason


def test_nothing_is_known_before_the_first_try() -> None:
    assert Door().health.as_status() == {"connected": None, "since": None, "trouble": None}


def test_up_since_the_first_login() -> None:
    door = Door()
    door.knock()
    door.now = 2000.0
    door.knock()

    assert door.health.as_status() == {"connected": True, "since": local_time(1000.0), "trouble": None}


def test_down_since_the_first_failure() -> None:
    door = Door()
    door.knock()
    for door.now in (2000.0, 3000.0):
        door.fail("away")

    assert door.health.as_status() == {"connected": False, "since": local_time(2000.0), "trouble": "away"}


def test_up_again_since_the_login_that_worked() -> None:
    door = Door()
    door.knock()
    door.now = 2000.0
    door.fail("away")
    door.now = 3000.0
    assert door.health.watched(lambda: 1) == 1
    door.reason = None

    assert door.health.as_status()["since"] == local_time(3000.0)


def test_local_time_names_its_offset() -> None:
    assert local_time(None) is None
    assert (local_time(0.0) or "")[-6:-5] in ("+", "-")
