"""Memory is given back in a lull, when much has gone through, and not before."""

from __future__ import annotations

import pytest

from bambufs.mount import heap

MUCH = 100 << 20


@pytest.fixture
def trimmed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What was asked of the C library."""
    asked: list[int] = []
    monkeypatch.setattr(heap, "_trim", asked.append)
    return asked


def test_memory_is_given_back_when_the_last_file_is_closed(trimmed: list[int]) -> None:
    files = heap.Heap()
    files.opened()
    files.opened()
    files.moved(MUCH)
    files.closed()
    assert trimmed == []
    files.closed()
    assert trimmed == [0]


def test_that_is_done_once(trimmed: list[int]) -> None:
    files = heap.Heap()
    for count in (MUCH, 10, 10):
        files.opened()
        files.moved(count)
        files.closed()
    assert trimmed == [0]


def test_small_files_do_not_count_until_they_are_many(trimmed: list[int]) -> None:
    files = heap.Heap()
    for _ in range(30):
        files.opened()
        files.moved(1 << 20)
        files.closed()
    assert trimmed == [0]


def test_a_c_library_without_it_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_trim", None)
    heap.limit_heaps()
    files = heap.Heap()
    files.opened()
    files.moved(MUCH)
    files.closed()
