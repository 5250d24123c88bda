"""ListingCache: one LIST answers every look-up in a folder, for as long as it is fresh.

- A name that a fresh listing lacks is known to be absent, without a round trip.
- However many threads ask for one folder, one LIST goes out; each waits no longer than its deadline.
- Own changes show at once. A listing begun before a change is corrected by it before it is kept.
- When the printer cannot be asked, the last listing serves on.

One lock, held to decide and never during I/O. A listing handed out is never changed afterwards.
"""

from __future__ import annotations

import errno
import functools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cachetools import LRUCache

from .. import interrupts
from ..errors import PrinterError, PrinterTimeout, again
from ..printer import paths
from ..printer.entry import Entry

PATIENCE = 30.0
"""Seconds to wait for a listing when there is nothing else to show."""

PATIENCE_WITH_STALE = 1.5
"""Seconds to wait for a fresh listing when an old one could be shown instead."""

STALE_TTL = 3.0
"""Seconds that an old listing serves before the printer is asked again, when the TTL is longer."""

SESSION_PATIENCE = 5.0
SESSION_PATIENCE_WITH_STALE = 0.3
"""Seconds of those to wait for a session, which an upload to a one-connection printer may hold for minutes."""


class Fetch(Protocol):
    """Asks the printer for a folder's entries; waits at most ``patience`` seconds for a session."""

    def __call__(self, folder: str, *, patience: float) -> Iterable[Entry]: ...


class _Names:
    """The names of a listing by how a FAT card compares them; gathered when somebody asks, and kept up from then on."""

    def __init__(self) -> None:
        self._same: dict[str, set[str]] | None = None

    def like(self, name: str, entries: Mapping[str, Entry]) -> list[str]:
        """Those that the card does not tell from ``name``."""
        if self._same is None:
            self._same = {}
            for other in entries:
                self._same.setdefault(paths.folded(other), set()).add(other)
        return sorted(self._same.get(paths.folded(name), ()))

    def note(self, name: str, *, is_there: bool) -> None:
        """``name`` is there from now on, or is not."""
        if self._same is not None:
            same = self._same.setdefault(paths.folded(name), set())
            (same.add if is_there else same.discard)(name)


@dataclass(frozen=True)
class _Listing:
    entries: Mapping[str, Entry]
    fresh_until: float
    names: _Names = field(default_factory=_Names)

    @functools.cached_property
    def size(self) -> int:
        """The sizes of all files in it, added up."""
        return sum(entry.size for entry in self.entries.values())


@dataclass(eq=False)
class _Flight:
    """A LIST on its way, and what changed meanwhile."""

    landed: bool = False
    entries: Mapping[str, Entry] = field(default_factory=dict)
    error: OSError | None = None
    changes: dict[str, Entry | None] = field(default_factory=dict)
    is_void: bool = False


class ListingCache:
    """Listings by folder. ``ttl`` is in seconds of ``clock``; ``max_entries`` bounds the memory."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        ttl: float = 5.0,
        max_entries: int = 200_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._ttl, self._clock = fetch, ttl, clock
        self._cache: LRUCache[str, _Listing] = LRUCache(max_entries, getsizeof=lambda listing: len(listing.entries) + 1)
        self._flights: dict[str, _Flight] = {}
        self._condition = threading.Condition()
        self.hits = self.misses = self.served_stale = 0
        self.stale_since: float | None = None
        """Since when (by the clock) old listings are served because the printer cannot be asked; None while it can."""

    # --- asking -----------------------------------------------------------------------------------

    def listing(self, folder: str) -> Mapping[str, Entry]:
        """The entries of ``folder`` by name.

        Raises `FileNotFoundError` when there is no such folder, `Interrupted`, and when the printer cannot be asked
        and no old listing is left, what went wrong.
        """
        with self._condition:
            cached = self._cache.get(folder)
            if cached is not None and self._clock() < cached.fresh_until:
                self.hits += 1
                return cached.entries
            self.misses += 1
            flight = self._board_locked(folder, has_stale=cached is not None)
            deadline = self._clock() + (PATIENCE if cached is None else PATIENCE_WITH_STALE)
            interrupts.wait_for(self._condition, lambda: flight.landed, deadline, self._clock)
            if flight.landed and flight.error is None:
                return flight.entries
            return self._stale_locked(folder, flight.error)

    def lookup(self, path: str) -> Entry | None:
        """The entry at ``path``, or None when there is none. Raises as `listing` does, but for a missing folder."""
        if path == paths.ROOT:
            return Entry("", True, 0, 0)
        folder, name = paths.split(path)
        try:
            return self.listing(folder).get(name)
        except FileNotFoundError:
            return None

    def like(self, path: str) -> list[str]:
        """The names in the folder of ``path`` that a FAT card does not tell from its own. Raises as `listing` does."""
        folder, name = paths.split(path)
        entries = self.listing(folder)
        with self._condition:
            cached = self._cache.get(folder)
            if cached is None:
                return _Names().like(name, entries)
            return cached.names.like(name, cached.entries)

    def known_bytes(self) -> int:
        """The sizes of all files in the listings at hand, added up."""
        with self._condition:
            listings = list(self._cache.values())
        return sum(listing.size for listing in listings)

    def known(self, folder: str) -> Mapping[str, Entry]:
        """What is remembered of ``folder``, however old; empty when nothing is. Never asks the printer."""
        with self._condition:
            cached = self._cache.get(folder)
            return cached.entries if cached is not None else {}

    def is_at_hand(self, folder: str) -> bool:
        """Whether ``folder`` needs no asking just now: its listing is fresh, or on its way."""
        with self._condition:
            cached = self._cache.get(folder)
            return folder in self._flights or (cached is not None and self._clock() < cached.fresh_until)

    # --- own changes ------------------------------------------------------------------------------

    def apply(self, path: str, entry: Entry | None) -> None:
        """Note an own change that the printer has confirmed: ``entry`` is now at ``path``, or nothing when None."""
        folder, name = paths.split(path)
        with self._condition:
            flight = self._flights.get(folder)
            if flight is not None:
                flight.changes[name] = entry
            cached = self._cache.get(folder)
            if cached is not None:
                entries = _changed(cached.entries, {name: entry})
                cached.names.note(name, is_there=entry is not None)
                self._keep_locked(folder, _Listing(entries, cached.fresh_until, cached.names))

    def begin(self, folder: str) -> None:
        """Note that ``folder`` was just made by us: it can be shown as empty while the printer cannot be asked."""
        with self._condition:
            if folder not in self._flights:
                self._keep_locked(folder, _Listing({}, self._clock()))

    def forget(self, folder: str = paths.ROOT) -> None:
        """Forget the listings of ``folder`` and of everything below it; those under way will not be kept."""
        with self._condition:
            for known in [f for f in self._cache if f == folder or paths.is_below(f, folder)]:
                del self._cache[known]
            for known in [f for f in self._flights if f == folder or paths.is_below(f, folder)]:
                self._flights.pop(known).is_void = True

    # --- flights ----------------------------------------------------------------------------------

    def _board_locked(self, folder: str, *, has_stale: bool) -> _Flight:
        flight = self._flights.get(folder)
        if flight is None:
            flight = _Flight()
            patience = SESSION_PATIENCE_WITH_STALE if has_stale else SESSION_PATIENCE
            threading.Thread(
                target=self._fly, args=(folder, flight, patience), name="bambufs-list", daemon=True
            ).start()
            self._flights[folder] = flight  # not before: when no thread is to be had, nobody shall wait for it
        return flight

    def _fly(self, folder: str, flight: _Flight, patience: float) -> None:
        """Fetch one listing and land it; runs in a thread of its own, so that nobody waits past a deadline."""
        fetched: list[Entry] = []
        error: OSError | None = None
        try:
            fetched = list(self._fetch(folder, patience=patience))
        except OSError as failure:
            error = failure
        except Exception as fault:
            error = OSError(errno.EIO, f"{fault!r}")
            raise
        finally:
            with self._condition:
                self._land_locked(folder, flight, fetched, error)

    def _land_locked(self, folder: str, flight: _Flight, fetched: list[Entry], error: OSError | None) -> None:
        if error is None:
            self.stale_since = None
            flight.entries = _changed({entry.name: entry for entry in fetched}, flight.changes)
        flight.error, flight.landed = error, True
        if not flight.is_void:
            del self._flights[folder]
            if error is None:
                self._keep_locked(folder, _Listing(flight.entries, self._clock() + self._ttl))
            elif isinstance(error, FileNotFoundError):
                self._cache.pop(folder, None)
        self._condition.notify_all()

    def _keep_locked(self, folder: str, listing: _Listing) -> None:
        try:
            self._cache[folder] = listing
        except ValueError:  # more entries than the whole cache may hold
            self._cache.pop(folder, None)

    def _stale_locked(self, folder: str, error: OSError | None) -> Mapping[str, Entry]:
        """The old listing, good for a moment more; or the error, when it is about the folder or nothing is left."""
        cached = self._cache.get(folder)
        is_away = error is None or (isinstance(error, PrinterError) and error.away)
        if cached is None or not is_away:
            raise _about(folder, error or PrinterTimeout("the printer did not list this folder in time"))
        self.served_stale += 1
        if self.stale_since is None:
            self.stale_since = self._clock()
        self._cache[folder] = _Listing(cached.entries, self._clock() + min(self._ttl, STALE_TTL), cached.names)
        return cached.entries


def _about(folder: str, error: OSError) -> OSError:
    """A copy of ``error`` that names the folder, since it may be told long after and to several."""
    copy = again(error)
    if isinstance(copy, PrinterError) and copy.path is None:
        copy.path = folder
    return copy


def _changed(entries: Mapping[str, Entry], changes: Mapping[str, Entry | None]) -> Mapping[str, Entry]:
    if not changes:
        return entries
    result = dict(entries)
    for name, entry in changes.items():
        result.pop(name, None)
        if entry is not None:
            result[name] = entry
    return result
