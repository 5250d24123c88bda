"""Lending sessions, taking them back, retiring them; and the breaker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from unittest.mock import Mock

import pytest

from bambufs import interrupts
from bambufs.errors import (
    CardFull,
    CardRefused,
    CertificateRefused,
    ConnectionDropped,
    Interrupted,
    InvalidName,
    LoginRefused,
    NotSupported,
    PrinterBusy,
    PrinterError,
    PrinterSilent,
    PrinterTimeout,
    PrinterUnreachable,
)
from bambufs.printer.breaker import Breaker
from bambufs.printer.pool import SessionPool
from tests.support.clock import Clock
from tests.support.sessions import Printer, Session
from tests.support.waiting import wait_until


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def printer() -> Printer:
    return Printer()


@pytest.fixture
def pool(printer: Printer, clock: Clock) -> Iterator[SessionPool[Session]]:
    pool = SessionPool(printer.open, limit=3, probe_every=0, clock=clock)
    yield pool
    pool.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as executor:
        yield executor


def use(pool: SessionPool[Session], error: Exception | None = None) -> Session:
    """Borrow a session for a moment; it ends with ``error`` if one is given."""
    if error is None:
        with pool.lend() as session:
            return session
    with pytest.raises(type(error)), pool.lend() as session:
        raise error
    return session


class Borrower:
    """Somebody who borrows in a thread of his own and gives back when he is told."""

    def __init__(self, pool: SessionPool[Session], threads: ThreadPoolExecutor, *, bulk: bool = False) -> None:
        self._pool, self._bulk = pool, bulk
        self.session: Session | None = None
        self.done = threading.Event()
        self.future: Future[None] = threads.submit(self._run)

    def _run(self) -> None:
        with self._pool.lend(bulk=self._bulk) as session:
            self.session = session
            assert self.done.wait(20)

    @property
    def has_it(self) -> bool:
        return self.session is not None

    def finish(self) -> None:
        self.done.set()
        self.future.result(10)


@contextmanager
def borrowing(pool: SessionPool[Session], threads: ThreadPoolExecutor, *bulk: bool) -> Iterator[list[Borrower]]:
    """Borrowers, who come one after the other."""
    borrowers: list[Borrower] = []
    try:
        for is_bulk in bulk:
            borrowers.append(Borrower(pool, threads, bulk=is_bulk))
            wait_until(lambda: all_came(pool, borrowers), "them to have one or to queue up")
        yield borrowers
    finally:
        for borrower in borrowers:
            borrower.done.set()


def all_came(pool: SessionPool[Session], borrowers: list[Borrower]) -> bool:
    """Whether every borrower has a session or stands in the queue."""
    served = sum(borrower.has_it for borrower in borrowers)
    return served + pool.state["waiting"] >= len(borrowers)


# --- lending --------------------------------------------------------------------------------------


def test_nothing_is_opened_before_it_is_needed(pool: SessionPool[Session], printer: Printer) -> None:
    assert printer.tries == 0


def test_session_given_back_is_lent_again(pool: SessionPool[Session]) -> None:
    assert use(pool) is use(pool)


def test_session_used_last_is_lent_first(pool: SessionPool[Session]) -> None:
    use(pool)
    with pool.lend() as first, pool.lend() as second:
        pass
    assert (first.number, second.number) == (1, 2)
    assert use(pool) is first


def test_two_at_a_time_get_two(pool: SessionPool[Session]) -> None:
    use(pool)
    with pool.lend() as one, pool.lend() as other:
        assert one is not other


def test_no_more_than_the_limit_are_opened(pool: SessionPool[Session], printer: Printer) -> None:
    use(pool)
    with pool.lend(), pool.lend(), pool.lend(), pytest.raises(PrinterBusy), pool.lend(patience=0):
        pass
    assert printer.tries == 3


def test_no_more_than_the_printer_allows_are_opened(printer: Printer, clock: Clock) -> None:
    printer.allowed = 1
    pool = SessionPool(printer.open, limit=3, probe_every=0, clock=clock)
    use(pool)
    with pool.lend(), pytest.raises(PrinterBusy), pool.lend(patience=0):
        pass
    assert printer.tries == 1


def test_first_session_is_waited_for_before_a_second_is_opened(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor
) -> None:
    # How many a printer takes is known from the first; a P1 would be pestered otherwise.
    printer.allowed = 1
    with borrowing(pool, threads, False, False, False) as borrowers:
        assert sum(borrower.has_it for borrower in borrowers) == 1
    assert printer.tries == 1


def test_waiting_ends_when_one_comes_free(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor
) -> None:
    printer.allowed = 1
    with borrowing(pool, threads, False, False) as (first, second):
        first.finish()
        wait_until(lambda: second.has_it, "the second to have it")
        assert second.session is first.session


def test_whoever_came_first_is_served_first(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor
) -> None:
    printer.allowed = 1
    with borrowing(pool, threads, *[False] * 5) as borrowers:
        for number, borrower in enumerate(borrowers):
            wait_until(lambda b=borrower: b.has_it, f"number {number} to have it")  # type: ignore[misc]
            assert [b.has_it for b in borrowers] == [True] * (number + 1) + [False] * (4 - number)
            borrower.finish()


def test_waiting_has_an_end(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor, clock: Clock
) -> None:
    printer.allowed = 1
    with borrowing(pool, threads, False, False) as (_, second):
        clock.now += 20.0
        with pytest.raises(PrinterBusy):
            second.future.result(10)


def test_waiting_can_be_interrupted(pool: SessionPool[Session], printer: Printer) -> None:
    printer.allowed = 1
    with pool.lend(), interrupts.watched(lambda: True), pytest.raises(Interrupted), pool.lend():
        pass


def test_interrupted_borrower_leaves_the_queue(pool: SessionPool[Session], printer: Printer) -> None:
    printer.allowed = 1
    with pool.lend(), interrupts.watched(lambda: True), pytest.raises(Interrupted), pool.lend():
        pass
    assert not pool.is_wanted


def test_wanted_is_told_while_somebody_waits(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor
) -> None:
    printer.allowed = 1
    with borrowing(pool, threads, False, False):
        assert pool.is_wanted


def test_not_wanted_while_nobody_waits(pool: SessionPool[Session]) -> None:
    with pool.lend():
        assert not pool.is_wanted


# --- transfers of content -----------------------------------------------------------------------------


def test_bulk_leaves_one_session_for_others(pool: SessionPool[Session], threads: ThreadPoolExecutor) -> None:
    use(pool)
    with borrowing(pool, threads, True, True, True) as borrowers:
        assert [borrower.has_it for borrower in borrowers] == [True, True, False]


def test_listing_overtakes_waiting_bulk(pool: SessionPool[Session], threads: ThreadPoolExecutor) -> None:
    use(pool)
    with borrowing(pool, threads, True, True, True, False) as borrowers:
        assert [borrower.has_it for borrower in borrowers] == [True, True, False, True]


def test_bulk_gets_the_only_session_there_is(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor
) -> None:
    printer.allowed = 1
    use(pool)
    with borrowing(pool, threads, True) as (only,):
        assert only.has_it


def test_waiting_bulk_is_served_when_a_bulk_ends(pool: SessionPool[Session], threads: ThreadPoolExecutor) -> None:
    use(pool)
    with borrowing(pool, threads, True, True, True) as borrowers:
        borrowers[0].finish()
        wait_until(lambda: borrowers[2].has_it, "the third to have it")


# --- the fate of sessions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        CardRefused("no", "/x", "550 Failed."),
        CardFull("full"),
        NotSupported("no", "/x", "502"),
        InvalidName("no"),
    ],
    ids=repr,
)
def test_session_is_kept_after_an_answer(pool: SessionPool[Session], error: Exception) -> None:
    session = use(pool, error)
    assert not session.is_closed
    assert use(pool) is session


@pytest.mark.parametrize(
    "error",
    [
        ConnectionDropped("lost"),
        PrinterTimeout("late"),
        Interrupted("interrupted"),
        LoginRefused("no"),
        PrinterUnreachable("away"),
        OSError(28, "No space left on device"),
        FileNotFoundError(2, "gone"),
        KeyError("a fault of our own"),
    ],
    ids=repr,
)
def test_session_is_closed_after_anything_else(pool: SessionPool[Session], error: Exception) -> None:
    assert use(pool, error).is_closed


@pytest.mark.parametrize("error", [ConnectionDropped("lost"), PrinterTimeout("late")], ids=repr)
def test_idle_siblings_of_a_lost_session_are_closed(pool: SessionPool[Session], error: Exception) -> None:
    use(pool)
    with pool.lend(), pool.lend() as sibling:
        pass
    assert use(pool, error) is not sibling
    assert sibling.is_closed


def test_idle_siblings_of_an_interrupted_session_are_kept(pool: SessionPool[Session]) -> None:
    use(pool)
    with pool.lend(), pool.lend() as sibling:
        pass
    use(pool, Interrupted("interrupted"))
    assert not sibling.is_closed


def test_place_of_a_lost_session_is_free_again(pool: SessionPool[Session]) -> None:
    for _ in range(5):
        use(pool, ConnectionDropped("lost"))
    assert pool.state["lent"] == 0


def test_place_is_free_again_when_opening_failed(pool: SessionPool[Session], printer: Printer, clock: Clock) -> None:
    printer.error = PrinterUnreachable("away")
    for _ in range(5):
        clock.now += 10.0
        with pytest.raises(PrinterUnreachable), pool.lend():
            pass
    assert pool.state["lent"] == 0


# --- idle sessions ----------------------------------------------------------------------------------


def test_session_that_hung_up_is_replaced(pool: SessionPool[Session]) -> None:
    first = use(pool)
    first.is_dead = True
    assert use(pool) is not first
    assert first.is_closed


def test_session_used_just_now_is_not_probed(pool: SessionPool[Session], clock: Clock) -> None:
    first = use(pool)
    clock.now += 19.0
    use(pool)
    assert first.probes == 0


def test_session_at_rest_is_probed(pool: SessionPool[Session], clock: Clock) -> None:
    first = use(pool)
    clock.now += 21.0
    assert use(pool) is first
    assert first.probes == 1


def test_session_that_does_not_answer_the_probe_is_replaced(pool: SessionPool[Session], clock: Clock) -> None:
    first = use(pool)
    first.is_deaf = True
    clock.now += 21.0
    assert use(pool) is not first
    assert first.is_closed


def test_dead_session_gives_way_to_an_idle_one(pool: SessionPool[Session], printer: Printer) -> None:
    use(pool)
    with pool.lend() as one, pool.lend() as other:
        pass
    one.is_dead = True
    assert use(pool) is other
    assert printer.tries == 2


def test_session_idle_too_long_is_not_lent(pool: SessionPool[Session], clock: Clock) -> None:
    first = use(pool)
    clock.now += 240.0
    assert use(pool) is not first


def test_session_idle_too_long_is_retired_with_a_good_bye(pool: SessionPool[Session], clock: Clock) -> None:
    first = use(pool)
    clock.now += 240.0
    pool.retire()
    assert first.said_good_bye


def test_session_idle_for_a_while_is_not_retired(pool: SessionPool[Session], clock: Clock) -> None:
    first = use(pool)
    clock.now += 239.0
    pool.retire()
    assert not first.is_closed


def test_further_idle_session_is_retired_sooner(pool: SessionPool[Session], clock: Clock) -> None:
    with pool.lend() as first, pool.lend() as second:
        pass
    clock.now += 60.0
    pool.retire()
    assert (first.is_closed, second.is_closed) == (False, True)  # the one given back last is the one lent next


def test_lent_session_is_not_retired(pool: SessionPool[Session], clock: Clock) -> None:
    with pool.lend() as session:
        clock.now += 1e6
        pool.retire()
        assert not session.is_closed


def test_forgotten_sessions_are_closed(pool: SessionPool[Session]) -> None:
    first = use(pool)
    pool.forget_idle()
    assert first.is_closed
    assert use(pool) is not first


# --- opened before they are needed ----------------------------------------------------------------------


def is_warm(pool: SessionPool[Session], idle: int) -> Callable[[], bool]:
    return lambda: pool.state["lent"] == 0 and pool.state["idle"] == idle


def test_sessions_are_opened_ahead(pool: SessionPool[Session], printer: Printer) -> None:
    use(pool)
    pool.warm(2)
    wait_until(is_warm(pool, 2), "the second session")
    pool.warm(99)
    wait_until(is_warm(pool, 3), "as many as there may be")
    assert printer.tries == 3


def test_thread_that_cannot_be_had_for_opening_ahead_is_nobodys_failure(
    pool: SessionPool[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(pool)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        pool.warm(2)
    pool.warm(2)
    wait_until(is_warm(pool, 2), "the second session")


def test_nothing_is_opened_ahead_before_the_first_session(pool: SessionPool[Session], printer: Printer) -> None:
    pool.warm(3)
    assert printer.tries == 0


def test_no_more_are_opened_ahead_than_the_printer_allows(printer: Printer, clock: Clock) -> None:
    printer.allowed = 1
    pool = SessionPool(printer.open, clock=clock)
    use(pool)
    pool.warm(3)
    assert printer.tries == 1
    pool.close()


@pytest.mark.parametrize("error", [PrinterUnreachable("away"), PrinterTimeout("slow"), PrinterBusy("taken")])
def test_opening_ahead_that_fails_is_nobodys_failure(
    pool: SessionPool[Session], printer: Printer, error: PrinterError
) -> None:
    first = use(pool)
    printer.error = error
    pool.warm(3)
    wait_until(lambda: printer.tries == 2 and is_warm(pool, 1)(), "the try to be over")
    assert use(pool) is first
    assert not pool.breaker.is_open


def test_printer_that_refuses_a_further_session_is_not_asked_again_at_once(
    pool: SessionPool[Session], printer: Printer
) -> None:
    use(pool)
    printer.room = 1
    for _ in range(2):
        pool.warm(3)
        wait_until(is_warm(pool, 1), "the try to be over")
    assert printer.tries == 2


def test_session_opened_ahead_is_closed_when_the_pool_is(pool: SessionPool[Session], printer: Printer) -> None:
    use(pool)
    going, may_go, usual = threading.Event(), threading.Event(), pool._open_session

    def slowly() -> Session:
        going.set()
        assert may_go.wait(20)
        return usual()

    pool._open_session = slowly
    pool.warm(2)
    assert going.wait(20)
    pool.close()
    may_go.set()
    wait_until(lambda: len(printer.opened) == 2 and printer.opened[1].is_closed, "the late one to be closed")


# --- a printer that takes fewer than expected ----------------------------------------------------------


def test_refused_second_session_makes_the_borrower_wait_for_the_first(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor
) -> None:
    printer.room = 1
    use(pool)
    with borrowing(pool, threads, False, False) as (first, second):
        wait_until(lambda: printer.tries == 2, "the second to try")
        first.finish()
        wait_until(lambda: second.has_it, "the second to have it")
        assert second.session is first.session


def test_limit_that_was_learnt_holds_for_a_while(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor
) -> None:
    printer.room = 1
    use(pool)
    with borrowing(pool, threads, False, False, False):
        wait_until(lambda: pool.state["limit"] == 1, "the limit to be learnt")
    assert printer.tries == 2


def test_limit_that_was_learnt_is_forgotten_when_a_session_is_opened_after_a_minute(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor, clock: Clock
) -> None:
    learn_limit(pool, printer, threads)
    clock.now += 61.0
    pool.forget_idle()
    use(pool)
    assert pool.state["limit"] == 3


def test_limit_that_was_learnt_is_forgotten_while_the_session_lives_on(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor, clock: Clock
) -> None:
    learn_limit(pool, printer, threads)
    for _ in range(5):  # somebody uses the one session again and again
        clock.now += 15.0
        use(pool)
    with pool.lend(), pool.lend(patience=0):
        pass


def learn_limit(pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor) -> None:
    """Let the pool find out that the printer takes one session, for the time being."""
    printer.room = 1
    use(pool)
    with borrowing(pool, threads, False, False) as borrowers:
        wait_until(lambda: pool.state["limit"] == 1, "the limit to be learnt")
        for borrower in borrowers:
            borrower.finish()
    printer.room = 100


def test_printer_that_keeps_silent_teaches_no_limit(pool: SessionPool[Session], printer: Printer) -> None:
    use(pool)
    printer.error = PrinterSilent("it accepts the connection but does not answer")
    with pool.lend(), pytest.raises(PrinterSilent), pool.lend():
        pass
    assert pool.state["limit"] == 3


def test_first_session_refused_is_busy(pool: SessionPool[Session], printer: Printer) -> None:
    printer.room = 0
    with pytest.raises(PrinterBusy), pool.lend():
        pass


# --- the breaker ------------------------------------------------------------------------------------

HOLDS = [
    (PrinterUnreachable, 3.0),
    (LoginRefused, 30.0),
    (CertificateRefused, 5.0),
    (PrinterBusy, 2.0),
    (PrinterTimeout, 3.0),
]


@pytest.mark.parametrize(("kind", "seconds"), HOLDS)
def test_failure_is_repeated_without_asking_for_a_while(
    pool: SessionPool[Session], printer: Printer, clock: Clock, kind: type[PrinterError], seconds: float
) -> None:
    printer.error = kind("no")
    for _ in range(3):
        with pytest.raises(kind), pool.lend():
            pass
        clock.now += seconds / 4
    assert printer.tries == 1


@pytest.mark.parametrize(("kind", "seconds"), HOLDS)
def test_printer_is_asked_again_after_a_while(
    pool: SessionPool[Session], printer: Printer, clock: Clock, kind: type[PrinterError], seconds: float
) -> None:
    printer.error = kind("no")
    with pytest.raises(kind), pool.lend():
        pass
    clock.now += seconds
    printer.error = None
    use(pool)


def test_dropped_connection_is_tried_again_at_once(pool: SessionPool[Session], printer: Printer) -> None:
    printer.error = ConnectionDropped("lost")
    for _ in range(2):
        with pytest.raises(ConnectionDropped), pool.lend():
            pass
    assert printer.tries == 2


def test_everybody_gets_an_error_of_his_own(clock: Clock) -> None:
    breaker, error = Breaker(clock), PrinterUnreachable("away", "/x")
    breaker.failed(error)
    with pytest.raises(PrinterUnreachable) as raised:
        breaker.check()
    assert raised.value is not error


def test_success_closes_the_breaker(clock: Clock) -> None:
    breaker = Breaker(clock)
    breaker.failed(PrinterUnreachable("away"))
    breaker.succeeded()
    breaker.check()
    assert (breaker.is_open, breaker.reason) == (False, None)


def test_breaker_tells_why(clock: Clock) -> None:
    breaker = Breaker(clock)
    breaker.failed(PrinterUnreachable("away"))
    assert (breaker.is_open, breaker.reason) == (True, "away")


def test_living_session_is_lent_while_no_further_one_can_be_opened(
    pool: SessionPool[Session], printer: Printer
) -> None:
    first = use(pool)
    printer.error = PrinterUnreachable("away")
    with pool.lend() as session:
        assert session is first
        with pytest.raises(PrinterUnreachable), pool.lend():
            pass


# --- closing ----------------------------------------------------------------------------------------


def test_closing_says_good_bye_to_idle_sessions(pool: SessionPool[Session]) -> None:
    session = use(pool)
    pool.close()
    assert session.said_good_bye


def test_session_lent_while_closing_is_closed_when_it_comes_back(pool: SessionPool[Session]) -> None:
    with pool.lend() as session:
        pool.close()
        assert not session.is_closed
    assert session.is_closed


def test_closed_pool_lends_nothing(pool: SessionPool[Session], printer: Printer) -> None:
    pool.close()
    with pytest.raises(PrinterUnreachable), pool.lend():
        pass
    assert printer.tries == 0


def test_whoever_waits_while_closing_is_told(
    pool: SessionPool[Session], printer: Printer, threads: ThreadPoolExecutor
) -> None:
    printer.allowed = 1
    with borrowing(pool, threads, False, False) as (_, second):
        pool.close()
        with pytest.raises(PrinterUnreachable):
            second.future.result(10)


def test_repr_is_the_state(pool: SessionPool[Session]) -> None:
    use(pool)
    with pool.lend():
        assert repr(pool) == "<SessionPool lent=1 idle=0 waiting=0 limit=3>"


def test_sessions_opened_are_counted(pool: SessionPool[Session]) -> None:
    use(pool, ConnectionDropped("lost"))
    use(pool)
    assert pool.state["opened"] == 2


# --- whether a transfer could begin at once -----------------------------------------------------------


def test_transfer_could_begin_on_an_idle_session_only(pool: SessionPool[Session]) -> None:
    assert not pool.has_idle
    with pool.lend(bulk=True):
        assert not pool.has_idle
        with pool.lend():
            pass
        assert pool.has_idle


def test_idle_session_that_is_kept_for_others_is_none_for_a_transfer(pool: SessionPool[Session]) -> None:
    with pool.lend(bulk=True), pool.lend(bulk=True):
        with pool.lend():
            pass
        assert not pool.has_idle
