"""What stands on the printer's own disk."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.waiting import wait_until


def names(root: Path) -> list[str]:
    """Everything below ``root``, hidden files too, sorted."""
    found = []
    for folder, folders, files in os.walk(root):
        found += [os.path.relpath(os.path.join(folder, name), root) for name in folders + files]
    return sorted(found)


def parts(root: Path) -> list[str]:
    """The left-overs of uploads: whatever has a dot name."""
    return [name for name in names(root) if os.path.basename(name).startswith(".")]


def wait_until_tidy(root: Path, seconds: float = 15.0) -> None:
    """Wait until no left-over of an upload is there any more."""
    wait_until(lambda: not parts(root), f"left-overs to go, of which there are {parts(root)}", seconds=seconds)
