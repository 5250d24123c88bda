"""Which bytes of a file are here, compared with a plain set of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bambufs.vfs.ranges import RangeSet

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=15)


def built(spans: list[tuple[int, int]]) -> tuple[RangeSet, set[int]]:
    """The same positions as a `RangeSet` and as a set."""
    ranges, positions = RangeSet(), set[int]()
    for start, end in spans:
        ranges.add(start, end)
        positions.update(range(start, end))
    return ranges, positions


@given(SPANS, st.integers(0, 60), st.integers(0, 60))
def test_first_missing_is_that_of_a_set(spans: list[tuple[int, int]], start: int, end: int) -> None:
    ranges, positions = built(spans)
    assert ranges.first_missing(start, end) == next((p for p in range(start, end) if p not in positions), None)


@given(SPANS)
def test_total_is_that_of_a_set(spans: list[tuple[int, int]]) -> None:
    ranges, positions = built(spans)
    assert ranges.total == len(positions)


@given(SPANS)
def test_order_of_adding_does_not_matter(spans: list[tuple[int, int]]) -> None:
    assert repr(built(spans)[0]) == repr(built(spans[::-1])[0])


def test_neighbours_become_one() -> None:
    ranges = built([(0, 10), (20, 30), (10, 20)])[0]
    assert repr(ranges) == "<RangeSet [(0, 30)]>"


def test_gap_is_found_where_it_begins() -> None:
    assert built([(0, 10), (20, 30)])[0].first_missing(5, 25) == 10


@pytest.mark.parametrize("empty", [(5, 5), (7, 3)])
def test_nothing_lacks_nothing(empty: tuple[int, int]) -> None:
    assert RangeSet().first_missing(*empty) is None


def test_adding_nothing_changes_nothing() -> None:
    ranges = RangeSet()
    ranges.add(5, 5)
    assert ranges.total == 0
