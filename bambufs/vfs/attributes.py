"""Attributes: what a `stat` of a name in the mount tells."""

from __future__ import annotations

from typing import NamedTuple


class Attributes(NamedTuple):
    """A file or folder: ``size`` in bytes, ``mtime`` in whole seconds since the epoch.

    ``writable`` is false only for control files that cannot be written. Owner and modes are the mount's affair.
    """

    is_dir: bool
    size: int
    mtime: int
    writable: bool = True
