"""RangeSet: which bytes of a file are here."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable


class RangeSet:
    """A set of byte positions, kept as sorted, disjoint, half-open ranges."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges: list[tuple[int, int]] = list(spans)

    def __repr__(self) -> str:
        return f"<RangeSet {self._ranges}>"

    def add(self, start: int, end: int) -> None:
        """Add the positions from ``start`` up to, not including, ``end``."""
        if start >= end:
            return
        before = [r for r in self._ranges if r[1] < start]
        after = [r for r in self._ranges if r[0] > end]
        touching = self._ranges[len(before) : len(self._ranges) - len(after)]
        if touching:
            start, end = min(start, touching[0][0]), max(end, touching[-1][1])
        self._ranges = [*before, (start, end), *after]

    def first_missing(self, start: int, end: int) -> int | None:
        """The first position from ``start`` up to ``end`` that is not in the set, or None when all are."""
        if start >= end:
            return None
        at = bisect_right(self._ranges, start, key=lambda r: r[0]) - 1
        if at < 0 or self._ranges[at][1] <= start:
            return start
        covered_to = self._ranges[at][1]
        return covered_to if covered_to < end else None

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The ranges, in order."""
        return tuple(self._ranges)

    @property
    def end(self) -> int:
        """The position behind the last one in the set; 0 when it is empty."""
        return self._ranges[-1][1] if self._ranges else 0

    @property
    def total(self) -> int:
        """How many positions are in the set."""
        return sum(end - start for start, end in self._ranges)
