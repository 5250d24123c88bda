"""What becomes of a file that is owed when the printer's own has changed meanwhile: both are kept."""

from __future__ import annotations

import os
import time
from collections.abc import Container

from ..printer import paths
from ..printer.entry import Entry

_DOUBLE = (".gcode.3mf", ".tar.gz")


def has_changed(held: Entry | None, now: Entry | None) -> bool:
    """Whether the printer has something else ``now`` than it ``held``, as far as size and time tell; not whether it
    has nothing any more."""
    if now is None:
        return False
    if held is None or now.is_dir or held.size != now.size:
        return True
    resolution = max(held.resolution, now.resolution, 1)
    return held.mtime // resolution != now.mtime // resolution


def unsent_path(path: str, moment: float, taken: Container[str], longest: int | None) -> str:
    """A free path beside ``path``, as in ``/cache/benchy (unsent copy 2025-06-15 12.30).3mf``.

    ``taken`` are the names in its folder, folded; ``longest`` is what the printer takes of a whole path, in bytes.
    """
    folder, name = paths.split(path)
    stem, ending = _parts(name)
    date = time.strftime("%Y-%m-%d %H.%M", time.localtime(moment))
    number = 1
    while True:
        tail = f" (unsent copy {date}{f' {number}' if number > 1 else ''}){ending}"
        room = min(255, (longest or 4096) - len(os.fsencode(paths.join(folder, "")))) - len(os.fsencode(tail))
        short = os.fsencode(stem)[: max(room, 1)].decode("utf-8", "ignore").rstrip(" .")
        candidate = f"{short}{tail}"
        if paths.folded(candidate) not in taken:
            return paths.join(folder, candidate)
        number += 1


def _parts(name: str) -> tuple[str, str]:
    for ending in _DOUBLE:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], name[-len(ending) :]
    return os.path.splitext(name)
