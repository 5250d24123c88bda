"""Attributes: what a `stat` of a name in the mount tells."""

from __future__ import annotations

from typing import NamedTuple


class Attributes(NamedTuple):
    """A file or folder: ``size`` in bytes, ``mtime`` in whole seconds since the epoch.

    ``mode`` is set only where permissions are not the mount's affair: those of control files.
    """

    is_dir: bool
    size: int
    mtime: int
    mode: int | None = None
