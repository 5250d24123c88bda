"""The mount dies at every step of a copy: whatever a program was told to be safe is on the printer in the end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import StartPrinter

Card = dict[str, str]
UNTOUCHED: Card = {"x.3mf": "old"}
STORED: Card = {"x.3mf": "new"}


@dataclass(frozen=True)
class Story:
    """What a user does, step by step, and what the card holds once everything up to a step was acknowledged."""

    name: str
    steps: dict[str, Card]
    write_back: bool = False
    die_first: str = ""
    """Where to die first, before the recovery in which to die at every step."""
    also_good: Card | None = None
    """What the card may hold besides, as long as the program was told nothing."""


STORIES = [
    Story("close waits", {"write_new": STORED, "write_newer": {"x.3mf": "newer"}}),
    Story("in the background", {"write_new": STORED, "send": STORED}, write_back=True),
    Story("rsync", {"rsync": STORED}),
    Story("rsync in the background", {"rsync": STORED, "send": STORED}, write_back=True),
    Story(
        "written twice",
        {"write_new": STORED, "write_newer": {"x.3mf": "newer"}, "send": {"x.3mf": "newer"}},
        write_back=True,
    ),
    Story(
        "renamed into place",
        {"write_beside": {"x.3mf": "old", "beside.3mf": "new"}, "rename_over": STORED, "send": STORED},
        write_back=True,
    ),
    Story("deleted", {"write_new": STORED, "unlink": {}, "send": {}}, write_back=True),
    Story("told that it failed", {"fail": UNTOUCHED}, also_good=STORED),
    Story("recovery before anything is sent", {"write_new": STORED}, die_first="before printer store"),
    Story("recovery before the renaming", {"write_new": STORED}, die_first="before printer rename"),
    Story("recovery after the renaming", {"write_new": STORED}, die_first="after printer rename"),
]
# Every story each time, and one with an ESP32 too, which renames in three steps and keeps no times.
OFTEN = [*(("x1c", story) for story in STORIES), ("p1s", STORIES[0])]
CASES = [pytest.param(model, story, 7, id=f"{model}-{story.name}") for model, story in OFTEN]
CASES += [
    pytest.param(model, story, 1, id=f"{model}-{story.name}-each", marks=pytest.mark.slow)
    for model in ("x1c", "p1s")
    for story in STORIES
]


def outcomes(story: Story, model: str, start_printer: StartPrinter, folder: Path, stride: int) -> list[dict[str, Any]]:
    """What came of the death at each point."""
    printer = start_printer(model)
    job = {
        "host": printer.host,
        "port": printer.ftps_port,
        "code": printer.access_code,
        "card": str(printer.card),
        "cache": str(folder / "caches"),
        "steps": list(story.steps),
        "write_back": story.write_back,
        "die_first": story.die_first,
        "stride": stride,
    }
    command = [sys.executable, "-m", "tests.faults.crashing", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def what_is_wrong(story: Story, found: dict[str, Any]) -> str:
    """Why this outcome is not good; empty when it is."""
    states = [UNTOUCHED, *story.steps.values()]
    reached = len(found["done"])
    good = [states[reached], *states[reached + 1 : reached + 2]]
    good += [story.also_good] if story.also_good and not reached else []
    if story.die_first:
        good = states[-1:]  # it was in the journal when the mount died
    if found["card"] not in good:
        return f"the card holds {found['card']}, and should hold {' or '.join(map(str, good))}"
    if found["owed"] or found["spool"]:
        return f"{found['owed']} files are still owed, and in the spool folder are {found['spool']}"
    if found["kept"] != len(found["lost"]):
        return f"lost+found holds {found['kept']} files, of which {len(found['lost'])} are named"
    if "fail" in found["done"] and found["lost"] != {"x.3mf": "new"}:
        return f"lost+found should hold the new content, and holds {found['lost']}"
    return ""


@pytest.mark.parametrize(("model", "story", "stride"), CASES)
def test_death_at_every_step(
    start_printer: StartPrinter, tmp_path: Path, story: Story, model: str, stride: int
) -> None:
    found = outcomes(story, model, start_printer, tmp_path, stride)
    assert len(found) > 1, "the mount did not die at all"
    wrong = [f"{one['at']} ({one['event']}): {what_is_wrong(story, one)}" for one in found if what_is_wrong(story, one)]
    assert not wrong, "died at\n" + "\n".join(wrong)
