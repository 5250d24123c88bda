"""Dating: listings whose times are as exact as the printer can tell.

A LIST line tells minutes, or days; MDTM, where it answers, tells seconds. It is asked for the files whose exact time is
not known, in the same breath as the listing, and once in each mount for those of which an earlier one has left content:
that content is of use only if not even the second has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from ..printer import paths
from ..printer.card import Card
from ..printer.entry import Entry
from .blocks import BlockCache
from .times import TimeStore


class Dating:
    """Lists folders of ``card``. ``clock`` gives seconds since the epoch."""

    def __init__(
        self, card: Card, times: TimeStore, blocks: BlockCache, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._card, self._times, self._blocks, self._clock = card, times, blocks, clock

    def listing(self, folder: str, *, patience: float) -> list[Entry]:
        """What is in ``folder``, before it is first shown. Raises as `Card.list` does."""
        ticket, now, left = self._times.ticket(), self._clock(), self._blocks.left_in(folder)
        vague: list[Entry] = []

        def pick(entries: Sequence[Entry]) -> list[Entry]:
            vague[:] = self._times.unknown(folder, entries, now, also=left)
            wanted = left.keys() | {entry.name for entry in vague}
            return [entry for entry in entries if entry.name in wanted]

        found = self._card.list_exactly(folder, pick, patience=patience)
        if found.vague:
            self._times.learn(folder, vague, found.times, ticket)
            self._compare(folder, left, found.times)
        return self._times.correct(folder, found.entries, ticket)

    def _compare(self, folder: str, left: Mapping[str, int], told: Mapping[str, int]) -> None:
        """Drop what is left of files that have another time now; one that is not told is judged by the listing."""
        for name, mtime in left.items():
            if told.get(name, mtime) != mtime:
                self._blocks.forget(paths.join(folder, name))
        self._blocks.compared(folder)
