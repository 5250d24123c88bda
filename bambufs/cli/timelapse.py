"""`bambufs timelapse`: fetch the videos of a printer that are finished, each once."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ..api import FileInfo, Printer
from ..errors import UsageError
from .client import connected, moment, say, tell
from .connection import connection_config
from .get import fetch_file

FOLDER = "/timelapse"
_PICTURES = f"{FOLDER}/thumbnail"
_VIDEOS = (".avi", ".mp4")


def run(args: argparse.Namespace) -> int:
    """Fetch them; returns the exit code."""
    since = moment(args.since, "--since") if args.since else 0.0
    target = Path(args.target).expanduser()
    if target.exists() and not target.is_dir():
        raise UsageError(f"{args.target} is a file; name a folder for the videos")
    fetched = Fetched(connection_config(args).printer_dir / "timelapse.json")
    told: list[dict[str, object]] = []
    with connected(args) as printer:
        videos = [video for video in finished(printer) if taken_at(video) >= since]
        chosen = videos[-1:] if args.latest else videos
        new = [video for video in chosen if args.all or not (fetched.has(video) or _is_there(target, video))]
        target.mkdir(parents=True, exist_ok=True)
        for video in new:
            told.append(fetch_file(args, printer, video, target))
            fetched.add(video)
    say(args, _sentence(len(new), len(chosen), target))
    tell(args, told)
    return 0


def _sentence(new: int, chosen: int, target: Path) -> str:
    if not chosen:
        return "The printer has no finished timelapse videos (or none that you asked for)."
    if not new:
        return "Nothing new: every video was fetched before (--all fetches them again)."
    return f"{new} {'video' if new == 1 else 'videos'} copied to {target}."


def finished(printer: Printer) -> list[FileInfo]:
    """The videos that have a picture, which the printer makes at the end; the oldest first."""
    try:
        entries = printer.scandir(FOLDER)
        pictures = {os.path.splitext(name)[0] for name in printer.listdir(_PICTURES)}
    except FileNotFoundError:
        return []
    videos = [info for info in entries if not info.is_dir and info.name.lower().endswith(_VIDEOS)]
    return sorted((info for info in videos if os.path.splitext(info.name)[0] in pictures), key=taken_at)


def picture_of(printer: Printer, video: FileInfo) -> list[str]:
    """The picture that belongs to ``video``."""
    stem = os.path.splitext(video.name)[0]
    return [info.path for info in printer.scandir(_PICTURES) if os.path.splitext(info.name)[0] == stem]


def taken_at(video: FileInfo) -> float:
    """When it was begun, as its name tells, else its time; in seconds since the epoch."""
    found = re.search(r"(\d{4})-(\d\d)-(\d\d)_(\d\d)-(\d\d)-(\d\d)", video.name)
    with suppress(ValueError):
        if found:
            return datetime(*map(int, found.groups())).astimezone().timestamp()  # type: ignore[arg-type]
    return float(video.mtime)


def _is_there(target: Path, video: FileInfo) -> bool:
    place = target / video.name
    return place.is_file() and place.stat().st_size == video.size


class Fetched:
    """Which videos were fetched, by name and size, in a file of this computer."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._sizes: dict[str, int] = dict(_read(file))

    def has(self, video: FileInfo) -> bool:
        """Whether this one was."""
        return self._sizes.get(video.name) == video.size

    def add(self, video: FileInfo) -> None:
        """This one was fetched now."""
        self._sizes[video.name] = video.size
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(self._sizes, indent=1))
        draft.replace(self._file)


def _read(file: Path) -> Mapping[str, int]:
    try:
        known = json.loads(file.read_text())
        return {str(name): int(size) for name, size in known.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
