"""Commands sent together, and data connections made ahead: fewer round trips, and never out of step."""

from __future__ import annotations

import contextlib
import io
import ssl
import time
from collections.abc import Iterator, Sequence

import pytest

from bambufs.errors import CardFull, CardRefused, ConnectionDropped
from bambufs.printer.download import Version
from bambufs.printer.session import FtpsSession, Stored, Timeouts
from tests.support import scripted as talk
from tests.support.scripted import (
    CALM,
    LOGIN,
    TOGETHER,
    ScriptedPrinter,
    Step,
    ask,
    denies,
    falls_silent,
    gives,
    login,
    offers,
    scripted,
    takes,
)

LINE = b"-rw-r--r--    1 0        0               5 Jun 15  2025 a.stl\r\n"
STILL_IN_STEP = ask("NOOP", "200 Okay.")


@contextlib.contextmanager
def talking(*script: Step, timeouts: Timeouts = CALM) -> Iterator[tuple[FtpsSession, ScriptedPrinter]]:
    """A session that sends commands together, logged in, whose printer goes on by ``script``."""
    with scripted([*TOGETHER, *script]) as printer:
        session = FtpsSession.open(printer.target(pipelines=True), timeouts)
        try:
            yield session, printer
        finally:
            session.close()


def heard_together(*commands: str) -> Step:
    """Hear ``commands`` without answering: all of them have to come by themselves."""

    def step(conversation: talk.Talk) -> None:
        for command in commands:
            conversation.expect(command)

    return step


def says_all(*replies: str) -> Step:
    def step(conversation: talk.Talk) -> None:
        for reply in replies:
            conversation.say(reply)

    return step


def test_login_ends_with_one_question() -> None:
    script = [*login()[:3], heard_together("TYPE I", "PBSZ 0", "PROT P", "PASV"), says_all(*["200 Okay."] * 3)]
    with scripted(
        [*script, lambda conversation: conversation.printer.kept.append(conversation.offer_data("127,0,0,1"))]
    ) as printer:
        FtpsSession.open(printer.target(pipelines=True), CALM).close()


def test_listing_uses_the_connection_made_ahead() -> None:
    script = [ask("CWD /a", "250"), gives("LIST", LINE), offers(), ask("CWD /b", "250"), gives("LIST", LINE), offers()]
    with talking(*script) as (session, printer):
        assert session.list("/a") == session.list("/b") == [LINE.decode().strip()]
    assert printer.commands.count("PASV") == 3
    assert printer.reused == [True, True]


def test_times_are_asked_for_before_the_listing_has_ended() -> None:
    def lists_and_hears(conversation: talk.Talk) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError), conversation.data("LIST", "127,0,0,1") as data:
            data.sendall(LINE)
            data.unwrap()
        for command in ("PASV", "MDTM /a/a.stl", "MDTM /a/b"):
            conversation.expect(command)
        conversation.say("226 Done.")
        conversation.printer.kept.append(conversation.offer_data("127,0,0,1"))
        conversation.say("213 20090213233131")
        conversation.say("550 No.")

    with talking(ask("CWD /a", "250"), lists_and_hears, STILL_IN_STEP) as (session, _):
        listed: list[str] = []

        def files(lines: Sequence[str]) -> list[str]:
            listed.extend(lines)
            return ["/a/a.stl", "/a/b"]

        assert session.list_then_ask("/a", files) == (1234567891, None)
        assert session.answers()
    assert listed == [LINE.decode().strip()]


def test_listing_that_fails_at_its_end_leaves_the_session_in_step() -> None:
    script = [ask("CWD /a", "250"), gives("LIST", LINE, end="426 Failure."), offers(), ask("MDTM /a/a.stl", "213 x")]
    with talking(*script, STILL_IN_STEP) as (session, _):
        with pytest.raises(ConnectionDropped):
            session.list_then_ask("/a", lambda lines: ["/a/a.stl"])
        assert session.answers()


def test_missing_folder_is_refused_although_another_one_was_listed() -> None:
    script = [ask("CWD /none", "550 Failed to change directory."), gives("LIST", LINE * 5000), offers(), STILL_IN_STEP]
    with talking(*script) as (session, _):
        with pytest.raises(CardRefused):
            session.list("/none")
        assert session.answers()


def test_missing_folder_is_refused_without_a_connection_made_ahead() -> None:
    with talking(ask("CWD /none", "550 No."), offers(), STILL_IN_STEP) as (session, _):
        session._ftp._drop_ahead()
        with pytest.raises(CardRefused):
            session.list("/none")
        assert session.answers()


def test_upload_asks_for_size_and_sets_the_time_while_it_waits_for_its_end() -> None:
    def takes_and_hears(conversation: talk.Talk) -> None:
        with conversation.data("STOR /x", "127,0,0,1") as data:
            content = b""
            while block := data.recv(65536):
                content += block
            conversation.printer.received.append(content)
        for command in ("SIZE /x", "MDTM 20090213233130 /x", "PASV"):
            conversation.expect(command)
        for reply in ("226 Done.", "213 3", "213 Time set."):
            conversation.say(reply)
        conversation.printer.kept.append(conversation.offer_data("127,0,0,1"))

    with talking(takes_and_hears, STILL_IN_STEP) as (session, printer):
        stored = session.store("/x", io.BytesIO(b"abc"), lambda sent: None, mtime=lambda: 1234567890)
        assert session.answers()
    assert (stored, printer.received) == (Stored(3, True), [b"abc"])


def test_time_that_was_not_set_is_told() -> None:
    script = [takes("STOR /x"), ask("SIZE /x", "213 3"), ask("MDTM * /x", "550 No."), offers()]
    with talking(*script) as (session, _):
        assert session.store("/x", io.BytesIO(b"abc"), lambda sent: None, mtime=lambda: 0) == Stored(3, False)


@pytest.mark.parametrize(("reply", "kind"), [("452 Full.", CardFull), ("426 Broken.", ConnectionDropped)])
def test_upload_that_failed_at_its_end_leaves_the_session_in_step(reply: str, kind: type[Exception]) -> None:
    script = [takes("STOR /x", end=reply), ask("SIZE /x", "213 1"), offers(), STILL_IN_STEP]
    with talking(*script) as (session, _):
        with pytest.raises(kind):
            session.store("/x", io.BytesIO(b"abc"), lambda sent: None)
        assert session.answers()


def test_upload_that_is_refused_leaves_the_session_in_step() -> None:
    with talking(denies("STOR /x", "553 Could not create file."), STILL_IN_STEP) as (session, _):
        with pytest.raises(CardRefused):
            session.store("/x", io.BytesIO(b"abc"), lambda sent: None)
        assert session.answers()


VERSION = [ask("SIZE /x", "213 5000000"), ask("MDTM /x", "213 20090213233130")]


def test_download_from_the_middle_that_is_cut_short_leaves_the_session_in_step() -> None:
    script = [gives("RETR /x", b"x" * 5_000_000, end="426 Failure writing network stream.", rest=7), offers()]
    with talking(*VERSION, *script, STILL_IN_STEP) as (session, _):
        download = session.download("/x", 7)
        assert download.version == Version(5_000_000, 1_234_567_890)
        assert download.read(10)
        download.finish()
        assert session.answers()


REFUSED = [ask("SIZE /x", "550 Could not get file size."), ask("MDTM /x", "550 Could not get modification time.")]


def test_download_that_is_refused_leaves_the_session_in_step() -> None:
    with talking(*REFUSED, denies("RETR /x", "550 Failed to open file."), offers(), STILL_IN_STEP) as (session, _):
        with pytest.raises(CardRefused):
            session.download("/x")
        assert session.answers()


def test_connection_made_ahead_that_has_ended_is_not_used() -> None:
    def offer_and_close(conversation: talk.Talk) -> None:
        conversation.expect("PASV")
        with conversation.offer_data("127,0,0,1") as listener:
            listener.accept()[0].close()

    with scripted([*LOGIN, offer_and_close, ask("CWD /", "250"), gives("LIST", LINE), offers()]) as printer:
        session = FtpsSession.open(printer.target(pipelines=True), CALM)
        deadline = time.monotonic() + 5
        while not session._ftp._ahead or not talk_has_ended(session):
            assert time.monotonic() < deadline
        assert session.list("/") == [LINE.decode().strip()]
        session.close()


def talk_has_ended(session: FtpsSession) -> bool:
    """Whether the connection made ahead shows that the other side has closed it."""
    from bambufs.printer.sockets import is_ready

    return session._ftp._ahead is not None and is_ready(session._ftp._ahead[0], 0.01)


def test_printer_that_reads_one_command_at_a_time_is_given_one_at_a_time_from_then_on() -> None:
    def forgets_the_rest(conversation: talk.Talk) -> None:
        conversation.expect("TYPE I")
        conversation.say("200 Okay.")
        conversation.forget()

    hurried = [*login()[:3], forgets_the_rest, falls_silent()]
    brisk = Timeouts(connect=2.0, greet=0.5, reply=2.0)
    with scripted(hurried, LOGIN, LOGIN) as printer:
        target = printer.target(pipelines=True)
        first, second = FtpsSession.open(target, brisk), FtpsSession.open(target, CALM)
        assert (first.pipelines, second.pipelines, target.manners.pipelines) == (False, False, False)
        first.close()
        second.close()
