"""Whether the program behind the present request has been interrupted."""

from __future__ import annotations

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bambufs import interrupts
from bambufs.errors import Interrupted


def test_thread_without_a_probe_is_never_interrupted() -> None:
    interrupts.check()


def test_interrupt_is_eintr() -> None:
    with interrupts.watched(lambda: True), pytest.raises(Interrupted) as raised:
        interrupts.check()
    assert raised.value.errno == errno.EINTR


def test_probe_that_says_no_lets_go_on() -> None:
    with interrupts.watched(lambda: False):
        interrupts.check()


def test_probe_is_gone_after_the_block() -> None:
    with interrupts.watched(lambda: True):
        pass
    interrupts.check()


def test_probe_is_gone_after_an_error() -> None:
    with pytest.raises(KeyError), interrupts.watched(lambda: True):
        raise KeyError
    interrupts.check()


def test_inner_probe_hides_the_outer_one() -> None:
    with interrupts.watched(lambda: True):
        with interrupts.watched(lambda: False):
            interrupts.check()
        with pytest.raises(Interrupted):
            interrupts.check()


def test_probe_is_that_of_its_thread_alone() -> None:
    with interrupts.watched(lambda: True), ThreadPoolExecutor(1) as threads:
        threads.submit(interrupts.check).result()


def test_free_lock_is_taken_without_asking() -> None:
    lock = threading.Lock()
    with interrupts.watched(lambda: True):
        interrupts.acquire(lock)
    assert lock.locked()


def test_waiting_for_a_lock_can_be_interrupted() -> None:
    lock = threading.Lock()
    lock.acquire()
    with interrupts.watched(lambda: True), pytest.raises(Interrupted):
        interrupts.acquire(lock)


def test_lock_that_comes_free_is_taken() -> None:
    lock = threading.Lock()
    lock.acquire()
    with ThreadPoolExecutor(1) as threads:
        taking = threads.submit(interrupts.acquire, lock)
        lock.release()
        taking.result(5)
    assert lock.locked()


def test_lock_that_stays_taken_is_given_up() -> None:
    lock = threading.Lock()
    lock.acquire()
    assert not interrupts.acquire(lock, 0.01)


def test_waiting_ends_when_it_is_true() -> None:
    with (condition := threading.Condition()):
        assert interrupts.wait_for(condition, lambda: True, 0.0, time.monotonic)


def test_waiting_ends_at_the_deadline() -> None:
    with (condition := threading.Condition()):
        assert not interrupts.wait_for(condition, lambda: False, time.monotonic() + 0.01, time.monotonic)


def test_waiting_can_be_interrupted() -> None:
    with (condition := threading.Condition()), interrupts.watched(lambda: True), pytest.raises(Interrupted):
        interrupts.wait_for(condition, lambda: False, time.monotonic() + 60, time.monotonic)
