"""`bambufs status`: what a printer is doing, without a mount."""

from __future__ import annotations

import argparse
import json
import sys
import time

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..printer.doors import open_link
from ..printer.link import PrinterLink
from ..printer.models import model_of_serial
from ..printer.state import PrinterState, Temperature
from .connection import connection_config, log_quietly
from .controls import printer_status

_PATIENCE = 20.0
_DETAILS_PATIENCE = 2.0
"""Seconds to wait for what comes after the state: the full report and the firmware's version."""

_EVERY = 0.5


def run(args: argparse.Namespace) -> int:
    """Show it once, or until Ctrl-C; returns the exit code."""
    config = connection_config(args)
    log_quietly(args, config)
    with open_link(config) as link:
        link.wait_ready(_PATIENCE)
        link.wait_for(lambda link: bool(link.state.firmware), _DETAILS_PATIENCE)
        if args.json:
            return _print_json(config.host, link, again=args.watch)
        if args.watch:
            return _watch(config.host, link)
        Console().print(table(config.host, link))
    return 0


def _print_json(host: str, link: PrinterLink, *, again: bool) -> int:
    print(json.dumps(printer_status(host, link), indent=None if again else 1, ensure_ascii=False), flush=True)
    while again:
        _await_news(link, 60.0)
        print(json.dumps(printer_status(host, link), ensure_ascii=False), flush=True)
    return 0


def _watch(host: str, link: PrinterLink) -> int:
    is_terminal = sys.stdout.isatty()
    with Live(table(host, link), screen=is_terminal, auto_refresh=False) as live:
        while True:
            _await_news(link, _EVERY)
            live.update(table(host, link), refresh=True)


def _await_news(link: PrinterLink, timeout: float) -> None:
    before = link.state
    link.wait_for(lambda link: link.state is not before, timeout)


def table(host: str, link: PrinterLink) -> Group:
    """The printer as tables for a terminal."""
    state = link.state
    model = state.model or model_of_serial(link.serial)
    top = Table.grid(padding=(0, 2))
    for label, value in _rows(state):
        top.add_row(Text(label, style="bold"), Text(value))
    title = Text(f"{model.name if model else 'Printer'} {link.serial} at {host}", style="bold")
    trouble = [Text(text, style="red") for text in _troubles(link)]
    return Group(title, top, *([_filaments(state)] if state.trays else []), *trouble)


def _rows(state: PrinterState) -> list[tuple[str, str]]:
    job = state.subtask_name or "-"
    rows = [("state", state.gcode_state.lower() or "unknown"), ("job", job)]
    if state.is_active:
        rows += [("progress", _progress(state))]
    nozzles = ", ".join(_degrees(nozzle) for nozzle in state.nozzles)
    rows += [("nozzle", nozzles), ("bed", _degrees(state.bed))]
    rows += [("chamber", _degrees(state.chamber))] if state.chamber.now is not None else []
    rows += [("card", state.storage), ("Wi-Fi", state.wifi_signal or "-"), ("firmware", state.firmware or "-")]
    return rows


def _progress(state: PrinterState) -> str:
    parts = [f"{state.percent} %"] if state.percent is not None else []
    parts += [f"layer {state.layer} of {state.total_layers}"] if state.total_layers else []
    parts += [f"{state.minutes_left} min left"] if state.minutes_left is not None else []
    return ", ".join(parts) or "-"


def _degrees(temperature: Temperature) -> str:
    if temperature.now is None:
        return "-"
    heading = f" (to {temperature.target:.0f})" if temperature.target else ""
    return f"{temperature.now:.0f} °C{heading}"


def _filaments(state: PrinterState) -> Table:
    trays = Table("tray", "material", "color", "left", box=None, padding=(0, 2, 0, 0))
    for tray in state.trays:
        mark = "*" if tray.index == state.tray_in_use else ""
        left = f"{tray.remaining} %" if tray.remaining is not None else "-"
        swatch = Text("██ ", style=tray.color or "") + Text(tray.color or "-", style="default")
        trays.add_row(tray.name + mark, tray.material, swatch, left)
    return trays


def _troubles(link: PrinterLink) -> list[str]:
    """The printer's errors, and what is wrong with the connection."""
    state, health = link.state, link.health
    fault = state.print_fault
    told = [f"{fault.code}: {fault.meaning}"] if fault else []
    told += [f"{entry.code} ({entry.severity}): {entry.meaning}" for entry in state.hms]
    if health.problem is not None:
        told.append(health.problem.message)
    elif state.is_stale(time.monotonic()):
        told.append(f"Nothing has been heard from the printer for {state.age(time.monotonic()):.0f} s.")
    return told
