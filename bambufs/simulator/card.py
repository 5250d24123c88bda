"""Fills a folder so that it looks like the card of an X1: its folders, a print file, a timelapse."""

from __future__ import annotations

import os
from functools import cache, partial
from pathlib import Path

from bambufs.simulator.picture import Colour, avi, jpeg
from bambufs.simulator.threemf import cube_shade, make_3mf

FOLDERS = ("cache", "image", "ipcam", "logger", "model", "timelapse", "timelapse/thumbnail")
PRINT_FILE = "Calibration cube.gcode.3mf"
CACHED_FILE = "cache/benchy.gcode.3mf"
VIDEO = "timelapse/video_2025-06-15_12-30-00.avi"
THUMBNAIL = "timelapse/thumbnail/video_2025-06-15_12-30-00.jpg"
LOG_FILE = "logger/printer.log"
VERIFY_JOB = "verify_job"

_WHEN = 1_749_990_600
_COLUMNS, _ROWS = 40, 30
_FRAMES = 36
_SMALL = (20, 15)


def make_card(folder: Path, *, model_id: str = "BL-P001") -> None:
    """Fill ``folder`` (made if missing) with the same bytes and times every time."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    make_3mf(folder / PRINT_FILE, model_id=model_id, title="Calibration cube")
    make_3mf(folder / CACHED_FILE, model_id=model_id, title="Benchy", plates=2, seconds=2400)
    (folder / VERIFY_JOB).write_bytes(bytes(range(16)))
    (folder / VIDEO).write_bytes(timelapse_avi())
    (folder / THUMBNAIL).write_bytes(thumbnail_jpeg())
    (folder / LOG_FILE).write_text("2025-06-15 12:00:00 power on\n2025-06-15 12:30:00 print finished\n")
    for place in sorted(folder.rglob("*"), reverse=True):
        os.utime(place, (_WHEN, _WHEN))


@cache
def timelapse_avi() -> bytes:
    """A film of three seconds in which a cube grows."""
    frames = [
        jpeg(_COLUMNS, _ROWS, partial(_shade, grown=number / (_FRAMES - 1), size=(_COLUMNS, _ROWS)))
        for number in range(_FRAMES)
    ]
    return avi(frames, width=_COLUMNS * 8, height=_ROWS * 8)


@cache
def thumbnail_jpeg() -> bytes:
    """The film's last picture, small."""
    return jpeg(*_SMALL, partial(_shade, grown=1.0, size=_SMALL))


def _shade(column: int, row: int, *, grown: float, size: tuple[int, int]) -> Colour:
    return cube_shade((column + 0.5) / size[0], (row + 0.5) / size[1], grown)
