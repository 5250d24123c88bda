"""`bambufs check`: a doctor for this computer and a printer."""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ..config import FTPS_PORT, Config, MountOptions, default_cache_dir
from ..config.resolve import Resolved
from ..doctor import Finding, Verdict, Visit, look_at_machine, look_at_printer
from ..doctor.machine import mounted_places
from .connection import log_quietly, resolved

_MARKS = {
    Verdict.GOOD: ("✓", "green"),
    Verdict.NOTE: ("!", "yellow"),
    Verdict.BAD: ("✗", "bold red"),
    Verdict.SKIPPED: ("-", "dim"),
}


def run(args: argparse.Namespace) -> int:
    """Look over this computer, and the printer if one is named; returns 0, or the code of the first thing amiss."""
    parts = _parts(args)
    if args.json:
        return _tell_as_json(parts)
    return _tell(parts)


Parts = list[tuple[str, Iterator[Finding]]]


def _parts(args: argparse.Namespace) -> Parts:
    if args.printer is None:
        return [("This computer", look_at_machine(MountOptions(), _cache_dir(args)))]
    chosen = resolved(args)
    config = chosen.config
    log_quietly(args, config)
    name = f"The printer {chosen.name} at {config.host}" if chosen.name else f"The printer at {config.host}"
    machine = look_at_machine(chosen.mount, config.cache_dir)
    return [("This computer", machine), (name, look_at_printer(_visit(args, chosen)))]


def _cache_dir(args: argparse.Namespace) -> Path:
    chosen: Path | None = args.cache_dir
    return chosen or default_cache_dir(os.environ)


def _visit(args: argparse.Namespace, chosen: Resolved) -> Visit:
    config = chosen.config
    may_write = not (args.no_write or config.read_only)
    place = _mounted_on(config, chosen.mount.mountpoint)
    return Visit(config, code_origin=chosen.access_code[1], mounted_on=place, may_write=may_write)


def _mounted_on(config: Config, usual: Path | None) -> Path | None:
    """Where this printer is mounted now; on its ``usual`` folder if it is mounted there.

    An address tells printers apart only where each has one of its own, which simulated ones have not.
    """
    places = [place for what, place in mounted_places() if what == f"bambufs:{config.host}"]
    if usual in places:
        return usual
    return next(iter(places), None) if config.ftps_port == FTPS_PORT else None


# --- telling ------------------------------------------------------------------------------------------


def _tell(parts: Parts) -> int:
    console, found = Console(highlight=False), list[Finding]()
    for title, findings in parts:
        console.print(Text(title, style="bold"))
        for finding in findings:
            found.append(finding)
            _show(console, finding)
        console.print()
    console.print(Text(_summary(found)))
    return _exit_code(found)


def _show(console: Console, finding: Finding) -> None:
    mark, style = _MARKS[finding.verdict]
    _, *more = lines = _wrapped(console, f"{finding.step}: {finding.sentence}")
    if finding.advice:
        more += _wrapped(console, f"{finding.advice[0].upper()}{finding.advice[1:]}.")
    console.print(Text.assemble("  ", (mark, style), f" {lines[0]}"), soft_wrap=True)
    for line in more:
        console.print(Text(f"    {line}"), soft_wrap=True)


def _wrapped(console: Console, text: str) -> list[str]:
    """``text`` in lines that fit a terminal; in one when it goes elsewhere."""
    return textwrap.wrap(text, max(40, console.width - 4)) if console.is_terminal else [text]


def _summary(found: list[Finding]) -> str:
    wrong = sum(finding.verdict is Verdict.BAD for finding in found)
    notes = sum(finding.verdict is Verdict.NOTE for finding in found)
    worth = f"{notes} thing{'s are' if notes != 1 else ' is'} worth knowing (!)"
    if wrong:
        told = f"{wrong} thing{'s are' if wrong != 1 else ' is'} wrong (✗)"
        return f"{told}, and {worth}." if notes else f"{told}."
    return f"All is well; {worth}." if notes else "All is well."


def _tell_as_json(parts: Parts) -> int:
    found = [(title, finding) for title, findings in parts for finding in findings]
    told = [
        {
            "about": title,
            "step": finding.step,
            "verdict": finding.verdict.value,
            "sentence": finding.sentence,
            "advice": finding.advice or None,
        }
        for title, finding in found
    ]
    code = _exit_code([finding for _, finding in found])
    print(json.dumps({"exit_code": code, "findings": told}, indent=1, ensure_ascii=False))
    return code


def _exit_code(found: list[Finding]) -> int:
    return next((finding.exit_code for finding in found if finding.verdict is Verdict.BAD), 0)
