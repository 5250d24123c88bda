"""Since when the file server lets us in, or does not."""

from __future__ import annotations

from bambufs.errors import PrinterError, PrinterUnreachable
from bambufs.printer.health import DoorHealth, local_time


class Door:
    """A health whose clock can be set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.health = DoorHealth(lambda: self.now)

    def note(self, now: float, error: PrinterError | None = None) -> dict[str, object]:
        self.now = now
        self.health.note(error)
        return self.health.as_status()


def test_nothing_is_known_before_the_first_try() -> None:
    assert Door().health.as_status() == {"connected": None, "since": None, "trouble": None}


def test_up_since_the_first_login() -> None:
    door = Door()
    door.note(1000.0)

    assert door.note(2000.0) == {"connected": True, "since": local_time(1000.0), "trouble": None}


def test_down_since_the_first_failure() -> None:
    door = Door()
    door.note(1000.0)
    door.note(2000.0, PrinterUnreachable("away"))

    told = door.note(3000.0, PrinterUnreachable("still away"))
    assert told == {"connected": False, "since": local_time(2000.0), "trouble": "still away"}


def test_shut_is_told() -> None:
    door = Door()
    assert not door.health.is_shut
    door.note(1000.0, PrinterUnreachable("away"))
    assert door.health.is_shut


def test_down_from_the_beginning() -> None:
    assert Door().note(1500.0, PrinterUnreachable("away"))["since"] == local_time(1500.0)


def test_up_again_since_the_login_that_worked() -> None:
    door = Door()
    door.note(1000.0)
    door.note(2000.0, PrinterUnreachable("away"))

    assert door.note(3000.0) == {"connected": True, "since": local_time(3000.0), "trouble": None}


def test_local_time_names_its_offset() -> None:
    assert local_time(None) is None
    assert (local_time(0.0) or "")[-6:-5] in ("+", "-")
