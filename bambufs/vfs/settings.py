"""Settings: what a user may choose about the files of a mount."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What a user may choose. Sizes in bytes, times in seconds."""

    cache_folder: Path
    ttl: float = 5.0
    card_size: int = 32_000_000_000
    cache_size: int = 2_000_000_000
    spool_size: int = 0
    """For the files that are written or have to be sent yet; 0 sets no limit but the disk's own."""
    max_entries: int = 200_000
    """How many listed files are remembered."""
    read_only: bool = False
    write_back: float | None = None
    """After how much quiet a file is sent in the background; None sends it while its close waits."""
    leave_patience: float = 30.0
    """How long to wait at the end for a printer that is away."""
    looks_ahead: bool = True
    """Whether listings and content are fetched before they are asked for, and files sent while they are written."""
