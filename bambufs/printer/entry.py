"""One listed thing on the printer's card."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A file or folder as a listing shows it.

    ``mtime`` is in whole seconds since the epoch (UTC); ``resolution`` says how exact it is, in
    seconds: 1 when it is known to the second, 60 or 86400 for what a LIST line tells.
    ``size`` is in bytes and 0 for a folder.
    """

    name: str
    is_dir: bool
    size: int
    mtime: int
    resolution: int = 1
