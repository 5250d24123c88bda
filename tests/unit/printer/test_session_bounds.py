"""Answers without end, sense or haste: each is cut short, with a sentence, within its bound."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bambufs.errors import CardRefused, ConnectionDropped, PrinterError, PrinterTimeout
from bambufs.printer import session as session_module
from bambufs.printer.session import FtpsSession, Timeouts
from bambufs.printer.wire import ImplicitFtps
from tests.support.scripted import LOGIN, TOGETHER, Step, Talk, ask, denies, says, scripted
from tests.support.waiting import wait_until

_CLOSED = 7
"""TCP_CLOSE, see tcp_states.h of Linux."""

BRISK = Timeouts(connect=2.0, greet=5.0, reply=0.6, stall=2.0, listing=0.6, final_reply=2.0)


@contextmanager
def talking(*script: Step, pipelines: bool = False) -> Iterator[FtpsSession]:
    """A session, logged in, whose printer goes on by ``script``."""
    with scripted([*(TOGETHER if pipelines else LOGIN), *script]) as printer:
        session = FtpsSession.open(printer.target(pipelines=pipelines), BRISK)
        try:
            yield session
        finally:
            session.close()


def failure(verb: Callable[[FtpsSession], object], *script: Step) -> PrinterError:
    """How ``verb`` fails, which must not take long."""
    began = time.monotonic()
    with talking(*script) as session, pytest.raises(PrinterError) as failed:
        verb(session)
    assert time.monotonic() - began < 10
    return failed.value


def size(session: FtpsSession) -> int:
    return session.size("/x")


def pours(command: str, *, every: float, piece: bytes) -> Step:
    """Answer ``command`` with ``piece`` again and again, until the client has gone."""

    def step(talk: Talk) -> None:
        talk.expect(command)
        _pour(talk, talk.sock.sendall, every, piece)

    return step


def pours_data(command: str, *, every: float, piece: bytes) -> Step:
    """Send ``piece`` again and again over the data connection, until the client has gone."""

    def step(talk: Talk) -> None:
        with contextlib.suppress(OSError), talk.data(command, "127,0,0,1") as sock:
            _pour(talk, sock.sendall, every, piece)

    return step


def _pour(talk: Talk, send: Callable[[bytes], object], every: float, piece: bytes) -> None:
    with contextlib.suppress(OSError):
        while not talk.printer.closing.wait(every):
            send(piece)


def test_line_that_never_ends_is_cut() -> None:
    error = failure(size, pours("SIZE /x", every=0, piece=b"9" * 5000))
    assert isinstance(error, ConnectionDropped)
    assert "does not end" in error.message


def test_reply_of_endlessly_many_lines_is_cut() -> None:
    error = failure(size, pours("SIZE /x", every=0, piece=b"213-x\r\n" * 900))
    assert isinstance(error, ConnectionDropped)
    assert "does not end" in error.message


def test_reply_that_trickles_has_a_deadline() -> None:
    assert isinstance(failure(size, pours("SIZE /x", every=0.05, piece=b"2")), PrinterTimeout)


def test_reply_whose_lines_trickle_has_a_deadline() -> None:
    assert isinstance(failure(size, pours("SIZE /x", every=0.05, piece=b"213-\r\n")), PrinterTimeout)


def test_listing_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_MAX_LISTING", 200_000)
    endless = pours_data("LIST", every=0, piece=b"x" * 9999 + b"\r\n")
    error = failure(lambda session: session.list("/"), ask("CWD /", "250 Okay."), endless)
    assert "listing of this folder does not end" in error.message
    assert not error.answered  # the session is out of step


def test_listing_that_trickles_has_a_deadline() -> None:
    trickle = pours_data("LIST", every=0.05, piece=b"x")
    error = failure(lambda session: session.list("/"), ask("CWD /", "250 Okay."), trickle)
    assert isinstance(error, PrinterTimeout)


@pytest.mark.parametrize("numbers", ["0,0", "256,0", "999,999", "1" * 30 + ",1", "9" * 5000 + ",1"])
def test_port_that_cannot_be_one_breaks_nothing(numbers: str) -> None:
    error = failure(lambda session: session.download("/x"), ask("PASV", f"227 ({'127,0,0,1,' + numbers})."))
    assert isinstance(error, ConnectionDropped)
    assert "makes no sense" in error.message


@pytest.mark.parametrize("reply", ["213 " + "9" * 5000, "213 five", "213", "garbage", "", "\x00\xff", "150 Soon."])
def test_answer_without_sense_is_told(reply: str) -> None:
    answer = says(reply) if reply else lambda talk: talk.sock.sendall(b"\r\n")
    error = failure(size, ask("SIZE /x", ""), answer)
    assert isinstance(error, ConnectionDropped)


def test_reply_in_a_sentence_is_short_and_plain() -> None:
    error = failure(size, ask("SIZE /x", "550-no\r\n\x1b[2J" + "x" * 5000 + "\r\n550 end"))
    assert isinstance(error, CardRefused)
    assert error.message.isprintable()
    assert len(error.message) < 300


def test_refused_transfer_is_told_in_short() -> None:
    error = failure(lambda session: session.download("/x"), denies("RETR /x", "550 " + "x" * 5000))
    assert len(str(error)) < 300


def test_time_that_is_not_told_now_does_not_hide_the_others() -> None:
    replies = ["213 20240229120000", "450 Later.", "550 Never.", "213 20240229120002"]

    def answers(talk: Talk) -> None:
        for number in range(4):
            talk.expect(f"MDTM /{number}")
        for reply in replies:
            talk.say(reply)

    with talking(answers, pipelines=True) as session:
        times = session.modified([f"/{number}" for number in range(4)])
    assert times == (1709208000, None, None, 1709208002)


def test_connection_that_is_gone_before_tls_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        raw = socket.create_connection(server.getsockname(), timeout=5)
        taken = server.accept()[0]
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        taken.close()  # with a reset
        wait_until(lambda: raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED, "the reset to come in")
    wire = ImplicitFtps(ssl.create_default_context(), "printer", 1.0)

    with pytest.raises(OSError, match="not connected"):
        wire.secure(raw)

    assert raw.fileno() == -1
    wire.close()
