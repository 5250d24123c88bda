"""What a printer that has lost its mind reports over MQTT: never a crash, and what is told of it is JSON that can be
written anywhere."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bambufs.printer.exchange import PUSHALL, Exchange
from bambufs.printer.outcome import PrintOutcome
from bambufs.printer.reports import MAX_BYTES, decode
from bambufs.printer.state import PrinterState
from bambufs.simulator.hostile import Hostility
from bambufs.simulator.status import Json
from tests.hostile.world import Clockwork, soak_seconds

CONTROLS = frozenset(map(chr, (*range(32), *range(127, 160))))

HONEST: Json = {
    "print": {
        "command": "push_status", "msg": 0, "sequence_id": "7", "gcode_state": "RUNNING", "mc_percent": 12,
        "subtask_name": "benchy", "gcode_file": "benchy.3mf", "print_error": 0, "wifi_signal": "-45dBm", "fun": "1AFFF",
        "hms": [{"attr": 83887360, "code": 131073}], "nozzle_temper": 25.5, "bed_temper": 60.0, "home_flag": 256,
        "device": {"extruder": {"info": [{"temp": 14417920}, {"temp": 25}]}, "bed": {"info": {"temp": 3}}},
        "ams": {"ams": [{"id": "0", "tray": [{"id": "1", "tray_type": "PLA", "tray_color": "FF00FFFF", "remain": 5}]}]},
    }
}  # fmt: skip


def live_through(seed: int, length: int) -> None:
    """One connection's reports, and all that is made of them."""
    chance = random.Random(seed)
    mad = Hostility(seed=seed, kinds=lambda: "reports", share=lambda: 0.8, closing=None)  # type: ignore[arg-type]
    state = PrinterState()
    outcome = PrintOutcome.begin(path="/x.3mf", name="x", task_id=5, state=state, now=0.0)
    for number in range(length):
        message = decode(mad.report(HONEST))
        state = state.with_report(message, float(number))
        outcome = outcome.observed(state).at(float(chance.randrange(500)))
        exchange = Exchange(PUSHALL, "7")
        exchange.offer(message)
        told = json.dumps([state.as_status(number), state.as_job(number)], ensure_ascii=False, allow_nan=False)
        for text in (told, outcome.sentence, repr(state), repr(exchange.ack)):
            assert len(text.encode()) < 4 * MAX_BYTES
            assert not CONTROLS.intersection(text)


def run(seconds: float) -> Clockwork:
    clockwork = Clockwork(seconds)

    @given(some.integers(0, 1 << 30), some.integers(1, 12))
    @settings(max_examples=40, deadline=None, database=None)
    def examine(seed: int, length: int) -> None:
        with clockwork.example() as has_time:
            if has_time:
                live_through(seed, length)

    while clockwork.has_time:
        examine()
    return clockwork


def test_hostile_reports_break_nothing() -> None:
    assert run(3.0).examples > 0


@pytest.mark.slow
def test_hostile_reports_break_nothing_for_long() -> None:
    assert run(soak_seconds()).examples > 0
