"""One session, against printers that hold to a script."""

from __future__ import annotations

import dataclasses
import io
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
from bambufs.printer.family import ESP32, VSFTPD
from bambufs.printer.session import FtpsSession, Timeouts
from tests.support import scripted as talk
from tests.support.ports import port_block
from tests.support.scripted import (
    ACCESS_CODE,
    CALM,
    LOGIN,
    QUICK,
    TOGETHER,
    ScriptedPrinter,
    Step,
    ask,
    denies,
    falls_silent,
    gives,
    hangs_up,
    login,
    plain,
    refuses_data,
    says,
    scripted,
    stalls,
    takes,
)
from tests.support.waiting import wait_until

LATE = Timeouts(connect=5.0, greet=5.0, reply=0.3, stall=0.3, final_reply=5.0)
"""Impatient, but for the reply after an upload."""


@contextmanager
def talking(
    *script: Step, timeouts: Timeouts = CALM, pipelines: bool = False
) -> Iterator[tuple[FtpsSession, ScriptedPrinter]]:
    """A session, logged in, whose printer goes on by ``script``."""
    with scripted([*(TOGETHER if pipelines else LOGIN), *script]) as printer:
        session = FtpsSession.open(printer.target(pipelines=pipelines), timeouts)
        try:
            yield session, printer
        finally:
            session.close()


def store(session: FtpsSession, content: bytes, path: str = "/x") -> None:
    session.store(path, io.BytesIO(content), lambda sent: None)


def opening(*script: Step, timeouts: Timeouts = QUICK, access_code: str = ACCESS_CODE) -> PrinterError:
    """The error that opening a session ends with."""
    with scripted(list(script)) as printer, pytest.raises(PrinterError) as failed:
        FtpsSession.open(printer.target(access_code), timeouts)
    return failed.value


# --- opening --------------------------------------------------------------------------------------


def test_greeting_of_vsftpd_tells_the_family() -> None:
    with talking() as (session, _):
        assert session.family is VSFTPD


def test_any_other_greeting_tells_an_esp32() -> None:
    with scripted(login(talk.ESP32)) as printer:
        session = FtpsSession.open(printer.target(), CALM)
        assert session.family is ESP32
        session.close()


def test_wrong_access_code_is_told() -> None:
    error = opening(
        says(talk.VSFTPD), ask("USER bblp", "331 Password."), ask(f"PASS {ACCESS_CODE}", "530 Login incorrect.")
    )
    assert isinstance(error, LoginRefused)


def test_plain_421_means_that_all_connections_are_taken() -> None:
    error = opening(plain("421 There are too many connected users, please try later."))
    assert isinstance(error, PrinterBusy)


def test_421_as_the_greeting_means_that_all_connections_are_taken() -> None:
    assert isinstance(opening(says("421 Too many users.")), PrinterBusy)


def test_printer_that_takes_the_connection_and_falls_silent_is_busy() -> None:
    assert isinstance(opening(falls_silent()), PrinterSilent)


def test_printer_that_does_not_greet_is_busy() -> None:
    assert isinstance(opening(says("")), PrinterSilent)


def test_printer_that_hangs_up_before_tls_dropped_the_connection() -> None:
    assert isinstance(opening(hangs_up()), ConnectionDropped)


def test_printer_that_hangs_up_during_the_login_dropped_the_connection() -> None:
    error = opening(says(talk.VSFTPD), ask("USER bblp", "331 Password."), ask("PASS *", ""), hangs_up())
    assert isinstance(error, ConnectionDropped)


def test_port_where_nobody_listens_is_unreachable() -> None:
    with port_block() as ports:
        target = ScriptedPrinter(port=ports[0]).target()
        with pytest.raises(PrinterUnreachable):
            FtpsSession.open(target, QUICK)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64])
def test_name_that_nobody_has_is_unreachable(host: str) -> None:
    target = ScriptedPrinter(port=990).target()
    with pytest.raises(PrinterUnreachable):
        FtpsSession.open(type(target)(host, 990, ACCESS_CODE, target.context), QUICK)


def test_refused_certificate_keeps_the_access_code_at_home() -> None:
    def refuse(der: bytes) -> None:
        raise CertificateRefused("another one")

    with scripted([says(talk.VSFTPD)]) as printer:
        target = printer.target()
        suspicious = type(target)(target.host, target.port, ACCESS_CODE, target.context, check_certificate=refuse)
        with pytest.raises(CertificateRefused):
            FtpsSession.open(suspicious, CALM)
    assert printer.commands == []


def test_certificate_is_shown_before_the_login() -> None:
    shown: list[bytes] = []
    with scripted(LOGIN) as printer:
        target = printer.target()
        curious = dataclasses.replace(target, check_certificate=shown.append)
        FtpsSession.open(curious, CALM).close()
    assert shown[0].startswith(b"\x30")


# --- the access code stays a secret -----------------------------------------------------------------


def test_access_code_is_in_no_repr() -> None:
    with talking() as (session, printer):
        shown = repr(session) + repr(printer.target()) + repr(session.__dict__)
    assert ACCESS_CODE not in shown


@pytest.mark.parametrize("answer", ["530 Login incorrect.", "421 Too many users.", "500 OOPS"])
def test_access_code_is_in_no_traceback(answer: str) -> None:
    error = opening(says(talk.VSFTPD), ask("USER bblp", "331 Password."), ask("PASS *", answer))
    assert ACCESS_CODE not in "".join(traceback.format_exception(error))


def test_access_code_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), talking(ask("DELE /x", "250 Done.")) as (session, _):
        session.delete("/x")
    assert ACCESS_CODE not in caplog.text


def test_access_code_with_a_line_break_is_not_sent() -> None:
    error = opening(says(talk.VSFTPD), ask("USER bblp", "331 Password."), access_code="1\r\nDELE /x")
    assert isinstance(error, InvalidName)


# --- listing --------------------------------------------------------------------------------------


def test_list_goes_into_the_folder_first_and_stays_bare() -> None:
    with talking(ask("CWD /cache", "250 Okay."), gives("LIST", b"one\r\ntwo\r\n")) as (session, _):
        assert session.list("/cache") == ["one", "two"]


def test_list_of_hidden_names_asks_for_them_where_the_family_has_that() -> None:
    with talking(ask("CWD /cache", "250 Okay."), gives("LIST -a", b"")) as (session, _):
        assert session.list("/cache", hidden=True) == []


def test_list_of_hidden_names_stays_bare_on_an_esp32() -> None:
    with scripted([*login(talk.ESP32), ask("CWD /", "250"), gives("LIST", b"")]) as printer:
        session = FtpsSession.open(printer.target(), CALM)
        session.list("/", hidden=True)
        session.close()


def test_missing_folder_is_refused() -> None:
    with talking(ask("CWD /nope", "550 Failed to change directory.")) as (session, _):
        with pytest.raises(CardRefused) as refused:
            session.list("/nope")
    assert refused.value.code == "550"


def test_session_is_of_use_after_a_refusal() -> None:
    with talking(ask("CWD /nope", "550 Failed."), ask("DELE /x", "250 Done.")) as (session, _):
        with pytest.raises(CardRefused):
            session.list("/nope")
        session.delete("/x")


def test_lines_may_end_without_carriage_return() -> None:
    with talking(ask("CWD /", "250"), gives("LIST", b"one\ntwo")) as (session, _):
        assert session.list("/") == ["one", "two"]


def test_name_in_a_listing_that_is_not_utf_8_keeps_its_bytes() -> None:
    with talking(ask("CWD /", "250"), gives("LIST", b"gr\xf6\xdfe \xe4\xbd\x93\r\n")) as (session, _):
        assert session.list("/") == ["gr\udcf6\udcdfe 体"]


def test_unicode_line_separator_ends_no_line() -> None:
    with talking(ask("CWD /", "250"), gives("LIST", "a\u2028b\x85c\x0bd\r\n".encode())) as (session, _):
        assert session.list("/") == ["a\u2028b\x85c\x0bd"]


def test_listing_that_breaks_off_is_an_error() -> None:
    with talking(ask("CWD /", "250"), gives("LIST", b"one\r\n", end="426 Failure writing network stream.")) as (
        session,
        _,
    ):
        with pytest.raises(ConnectionDropped):
            session.list("/")


# --- data connections -----------------------------------------------------------------------------


def test_data_connections_resume_the_session_of_the_control_connection() -> None:
    script = [ask("CWD /", "250"), gives("LIST", b""), gives("RETR /x", b"1"), takes("STOR /x")]
    script += [ask("SIZE /x", "213 1")]
    with talking(*script) as (session, printer):
        session.list("/")
        with_download = session.download("/x")
        with_download.read()
        with_download.finish()
        store(session, b"1")
    assert printer.reused == [True, True, True]


@pytest.mark.parametrize("address", ["0,0,0,0", "10,255,255,1"])
def test_address_in_the_pasv_reply_is_ignored(address: str) -> None:
    with talking(ask("CWD /", "250"), gives("LIST", b"one\r\n", address=address)) as (session, _):
        assert session.list("/") == ["one"]


def test_refused_data_connection_drops_the_connection() -> None:
    with talking(ask("CWD /", "250"), refuses_data()) as (session, _):
        with pytest.raises(ConnectionDropped):
            session.list("/")


def test_522_drops_the_connection() -> None:
    with talking(denies("STOR /x", "522 SSL connection failed: session reuse required"), hangs_up()) as (session, _):
        with pytest.raises(ConnectionDropped):
            store(session, b"1")


# --- downloading ----------------------------------------------------------------------------------


def everything(session: FtpsSession, path: str = "/x", offset: int = 0) -> bytes:
    """The whole of a download."""
    download = session.download(path, offset)
    content = b"".join(iter(download.read, b""))
    download.finish()
    return content


def test_file_is_fetched_whole() -> None:
    content = bytes(range(256)) * 2000
    with talking(gives("RETR /x", content)) as (session, _):
        assert everything(session) == content


def test_file_is_fetched_from_an_offset() -> None:
    with talking(gives("RETR /x", b"rest", rest=1000)) as (session, _):
        assert everything(session, offset=1000) == b"rest"


def test_451_after_the_whole_file_is_no_error() -> None:
    # ESP32 printers do this when the size is a multiple of their block.
    with talking(gives("RETR /x", b"x" * 1024, end="451"), ask("DELE /x", "250")) as (session, _):
        assert len(everything(session)) == 1024
        session.delete("/x")


def test_426_after_a_download_that_was_cut_short_leaves_the_session_of_use() -> None:
    script = [gives("RETR /x", b"x" * 5_000_000, end="426 Failure writing network stream."), ask("DELE /x", "250")]
    with talking(*script) as (session, _):
        download = session.download("/x")
        download.read(1000)
        download.finish()
        session.delete("/x")


def test_missing_file_is_refused() -> None:
    with talking(denies("RETR /x", "550 Failed to open file.")) as (session, _):
        with pytest.raises(CardRefused):
            session.download("/x")


def test_printer_without_rest_tells_so() -> None:
    def no_rest(conversation: talk.Talk) -> None:
        conversation.expect("PASV")
        with conversation.offer_data("0,0,0,0"):
            conversation.expect("REST 5")
            conversation.say("502")

    with talking(no_rest) as (session, _):
        with pytest.raises(NotSupported):
            session.download("/x", 5)


def test_download_that_stalls_ends_in_a_time_out() -> None:
    with talking(stalls("RETR /x", b"beginning"), timeouts=QUICK) as (session, _):
        download = session.download("/x")
        assert download.read() == b"beginning"
        with pytest.raises(PrinterTimeout):
            download.read()
        download.abandon()


def test_download_that_stalls_can_be_interrupted() -> None:
    with talking(stalls("RETR /x")) as (session, _):
        download = session.download("/x")
        with interrupts.watched(lambda: True), pytest.raises(Interrupted):
            download.read()
        download.abandon()


def test_printer_that_hangs_up_after_a_download_costs_the_session_only() -> None:
    with talking(gives("RETR /x", b"content", end=""), hangs_up()) as (session, _):
        assert everything(session) == b"content"
        assert session.has_hung_up()


# --- storing --------------------------------------------------------------------------------------


def test_file_is_stored_whole() -> None:
    content = bytes(range(256)) * 2000
    with talking(takes("STOR /x"), ask("SIZE /x", "213 512000")) as (session, printer):
        store(session, content)
    assert printer.received == [content]


def test_empty_file_is_stored() -> None:
    with talking(takes("STOR /x"), ask("SIZE /x", "213 0")) as (session, printer):
        store(session, b"")
    assert (printer.received, printer.close_notify) == ([b""], [True])


def test_end_of_an_upload_is_told_by_a_close_notify() -> None:
    with talking(takes("STOR /x"), ask("SIZE /x", "213 100000")) as (session, printer):
        store(session, b"x" * 100_000)
    assert printer.close_notify == [True]


def test_printer_that_never_closes_the_data_connection_is_not_waited_for() -> None:
    with talking(takes("STOR /x", closes=False), ask("SIZE /x", "213 1"), timeouts=QUICK) as (session, _):
        store(session, b"x")


def test_source_is_sent_from_where_it_stands() -> None:
    source = io.BytesIO(b"0123456789")
    source.seek(4)
    with talking(takes("STOR /x"), ask("SIZE /x", "213 6")) as (session, printer):
        session.store("/x", source, lambda sent: None)
    assert printer.received == [b"456789"]


def test_progress_is_told_to_the_last_byte() -> None:
    told: list[int] = []
    with talking(takes("STOR /x"), ask("SIZE /x", "213 200000")) as (session, _):
        session.store("/x", io.BytesIO(b"x" * 200_000), told.append)
    assert told == sorted(told)
    assert told[-1] == 200_000


def test_late_226_is_waited_for() -> None:
    with talking(takes("STOR /x", wait=1.0), ask("SIZE /x", "213 1"), timeouts=LATE) as (session, _):
        store(session, b"x")


def test_226_that_never_comes_ends_in_a_time_out() -> None:
    with talking(takes("STOR /x", end=""), falls_silent(), timeouts=QUICK) as (session, _):
        with pytest.raises(PrinterTimeout):
            store(session, b"x")


def test_426_after_all_bytes_is_an_error() -> None:
    # The size is compared by whoever stores; until then nobody knows whether they are on the card.
    with talking(takes("STOR /x", end="426 Failure reading network stream.")) as (session, printer):
        with pytest.raises(ConnectionDropped):
            store(session, b"x" * 1000)
    assert len(printer.received[0]) == 1000


@pytest.mark.parametrize("reply", ["552 Disk full.", "452 Insufficient storage space.", "451"])
def test_card_that_fills_up_is_told(reply: str) -> None:
    with talking(takes("STOR /x", end=reply, at_most=100_000)) as (session, _):
        with pytest.raises(CardFull):
            store(session, b"x" * 20_000_000)


def test_name_that_the_card_cannot_store_is_refused() -> None:
    with talking(denies("STOR /a:b", "553 Could not create file.")) as (session, _):
        with pytest.raises(CardRefused) as refused:
            store(session, b"x", "/a:b")
    assert refused.value.code == "553"


def test_upload_that_stalls_ends_in_a_time_out() -> None:
    with talking(stalls("STOR /x"), timeouts=QUICK) as (session, _):
        with pytest.raises(PrinterTimeout):
            store(session, b"x" * 20_000_000)


def test_upload_that_stalls_can_be_interrupted() -> None:
    with talking(stalls("STOR /x")) as (session, _):
        with interrupts.watched(lambda: True), pytest.raises(Interrupted):
            store(session, b"x" * 20_000_000)


def test_wait_for_the_226_can_be_interrupted() -> None:
    with talking(takes("STOR /x", end=""), falls_silent()) as (session, _):
        with interrupts.watched(lambda: True), pytest.raises(Interrupted):
            store(session, b"x")


def test_error_of_the_local_disk_is_no_error_of_the_printer() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ValueError("I/O operation on closed file")

    with talking(takes("STOR /x", end=""), timeouts=QUICK) as (session, _):
        with pytest.raises(OSError, match=r"closed file|lost"):
            session.store("/x", Broken(), lambda sent: None)


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "act"),
    [
        ("DELE /a b.3mf", lambda session: session.delete("/a b.3mf")),
        ("MKD /new", lambda session: session.make_folder("/new")),
        ("MDTM 20090213233131 /x", lambda session: session.set_time("/x", 1234567891)),
        ("DELE / leading", lambda session: session.delete("/ leading")),
        ("DELE /-rf", lambda session: session.delete("/-rf")),
        ("DELE /größe 体积", lambda session: session.delete("/größe 体积")),
        ("DELE /*", lambda session: session.delete("/\udcff")),
    ],
)
def test_command_goes_out_as(command: str, act: Callable[[FtpsSession], None]) -> None:
    with talking(ask(command, "250 Done.")) as (session, _):
        act(session)


def test_name_that_is_not_utf_8_goes_out_as_it_came_in() -> None:
    with talking(ask("DELE *", "250 Done.")) as (session, printer):
        session.delete("/gr\udcf6\udcdfe")
    assert printer.raw_lines[-1] == b"DELE /gr\xf6\xdfe\r"


def test_folder_made_with_250_is_made() -> None:
    with talking(ask("MKD /new", "250")) as (session, _):
        session.make_folder("/new")


def test_size_is_read() -> None:
    with talking(ask("SIZE /x", "213 5368709120")) as (session, _):
        assert session.size("/x") == 5 * 2**30


def test_size_that_is_no_number_drops_the_connection() -> None:
    with talking(ask("SIZE /x", "213 many")) as (session, _):
        with pytest.raises(ConnectionDropped):
            session.size("/x")


def test_rename_is_two_commands() -> None:
    with talking(ask("RNFR /old", "350 Ready."), ask("RNTO /new", "250 Done.")) as (session, _):
        session.rename("/old", "/new")


def test_rename_of_a_missing_file_names_it() -> None:
    script = [ask("RNFR /old", "550 RNFR command failed."), ask("RNTO /new", "503 RNFR required first.")]
    with talking(*script, ask("NOOP", "200 Okay."), pipelines=True) as (session, _):
        with pytest.raises(CardRefused) as refused:
            session.rename("/old", "/new")
        assert session.answers()
    assert refused.value.path == "/old"


def test_rename_of_a_missing_file_goes_no_further_on_an_esp32() -> None:
    with scripted([*login(talk.ESP32), ask("RNFR /old", "550")]) as printer:
        session = FtpsSession.open(printer.target(), CALM)
        with pytest.raises(CardRefused) as refused:
            session.rename("/old", "/new")
        session.close()
    assert refused.value.path == "/old"


def test_rename_asks_one_thing_at_a_time_of_an_esp32() -> None:
    heard_early: list[bool] = []

    def answer_late(conversation: talk.Talk) -> None:
        conversation.expect("RNFR /old")
        heard_early.append(bool(conversation.sock.pending()))
        conversation.say("350")

    with scripted([*login(talk.ESP32), answer_late, ask("RNTO /new", "250")]) as printer:
        session = FtpsSession.open(printer.target(), CALM)
        session.rename("/old", "/new")
        session.close()
    assert heard_early == [False]


def test_refused_new_name_is_named() -> None:
    with talking(ask("RNFR /old", "350 Ready."), ask("RNTO /new", "550 Failed.")) as (session, _):
        with pytest.raises(CardRefused) as refused:
            session.rename("/old", "/new")
    assert refused.value.path == "/new"


def test_folder_is_left_before_it_is_removed() -> None:
    with talking(ask("CWD /", "250"), ask("RMD /d", "250")) as (session, _):
        session.remove_folder("/d")


@pytest.mark.parametrize("pipelines", [False, True])
@pytest.mark.parametrize(("reply", "is_folder"), [("250 Okay.", True), ("550 Failed.", False)])
def test_folder_is_told_from_a_file(pipelines: bool, reply: str, is_folder: bool) -> None:
    with talking(ask("CWD /x", reply), ask("CWD /", "250 Okay."), pipelines=pipelines) as (session, _):
        assert session.is_folder("/x") is is_folder


def test_times_are_asked_for_all_at_once() -> None:
    script = [
        ask("MDTM /a", ""),
        ask("MDTM /b", ""),
        says("213 20090213233131"),
        says("550 Could not get file modification time."),
    ]
    with talking(*script, pipelines=True) as (session, _):
        assert session.modified(["/a", "/b"]) == (1234567891, None)


def test_time_that_is_no_time_is_not_told() -> None:
    with talking(ask("MDTM /a", "213 yesterday")) as (session, _):
        assert session.modified(["/a"]) == (None,)


def test_stray_reply_of_several_lines_is_read_whole() -> None:
    with talking(ask("DELE /x", "250-Done.\r\n and well\r\n250 Really."), ask("DELE /y", "250")) as (session, _):
        session.delete("/x")
        session.delete("/y")


@pytest.mark.parametrize("character", ["\r", "\n", "\0"])
@pytest.mark.parametrize(
    "act",
    [
        lambda session, path: session.delete(path),
        lambda session, path: session.list(path),
        lambda session, path: session.download(path),
        lambda session, path: session.store(path, io.BytesIO(), lambda sent: None),
        lambda session, path: session.rename("/x", path),
        lambda session, path: session.rename(path, "/x"),
        lambda session, path: session.size(path),
        lambda session, path: session.modified([path]),
        lambda session, path: session.set_time(path, 0),
        lambda session, path: session.make_folder(path),
        lambda session, path: session.remove_folder(path),
    ],
)
def test_line_break_never_reaches_the_printer(act: Callable[[FtpsSession, str], None], character: str) -> None:
    def anything(conversation: talk.Talk) -> None:
        """Answer whatever comes so that the client would go on."""
        listener = None
        while (heard := conversation.hear()) is not None:
            if heard == "PASV":
                listener = conversation.offer_data("127,0,0,1")
            else:
                conversation.say("350 Go on." if heard.startswith("RNFR") else "250 Done.")
        if listener:
            listener.close()

    with talking(anything) as (session, printer):
        with pytest.raises(InvalidName):
            act(session, f"/a{character}DELE /b")
    assert not [line for line in printer.raw_lines if b"DELE /b" in line]


# --- silence and loss -------------------------------------------------------------------------------


def test_command_that_is_not_answered_ends_in_a_time_out() -> None:
    with talking(ask("DELE /x", ""), timeouts=QUICK) as (session, _):
        with pytest.raises(PrinterTimeout):
            session.delete("/x")


def test_command_that_is_not_answered_can_be_interrupted() -> None:
    with talking(ask("DELE /x", ""), timeouts=Timeouts(reply=1.0)) as (session, _):
        with interrupts.watched(lambda: True), pytest.raises(Interrupted):
            session.delete("/x")


def test_greeting_that_does_not_come_can_be_waited_for_no_longer_than_the_user_wants() -> None:
    with scripted([falls_silent()]) as printer:
        with interrupts.watched(lambda: True), pytest.raises(Interrupted):
            FtpsSession.open(printer.target(), Timeouts(greet=1.0))


def test_printer_that_hangs_up_on_a_command_dropped_the_connection() -> None:
    with talking(ask("DELE /x", ""), hangs_up()) as (session, _):
        with pytest.raises(ConnectionDropped):
            session.delete("/x")


def test_answer_of_another_kind_drops_the_connection() -> None:
    with talking(ask("DELE /x", "150 Here it comes.")) as (session, _):
        with pytest.raises(ConnectionDropped):
            session.delete("/x")


def test_goodbye_is_no_answer() -> None:
    """Of a printer whose patience with a session at rest has just ended: nothing was deleted."""
    with talking(ask("DELE /x", "221 Goodbye."), hangs_up()) as (session, _):
        with pytest.raises(ConnectionDropped):
            session.delete("/x")


def test_junk_for_an_answer_drops_the_connection() -> None:
    with talking(ask("DELE /x", "what?")) as (session, _):
        with pytest.raises(ConnectionDropped):
            session.delete("/x")


def test_session_at_rest_has_not_hung_up() -> None:
    with talking() as (session, _):
        assert not session.has_hung_up()


@pytest.mark.parametrize("end", [says("421 Timeout."), hangs_up()], ids=["421", "the end"])
def test_session_that_the_printer_ended_is_told_without_asking(end: Step) -> None:
    told = threading.Event()

    def tell(conversation: talk.Talk) -> None:
        end(conversation)
        told.set()

    with talking(tell) as (session, printer):
        assert told.wait(5)
        deadline = time.monotonic() + 5
        while not session.has_hung_up() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert session.has_hung_up()
    assert "NOOP" not in printer.commands


def test_closed_session_has_hung_up() -> None:
    with talking() as (session, _):
        session.close()
        assert session.has_hung_up()


def test_living_session_answers() -> None:
    with talking(ask("NOOP", "200 Okay.")) as (session, _):
        assert session.answers()


def test_session_at_rest_is_asked_with_little_patience_also_after_a_long_transfer() -> None:
    times = Timeouts(connect=1.0, reply=9.0)
    with talking(ask("NOOP", "200 Okay."), timeouts=times) as (session, _):
        session.be_patient(long=True)
        assert session.answers()
        assert session._ftp.lost_after == times.connect


@pytest.mark.parametrize("script", [[ask("NOOP", "")], [ask("NOOP", ""), hangs_up()], [ask("NOOP", "421 Bye.")]])
def test_dead_session_does_not_answer(script: list[Step]) -> None:
    with talking(*script, timeouts=QUICK) as (session, _):
        assert not session.answers()


def test_good_bye_is_said_and_not_waited_for() -> None:
    with talking(ask("QUIT", ""), timeouts=CALM) as (session, _):
        session.quit()


def test_good_bye_to_a_printer_that_is_gone_does_no_harm() -> None:
    with talking(hangs_up()) as (session, _):
        wait_until(session.has_hung_up, "the printer to hang up")
        session.quit()
        session.quit()
