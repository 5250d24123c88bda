"""A transfer that trickles is ended, one that is merely slow is not."""

from __future__ import annotations

import pytest

from bambufs.printer.pace import Pace


@pytest.mark.parametrize(("rate", "is_enough"), [(0, False), (17, False), (999, False), (1000, True), (50_000, True)])
def test_pace(rate: int, is_enough: bool) -> None:
    now = [500.0]
    pace = Pace(clock=lambda: now[0])

    def hour() -> None:
        for second in range(1, 3600):
            now[0] = 500.0 + second
            pace.moved(rate * second)

    if is_enough:
        hour()
    else:
        with pytest.raises(TimeoutError):
            hour()
        assert now[0] == 560.0


def test_what_had_moved_before_does_not_count() -> None:
    now = [0.0]
    pace = Pace(1_000_000, clock=lambda: now[0])
    now[0] = 60.0
    with pytest.raises(TimeoutError):
        pace.moved(1_000_001)


def test_a_pause_is_made_up_for_within_the_time() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    for now[0], total in ((30.0, 0), (59.0, 60_000), (60.0, 60_000), (119.0, 60_000), (120.0, 130_000)):
        pace.moved(total)
