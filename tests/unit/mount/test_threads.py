"""Threads that Python did not start: what it knows of them lasts as long as they do, and no longer."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable

import pytest

from bambufs.mount import threads

_libc = ctypes.CDLL(None)
_Start = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


class Something:
    """What a thread remembers."""


def run_outside(work: Callable[[], None]) -> None:
    """Run ``work`` in a callback, in a thread of the C library, and wait until that has ended."""

    start = _Start(lambda _: work())
    thread = ctypes.c_ulong()
    assert _libc.pthread_create(ctypes.byref(thread), None, start, None) == 0
    assert _libc.pthread_join(thread, None) == 0


@pytest.fixture
def glibc() -> None:
    """Only there can anything be kept."""
    if threads._at_thread_exit is None:
        pytest.skip("this C library does not say when a thread ends")


@pytest.mark.usefixtures("glibc")
def test_a_thread_is_remembered_by_its_next_callback() -> None:
    memory = threading.local()
    seen: list[bool] = []

    at_the_end = threads._Destructor(lambda _: seen.append(hasattr(memory, "thing")))

    def work() -> None:
        threads.keep()
        memory.thing = Something()
        threads._at_thread_exit(at_the_end, None, threads._here)  # the last one comes first

    run_outside(work)
    assert seen == [True]


def test_nothing_is_remembered_of_threads_that_have_ended() -> None:
    memory = threading.local()
    things: list[weakref.ref[Something]] = []

    def work() -> None:
        threads.keep()
        threads.keep()
        memory.thing = Something()
        things.append(weakref.ref(memory.thing))

    for _ in range(50):
        run_outside(work)
    assert len(things) == 50
    assert [thing() for thing in things] == [None] * 50


def test_threads_of_python_are_kept_by_python_itself() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            threads.keep()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
