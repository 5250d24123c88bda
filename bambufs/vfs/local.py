"""LocalState: what one printer's mount keeps in its folder on this computer."""

from __future__ import annotations

from collections.abc import Callable

from .budget import Budget
from .journal import Journal
from .lost import LostFound
from .overlay import Overlay
from .settings import Settings
from .times import TimeStore


class LocalState:
    """The journal, lost+found, exact times and dot files in the cache folder, and the room for files being written.

    What an earlier mount left unfinished there is put aside first. ``clock`` gives seconds since the epoch.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        folder = settings.cache_folder
        self.spool_folder, self.blocks_folder = folder / "spool", folder / "blocks"
        self.journal = Journal(folder)
        self.lost = LostFound(self.journal, clock)
        self.lost.rescue(self.spool_folder)
        self.times = TimeStore(folder / "times.sqlite")
        self.overlay = Overlay(folder / "overlay")
        self.budget = Budget(settings.spool_size)
