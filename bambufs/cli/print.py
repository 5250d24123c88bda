"""`bambufs print`: print a file without a mount."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ..errors import InvalidJob, UsageError
from ..printer.doors import certificate_check, open_card, open_link
from ..printer.link import PrinterLink
from ..printer.outcome import NOT_STARTED_AFTER, Phase, PrintOutcome
from ..printer.request import PrintRequest, parse_request
from ..vfs.direct import CardFiles, LocalFile
from ..vfs.printing import Patience, PrintDesk
from .connection import connection_config, log_quietly
from .progress import shown_on

_ON_CARD = "printer:"
_PATIENCE = Patience(ready=20.0)
_LOOK_EVERY = 0.5


def run(args: argparse.Namespace) -> int:
    """Check, upload if need be, print, and follow; returns the exit code."""
    local, request = _chosen(args.file), _request(args)
    config = connection_config(args)
    log_quietly(args, config)
    console, check = Console(), certificate_check(config)
    card, link = open_card(config, check=check), open_link(config, check)
    desk = PrintDesk(CardFiles(card, shown_on(console)), link, url_template=config.url_template, patience=_PATIENCE)
    try:
        link.start()
        if local is None:
            desk.print_stored(request)
        else:
            path = desk.print_content(LocalFile(local), name=local.name, request=request)
            _say(console, f"It is on the printer as {path}.")
        _tell_warnings(desk, console)
        return _follow(link, console, to_the_end=args.watch)
    except KeyboardInterrupt:
        if link.outcome is not None:
            _say(console, "\nThe printer was asked for the print already; this does not stop it.")
        raise
    finally:
        link.stop()
        card.close()


def _chosen(name: str) -> Path | None:
    """The file of this computer that is meant, None for one on the card. Raises `UsageError` when there is none."""
    if name.startswith(_ON_CARD):
        return None
    local = Path(name)
    if local.is_dir():
        raise UsageError(f"{name} is a folder; name one sliced file (.gcode.3mf)")
    if local.exists():
        return local
    if name.startswith("/"):
        return None
    raise UsageError(f"there is no file {name} here; for one on the printer's card write {_ON_CARD}{name}")


def _request(args: argparse.Namespace) -> PrintRequest:
    """What the options ask for; the path counts for a file on the card only."""
    path = args.file.removeprefix(_ON_CARD)
    options = [f"bed_type={args.bed_type}", f"timelapse={'yes' if args.timelapse else 'no'}"]
    options += [f"plate={args.plate}"] if args.plate is not None else []
    if args.ams in ("yes", "no"):
        options.append(f"use_ams={args.ams}")
    elif args.ams != "auto":
        options.append(f"ams_mapping={shlex.quote(args.ams)}")
    try:
        asked = parse_request(" ".join(["any.3mf", *options]))
        if _chosen(args.file) is None:
            return replace(asked, path=parse_request(shlex.quote(path)).path)
        return asked
    except InvalidJob as error:
        raise UsageError(error.message) from error


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _tell_warnings(desk: PrintDesk, console: Console) -> None:
    last = desk.history.last
    for warning in last.warnings if last is not None else ():
        _say(console, f"Warning: {warning}")


# -- following -----------------------------------------------------------------------------------------


def _follow(link: PrinterLink, console: Console, *, to_the_end: bool) -> int:
    """Wait until the print has started, or ended; returns the exit code."""
    told = _outcome(link).sentence
    _say(console, told)
    link.wait_for(lambda link: _outcome(link).is_settled, NOT_STARTED_AFTER + 10.0)
    if _outcome(link).sentence != told:  # it may have been settled while that was being said
        _say(console, _outcome(link).sentence)
    if to_the_end and _outcome(link).phase is Phase.STARTED:
        _watch(link, console)
        _say(console, _outcome(link).sentence)
    return 0 if _outcome(link).phase in (Phase.STARTED, Phase.FINISHED) else 1


def _outcome(link: PrinterLink) -> PrintOutcome:
    outcome = link.outcome
    assert outcome is not None, "something was asked for"
    return outcome


def _watch(link: PrinterLink, console: Console) -> None:
    numbers = TextColumn("{task.percentage:>3.0f} %  {task.fields[more]}")
    with Progress(TextColumn("{task.description}"), BarColumn(), numbers, console=console) as progress:
        task = progress.add_task("", total=100, more="")
        while not _outcome(link).is_over:
            description, percent, more = _progress_of(link)
            progress.update(task, description=description, completed=percent, more=more)
            link.wait_for(lambda link: _outcome(link).is_over, _LOOK_EVERY)


def _progress_of(link: PrinterLink) -> tuple[str, int, str]:
    state, health = link.state, link.health
    if not health.is_connected and health.problem is not None:
        return "connection lost", state.percent or 0, health.problem.message
    more = [f"layer {state.layer} of {state.total_layers}"] if state.total_layers else []
    more += [f"{state.minutes_left} min left"] if state.minutes_left is not None else []
    return state.gcode_state.lower(), state.percent or 0, ", ".join(more)
