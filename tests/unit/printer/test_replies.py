"""What reply codes and network failures mean."""

from __future__ import annotations

import errno
import ftplib
import socket
import ssl

import pytest

from bambufs.errors import (
    CardFull,
    CardRefused,
    CertificateRefused,
    ConnectionDropped,
    DataRefused,
    Interrupted,
    LoginRefused,
    NotSupported,
    PrinterBusy,
    PrinterError,
    PrinterSilent,
    PrinterTimeout,
    PrinterUnreachable,
)
from bambufs.printer.replies import connecting, translating
from tests.unit.test_errors import KINDS

MISSING = "550 Failed to open file."


def translated(raised: BaseException, path: str | None = "/x.3mf", *, storing: bool = False) -> PrinterError:
    """What becomes of an error inside `translating`."""
    with pytest.raises(PrinterError) as caught, translating(path, storing=storing):
        raise raised
    return caught.value


def at_door(raised: BaseException, *, reached: bool = False) -> PrinterError:
    """What becomes of an error inside `connecting`."""
    with pytest.raises(PrinterError) as caught, connecting("192.168.1.50", 990, reached=reached):
        raise raised
    return caught.value


def answer(reply: str) -> ftplib.Error:
    """What ftplib raises for ``reply``."""
    kinds = {"4": ftplib.error_temp, "5": ftplib.error_perm}
    return kinds.get(reply[:1], ftplib.error_reply)(reply)


def tls(kind: type[ssl.SSLError], reason: str | None) -> ssl.SSLError:
    """An error of TLS with what OpenSSL would tell about it."""
    error = kind(1, f"[SSL: {reason}] (_ssl.c:1)")
    error.reason = reason  # type: ignore[assignment]
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate in certificate chain"
    return error


# --- replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("530 Please login with USER and PASS.", LoginRefused),
        ("452 Insufficient storage space.", CardFull),
        ("552 Disk full.", CardFull),
        ("421 Timeout.", ConnectionDropped),
        ("425 Failed to establish connection.", DataRefused),
        ("426 Failure reading network stream.", ConnectionDropped),
        ("522 SSL connection failed: session reuse required", ConnectionDropped),
        ("500 Unknown command.", NotSupported),
        ("501 Bad argument.", NotSupported),
        ("502 no-features", NotSupported),
        ("504 Not for that parameter.", NotSupported),
        ("550 Failed to open file.", CardRefused),
        ("553 Could not create file.", CardRefused),
        ("450 Busy.", CardRefused),
        ("451 Local error.", CardRefused),
        ("551 Page type unknown.", CardRefused),
        ("532 Need account.", CardRefused),
        ("226 Transfer complete.", ConnectionDropped),
        ("150 Ok to send data.", ConnectionDropped),
        ("350 Ready for RNTO.", ConnectionDropped),
    ],
)
def test_reply_becomes(reply: str, kind: type[PrinterError]) -> None:
    assert type(translated(answer(reply))) is kind


def test_451_while_storing_means_a_full_card() -> None:
    assert type(translated(answer("451 Failure writing."), storing=True)) is CardFull


def test_full_card_is_told_by_enospc() -> None:
    assert translated(answer("552 Disk full.")).errno == errno.ENOSPC


@pytest.mark.parametrize("code", range(400, 600))
@pytest.mark.parametrize("storing", [False, True])
def test_no_code_becomes_an_errno(code: int, storing: bool) -> None:
    error = translated(answer(f"{code} x"), storing=storing)
    assert error.errno in errno.errorcode
    assert error.errno != code


@pytest.mark.parametrize("code", [400, 450, 500, 530, 550, 553])
def test_refusal_names_the_file(code: int) -> None:
    assert str(translated(answer(f"{code} x"))).startswith("/x.3mf: ")


def test_refusal_keeps_the_reply() -> None:
    error = translated(answer(MISSING))
    assert isinstance(error, CardRefused)
    assert error.reply == MISSING


def test_refused_session_is_still_in_step() -> None:
    assert translated(answer(MISSING)).answered


@pytest.mark.parametrize("reply", ["421 Timeout.", "426 Failure.", "522 reuse required", "226 Late.", "530 Login."])
def test_session_is_out_of_step_after(reply: str) -> None:
    assert not translated(answer(reply)).answered


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (TimeoutError("timed out"), PrinterTimeout),
        (socket.timeout("timed out"), PrinterTimeout),  # noqa: UP041
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), PrinterUnreachable),  # by the kernel
        (EOFError(), ConnectionDropped),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), ConnectionDropped),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), ConnectionDropped),
        (OSError(errno.EHOSTUNREACH, "No route to host"), PrinterUnreachable),
        (tls(ssl.SSLError, "TLSV1_ALERT_DECODE_ERROR"), ConnectionDropped),
        (tls(ssl.SSLEOFError, "UNEXPECTED_EOF_WHILE_READING"), ConnectionDropped),
        (tls(ssl.SSLZeroReturnError, None), ConnectionDropped),
        (ftplib.error_proto("what"), ConnectionDropped),
        (ftplib.Error("got more than 65536 bytes"), ConnectionDropped),
        (ValueError("invalid literal for int()"), ConnectionDropped),
        (AttributeError("x"), AttributeError),
    ],
)
def test_failure_becomes(raised: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, translating("/x"):
        raise raised
    assert type(caught.value) is kind


def test_cause_is_kept() -> None:
    cause = EOFError()
    assert translated(cause).__cause__ is cause


def test_lost_connection_means_that_the_printer_is_away() -> None:
    assert translated(EOFError()).away


def test_message_is_free_of_pythons_jargon() -> None:
    assert "EOFError" not in str(translated(EOFError()))


@pytest.mark.parametrize("kind", KINDS)
def test_printer_error_passes_unchanged(kind: type[PrinterError]) -> None:
    error = kind("what happened")
    assert translated(error) is error


def test_interrupt_passes_unchanged_at_the_door() -> None:
    error = Interrupted("interrupted")
    assert at_door(error) is error


# --- at the door ----------------------------------------------------------------------------------


def wrong_version() -> ssl.SSLError:
    """What OpenSSL says when plain text comes where TLS is due."""
    left, right = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with left, right:
        right.sendall(b"421 There are too many connected users, please try later.\r\n")
        try:
            context.wrap_socket(left)
        except ssl.SSLError as error:
            return error
    raise AssertionError("that was no plain text")


@pytest.mark.parametrize(
    ("raised", "reached", "kind"),
    [
        (socket.gaierror(-2, "Name or service not known"), False, PrinterUnreachable),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), False, PrinterUnreachable),
        (OSError(errno.EHOSTUNREACH, "No route to host"), False, PrinterUnreachable),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), False, PrinterUnreachable),
        (TimeoutError("timed out"), False, PrinterUnreachable),
        (TimeoutError("_ssl.c: The handshake operation timed out"), True, PrinterSilent),
        (answer("530 Login incorrect."), True, LoginRefused),
        (answer("421 Too many users."), True, PrinterBusy),
        (answer("500 OOPS: child died"), True, ConnectionDropped),
        (answer("332 Need account"), True, ConnectionDropped),
        (EOFError(), True, ConnectionDropped),
        (tls(ssl.SSLEOFError, "UNEXPECTED_EOF_WHILE_READING"), True, ConnectionDropped),
        (wrong_version(), True, PrinterBusy),
        (tls(ssl.SSLCertVerificationError, "CERTIFICATE_VERIFY_FAILED"), True, CertificateRefused),
    ],
)
def test_at_the_door_becomes(raised: Exception, reached: bool, kind: type[PrinterError]) -> None:
    assert type(at_door(raised, reached=reached)) is kind


def test_wrong_code_tells_where_the_code_stands() -> None:
    assert "screen" in str(at_door(answer("530 Login incorrect."), reached=True))


def test_unreachable_printer_is_named() -> None:
    assert "192.168.1.50" in str(at_door(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")))
