"""A printer that is away: who is told so at once, who looks for it and how often, and who is let in when it is back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bambufs.errors import ConnectionDropped, LoginRefused, PrinterBusy, PrinterError, PrinterSilent, PrinterUnreachable
from bambufs.printer.breaker import Breaker, Prober
from bambufs.printer.pool import SessionPool
from tests.support.clock import Clock
from tests.support.sessions import Printer, Session
from tests.support.waiting import wait_until

AWAY = PrinterUnreachable("no printer answers")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def printer() -> Printer:
    return Printer()


@pytest.fixture
def pool(printer: Printer, clock: Clock) -> Iterator[SessionPool[Session]]:
    """A pool that is only probed when a test says so."""
    pool = SessionPool(printer.open, probe_every=0, clock=clock)
    yield pool
    pool.close()


@pytest.fixture
def lively(printer: Printer) -> Iterator[SessionPool[Session]]:
    """A pool that probes by itself, quickly."""
    pool = SessionPool(printer.open, probe_every=0.02)
    yield pool
    pool.close()


def use(pool: SessionPool[Session], error: PrinterError | None = None) -> Session:
    with pool.lend() as session:
        if error is not None:
            raise error
        return session


def refused(pool: SessionPool[Session], kind: type[PrinterError] = PrinterUnreachable) -> None:
    with pytest.raises(kind):
        use(pool)


# --- at once --------------------------------------------------------------------------------------


def test_the_first_caller_finds_out_and_the_others_are_told(pool: SessionPool[Session], printer: Printer) -> None:
    printer.error = AWAY
    for _ in range(20):
        refused(pool)
    assert printer.tries == 1


def test_nobody_has_to_find_out_while_it_is_looked_for(lively: SessionPool[Session], printer: Printer) -> None:
    printer.error = AWAY
    refused(lively)
    wait_until(lambda: printer.tries >= 4, "some probes")
    refused(lively)
    assert printer.threads.count("bambufs-probe") == printer.tries - 1


def test_a_printer_that_goes_away_under_a_session_is_told_to_others_at_once(
    pool: SessionPool[Session], printer: Printer
) -> None:
    use(pool)
    printer.error = AWAY
    with pytest.raises(PrinterUnreachable):
        use(pool, PrinterUnreachable("it acknowledges nothing any more"))
    refused(pool)
    assert printer.tries == 1


def test_a_session_at_rest_that_finds_nobody_costs_no_further_wait(
    pool: SessionPool[Session], printer: Printer, clock: Clock
) -> None:
    session = use(pool)
    clock.now += 21.0
    printer.error = AWAY
    refused(pool)
    assert session.is_closed
    assert printer.tries == 1  # that of the session


def test_whoever_waits_for_a_session_is_told_when_the_printer_goes_away(
    printer: Printer, lively: SessionPool[Session]
) -> None:
    with ThreadPoolExecutor(1) as threads:
        with lively.lend(), lively.lend(), lively.lend():
            waiting = threads.submit(refused, lively)
            wait_until(lambda: lively.state["waiting"] == 1, "it to wait")
            printer.error = AWAY
            lively._failed(AWAY)
            waiting.result(5)


def test_living_sessions_are_lent_all_the_same(pool: SessionPool[Session], printer: Printer) -> None:
    first = use(pool)
    with pool.lend():
        printer.error = AWAY
        refused(pool)
    assert use(pool) is first
    assert not pool.breaker.is_open  # it has answered


# --- looking for it -------------------------------------------------------------------------------


def test_a_probe_that_gets_in_opens_the_door_and_keeps_the_session(
    pool: SessionPool[Session], printer: Printer
) -> None:
    printer.error = AWAY
    refused(pool)
    printer.error = None
    assert pool.probe()
    assert pool.state["idle"] == 1
    use(pool)
    assert printer.tries == 2


def test_a_probe_that_fails_keeps_the_door_shut(pool: SessionPool[Session], printer: Printer, clock: Clock) -> None:
    printer.error = AWAY
    refused(pool)
    clock.now += 2.9
    assert not pool.probe()
    clock.now += 2.9
    refused(pool)
    assert printer.tries == 2


def test_a_hang_up_at_the_door_is_no_end_of_looking(lively: SessionPool[Session], printer: Printer) -> None:
    """A printer that starts accepts connections before it can serve them."""
    printer.error = AWAY
    refused(lively)
    printer.error = ConnectionDropped("hung up during login")
    wait_until(lambda: printer.tries >= 4, "some probes")
    printer.error = None
    wait_until(lambda: not lively.breaker.is_open, "it to be found")


def test_a_printer_that_is_back_is_found_without_anybody_asking(lively: SessionPool[Session], printer: Printer) -> None:
    printer.error = AWAY
    refused(lively)
    printer.error = None
    wait_until(lambda: not lively.breaker.is_open, "it to be found")
    use(lively)
    assert printer.threads[1:] == ["bambufs-probe"] * (printer.tries - 1)


def test_no_more_sessions_are_opened_by_looking_than_there_may_be(
    pool: SessionPool[Session], printer: Printer
) -> None:
    with pool.lend(), pool.lend(), pool.lend():
        pool._failed(AWAY)
        assert not pool.probe()
    assert printer.tries == 3


def test_a_wrong_access_code_is_not_tried_in_the_background(lively: SessionPool[Session], printer: Printer) -> None:
    printer.error = AWAY
    refused(lively)
    printer.error = LoginRefused("no")
    wait_until(lambda: not lively.breaker.is_probed, "the looking to end")
    tries = printer.tries
    refused(lively, LoginRefused)
    assert printer.tries == tries


def test_a_closed_pool_looks_for_nothing(printer: Printer) -> None:
    pool = SessionPool(printer.open, probe_every=0.01)
    printer.error = AWAY
    refused(pool)
    pool.close()
    tries = printer.tries
    assert not pool.breaker.is_probed
    assert printer.tries == tries


# --- how long, and how often ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(AWAY, 600.0), (PrinterSilent("its only connection is taken"), 60.0)],
    ids=["away", "its only connection is taken"],
)
def test_looking_ends_when_nobody_has_asked_for_long(clock: Clock, error: PrinterError, seconds: float) -> None:
    breaker = Breaker(clock)
    knocks: list[float] = []

    def knock() -> bool:
        knocks.append(clock.now)
        breaker.failed(error)
        clock.now += seconds / 10
        return False

    prober = Prober(knock, breaker, every=0.001, clock=clock)
    breaker.failed(error)
    prober.start()
    wait_until(lambda: not prober.is_running, "the looking to end")
    assert len(knocks) == 10
    assert not breaker.is_probed


def test_looking_goes_on_while_somebody_asks(clock: Clock) -> None:
    breaker = Breaker(clock)
    knocks: list[float] = []

    def knock() -> bool:
        knocks.append(clock.now)
        prober.asked()
        clock.now += 500.0
        return len(knocks) == 5

    prober = Prober(knock, breaker, every=0.001, clock=clock)
    breaker.failed(AWAY)
    prober.start()
    wait_until(lambda: not prober.is_running, "the looking to end")
    assert len(knocks) == 5


def test_looking_goes_on_after_a_fault_of_ours(clock: Clock) -> None:
    breaker, knocks = Breaker(clock), list[int]()

    def knock() -> bool:
        knocks.append(1)
        if len(knocks) == 1:
            raise RuntimeError("can't start new thread")
        return True

    prober = Prober(knock, breaker, every=0.001, clock=clock)
    breaker.failed(AWAY)
    prober.start()
    wait_until(lambda: not prober.is_running, "the looking to end")
    assert (len(knocks), breaker.is_probed) == (2, False)


def test_only_one_looks_at_a_time(clock: Clock) -> None:
    breaker, gate, knocking = Breaker(clock), threading.Event(), threading.Semaphore(0)

    def knock() -> bool:
        knocking.release()
        return gate.wait(10)

    prober = Prober(knock, breaker, every=0.001, clock=clock)
    breaker.failed(AWAY)
    for _ in range(5):
        prober.start()
    assert knocking.acquire(timeout=5)
    assert not knocking.acquire(timeout=0.05)
    gate.set()
    wait_until(lambda: not prober.is_running, "the looking to end")


@pytest.mark.parametrize(
    ("error", "is_away"),
    [(AWAY, True), (PrinterSilent("taken"), True), (PrinterBusy("taken"), False), (LoginRefused("no"), False)],
    ids=lambda value: type(value).__name__,
)
def test_what_is_looked_for(clock: Clock, error: PrinterError, is_away: bool) -> None:
    breaker = Breaker(clock)
    breaker.failed(error)
    breaker.is_probed = True
    assert breaker.is_away is is_away
    clock.now += 40.0
    assert breaker.is_open is is_away


def test_who_watches_is_told_of_failure_and_success(clock: Clock) -> None:
    breaker, told = Breaker(clock), list[PrinterError | None]()
    breaker.watcher = told.append
    breaker.failed(AWAY)
    breaker.failed(ConnectionDropped("not worth remembering"))
    breaker.succeeded()
    assert told == [AWAY, None]
