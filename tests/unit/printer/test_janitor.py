"""Tidying up on the card in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from bambufs.errors import CardRefused, ConnectionDropped, PrinterUnreachable
from bambufs.printer.janitor import Janitor
from tests.support.threads import Threads
from tests.support.waiting import wait_until

BROKEN = ConnectionDropped("the connection was lost")


class Card:
    """Does what is asked, unless it is told to fail so many times."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures = 0
        self.error: OSError = PrinterUnreachable("away")
        self.tidied = threading.Event()

    def delete(self, path: str) -> None:
        self.asked.append(path)
        if self.failures:
            self.failures -= 1
            raise self.error

    def tidy(self) -> None:
        self.tidied.set()


def remove(janitor: Janitor, card: Card, path: str) -> None:
    """Have ``path`` removed."""
    janitor.give(lambda: card.delete(path), f"removing {path}")


@pytest.fixture
def card() -> Card:
    return Card()


@pytest.fixture
def janitor(card: Card) -> Iterator[Janitor]:
    janitor = Janitor(card.tidy, interval=0.01, retry_delay=0.01, tries=3)
    yield janitor
    janitor.close()


_threads = Threads()


@pytest.fixture(autouse=True)
def _remember_threads() -> None:
    global _threads
    _threads = Threads()


def running() -> list[str]:
    return _threads.named("bambufs-janitor")


def test_no_thread_runs_before_it_is_needed(janitor: Janitor) -> None:
    # A thread would not survive the fork into the background.
    assert not running()


def test_path_is_deleted(janitor: Janitor, card: Card) -> None:
    remove(janitor, card, "/x.part")
    wait_until(lambda: card.asked == ["/x.part"], "it to be deleted")


def test_path_is_tried_again_until_it_is_gone(janitor: Janitor, card: Card) -> None:
    card.failures = 2
    remove(janitor, card, "/x.part")
    wait_until(lambda: len(card.asked) == 3, "three tries")


def test_path_is_given_up_after_so_many_tries(
    janitor: Janitor, card: Card, caplog: pytest.LogCaptureFixture
) -> None:
    card.failures, card.error = 100, BROKEN
    remove(janitor, card, "/x.part")
    wait_until(lambda: caplog.records, "it to be given up")
    assert len(card.asked) == 3


def test_path_given_up_is_named_in_the_log(janitor: Janitor, card: Card, caplog: pytest.LogCaptureFixture) -> None:
    card.failures, card.error = 100, BROKEN
    with caplog.at_level(logging.WARNING):
        remove(janitor, card, "/x.part")
        wait_until(lambda: caplog.records, "it to be given up")
    assert "/x.part" in caplog.text


def test_printer_that_is_away_is_waited_for(janitor: Janitor, card: Card, caplog: pytest.LogCaptureFixture) -> None:
    card.failures = 10
    remove(janitor, card, "/x.part")
    wait_until(lambda: len(card.asked) == 11, "it to be deleted in the end")
    assert caplog.text == ""


def test_failing_path_does_not_hold_up_the_others(janitor: Janitor, card: Card) -> None:
    card.failures = 1
    remove(janitor, card, "/a.part")
    remove(janitor, card, "/b.part")
    wait_until(lambda: sorted(card.asked) == ["/a.part", "/a.part", "/b.part"], "both to be deleted")


def test_error_of_another_kind_is_not_tried_again(
    janitor: Janitor, card: Card, caplog: pytest.LogCaptureFixture
) -> None:
    card.failures, card.error = 100, IsADirectoryError(21, "a folder")
    remove(janitor, card, "/x.part")
    wait_until(lambda: caplog.records, "it to be given up")
    assert len(card.asked) == 1


def test_fault_of_ours_holds_up_nothing_else(
    janitor: Janitor, card: Card, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("can't start new thread")

    janitor.give(fail, "removing /x.part")
    wait_until(lambda: caplog.records, "it to be told")
    remove(janitor, card, "/y.part")
    wait_until(lambda: card.asked == ["/y.part"], "the other one to be deleted")


def test_refusal_is_tried_again(janitor: Janitor, card: Card) -> None:
    card.failures, card.error = 1, CardRefused("in use")
    remove(janitor, card, "/x.part")
    wait_until(lambda: len(card.asked) == 2, "two tries")


def test_what_is_due_later_holds_nothing_up(janitor: Janitor, card: Card) -> None:
    janitor.give(lambda: card.delete("/late"), "removing /late", after=0.2)
    janitor.give(lambda: card.delete("/later"), "removing /later", after=60.0)
    remove(janitor, card, "/now")
    wait_until(lambda: "/late" in card.asked, "what is due later")
    assert card.asked == ["/now", "/late"]


def test_closing_does_at_once_what_is_due_later(janitor: Janitor, card: Card) -> None:
    janitor.give(lambda: card.delete("/later"), "removing /later", after=60.0)
    janitor.close()
    assert card.asked == ["/later"]


def test_tidying_goes_on_by_itself(janitor: Janitor, card: Card) -> None:
    janitor.start()
    for _ in range(3):
        assert card.tidied.wait(5)
        card.tidied.clear()


def test_starting_twice_starts_one_thread(janitor: Janitor) -> None:
    janitor.start()
    janitor.start()
    assert len(running()) == 1


def test_closing_ends_the_thread(janitor: Janitor) -> None:
    janitor.start()
    janitor.close()
    assert not running()


def test_closing_tries_once_more(card: Card) -> None:
    janitor = Janitor(card.tidy, retry_delay=60.0)
    card.failures = 1
    remove(janitor, card, "/x.part")
    wait_until(lambda: len(card.asked) == 1, "the first try")
    janitor.close()
    assert len(card.asked) == 2


def test_closing_does_not_wait_for_ever(card: Card) -> None:
    card.failures = 100
    janitor = Janitor(card.tidy, retry_delay=60.0)
    remove(janitor, card, "/x.part")
    janitor.close()
    assert not running()


def test_closing_before_the_start_does_no_harm(janitor: Janitor) -> None:
    janitor.close()
    janitor.start()
    assert not running()
