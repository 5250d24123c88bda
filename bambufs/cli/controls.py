"""Which files the control folder of a mount has."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from ..config import Config
from ..printer import paths
from ..printer.health import DoorHealth, local_time
from ..printer.link import PrinterLink
from ..printer.models import model_of_serial
from ..vfs.control import ControlFile, LineSink
from ..vfs.filesystem import FileSystem
from ..vfs.printing import PrintDesk
from ..vfs.printsink import PrintSink

_README = """\
This folder belongs to bambufs; it is not on the printer. It is reached by its name and not listed (unless the printer
was mounted with --list-control).

  print        write a sliced file's path: that print starts      echo cache/benchy.gcode.3mf > print
               with options, as in: cache/benchy.gcode.3mf plate=2 use_ams=no timelapse=yes bed_type=textured_plate
               there are: plate=N use_ams=yes|no ams_mapping=A1,B2,- timelapse= bed_leveling= flow_cali=
               vibration_cali= layer_inspect=yes|no
               bed_type=auto|cool_plate|eng_plate|hot_plate|textured_plate|supertack_plate
               or copy a sliced file to it: it is stored in /cache, and printed      cp benchy.gcode.3mf print
               read it: the last request, and what became of it
  job          write pause, resume or stop; read it: the running job, as JSON
  status.json  the printer's state, temperatures, filaments, errors and what they mean, and both connections, as JSON
  transfers    uploads that run, wait or failed, and what was kept of them
  refresh      write a path (or nothing) to it: forget what is remembered, and ask the printer again
  stats        what bambufs is doing, as JSON
  README       this text

A path may be relative to the mount, absolute on the card, or as you see it. Reading never waits for the printer. What
a program wrote and could not be done is its error; the sentence that explains it is in the log and in print.
"""


def control_files(
    filesystem: FileSystem, config: Config, desk: PrintDesk, link: PrinterLink, ftps: DoorHealth, spool_folder: Path
) -> dict[str, ControlFile]:
    """The control files by name; a 3MF that is written to `print` is kept in ``spool_folder`` while it arrives."""

    def job() -> bytes:
        return _as_json({**link.state.as_job(time.monotonic()), "last_command": desk.last_command})

    def status() -> bytes:
        return _as_json(_status(config, link, ftps, filesystem))

    def told() -> bytes:
        return desk.history.report().encode("utf-8", "surrogateescape")

    return {
        "README": ControlFile(lambda: _README.encode(), changed=_always(time.time())),
        "print": ControlFile(told, lambda: PrintSink(desk, spool_folder), lambda: desk.history.changed),
        "job": ControlFile(job, lambda: LineSink(desk.command), lambda: _last_report(link)),
        "status.json": ControlFile(status, changed=lambda: _last_report(link)),
        "transfers": ControlFile(lambda: filesystem.transfers().encode("utf-8", "surrogateescape")),
        "refresh": ControlFile(lambda: b"", lambda: LineSink(_refresher(filesystem))),
        "stats": ControlFile(lambda: _stats(filesystem, config)),
    }


def printer_status(host: str, link: PrinterLink) -> dict[str, object]:
    """What is known of the printer, ready for JSON: who it is, its state (see `PrinterState`), and the MQTT link.

    ``mqtt`` has connected, since (local time), trouble (a sentence or null) and last_report_age_seconds.
    """
    health, state = link.as_status(), link.state
    model = state.model or model_of_serial(link.serial)
    since = time.time() - float(str(health["for_seconds"]))
    return {
        "printer": {"host": host, "serial": link.serial or None, "model": model.name if model else None},
        **state.as_status(time.monotonic()),
        "ready_to_print": state.is_ready_to_print and link.health.is_connected,
        "model": model.name if model else None,
        "mqtt": {
            "connected": health["connected"],
            "since": local_time(since),
            "trouble": health["problem"],
            "last_report_age_seconds": health["last_report_age_seconds"],
        },
    }


def _status(config: Config, link: PrinterLink, ftps: DoorHealth, filesystem: FileSystem) -> dict[str, object]:
    return {**printer_status(config.host, link), "ftps": {**ftps.as_status(), "serving": _serving(ftps, filesystem)}}


def _serving(ftps: DoorHealth, filesystem: FileSystem) -> str:
    """Whether folders show what the printer has, or what it had when it could last be asked."""
    age = filesystem.stale_for()
    began = ftps.since if ftps.is_shut else None if age is None else time.time() - age
    if began is None or (not ftps.is_shut and ftps.since is not None and ftps.since > began):
        return "live"
    return f"stale since {local_time(began)}"


def _last_report(link: PrinterLink) -> float:
    age = link.state.age(time.monotonic())
    return time.time() - (age or 0.0)


def _always(moment: float) -> Callable[[], float]:
    return lambda: moment


def _refresher(filesystem: FileSystem) -> Callable[[str], None]:
    def refresh(line: str) -> None:
        path = "/" + "/".join(paths.parts(line))
        filesystem.forget(path)

    return refresh


def _stats(filesystem: FileSystem, config: Config) -> bytes:
    return _as_json(
        {
            "version": __version__,
            "pid": os.getpid(),
            "printer": config.host,
            "folder": str(config.printer_dir),
            **filesystem.statistics(),
        }
    )


def _as_json(told: dict[str, object]) -> bytes:
    return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
