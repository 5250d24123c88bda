"""The errors that bambufs raises on purpose."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from bambufs import errors
from bambufs.errors import CardRefused, PrinterError, PrinterUnreachable, again, os_error


def printer_errors(base: type[PrinterError] = PrinterError) -> Iterator[type[PrinterError]]:
    """Yield every kind of `PrinterError`."""
    yield base
    for kind in base.__subclasses__():
        yield from printer_errors(kind)


KINDS = sorted(set(printer_errors()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_errno_is_a_true_one(kind: type[PrinterError]) -> None:
    assert kind("what happened").errno in errno.errorcode


@pytest.mark.parametrize("kind", KINDS)
def test_errno_is_no_reply_code(kind: type[PrinterError]) -> None:
    assert (kind("what happened").errno or 0) < 200


@pytest.mark.parametrize("kind", KINDS)
def test_sentence_is_the_text(kind: type[PrinterError]) -> None:
    assert str(kind("what happened")) == "what happened"


@pytest.mark.parametrize("kind", KINDS)
def test_path_comes_first_in_the_text(kind: type[PrinterError]) -> None:
    assert str(kind("what happened", "/x.3mf")) == "/x.3mf: what happened"


@pytest.mark.parametrize("kind", KINDS)
def test_class_itself_is_kept(kind: type[PrinterError]) -> None:
    # OSError(number, text) turns into another class for some numbers; these must not.
    assert type(kind("what happened")) is kind


@pytest.mark.parametrize("kind", KINDS)
def test_session_is_not_reused_after_what_the_printer_did_not_answer(kind: type[PrinterError]) -> None:
    assert not (kind.answered and kind.away)


@pytest.mark.parametrize("kind", KINDS)
def test_again_is_the_same_error_as_a_new_object(kind: type[PrinterError]) -> None:
    error = kind("what happened", "/x")
    fresh = again(error)
    assert fresh is not error
    assert (type(fresh), str(fresh), fresh.errno) == (type(error), str(error), error.errno)


def test_again_keeps_the_reply() -> None:
    fresh = again(CardRefused("no", "/x", "550 Failed."))
    assert isinstance(fresh, CardRefused)
    assert fresh.reply == "550 Failed."


def test_again_has_no_traceback_of_the_first() -> None:
    with pytest.raises(PrinterUnreachable) as caught:
        raise PrinterUnreachable("away")
    assert again(caught.value).__traceback__ is None


def test_again_of_a_plain_error_keeps_class_and_path() -> None:
    fresh = again(FileNotFoundError(errno.ENOENT, "gone", "/x"))
    assert isinstance(fresh, FileNotFoundError)
    assert fresh.filename == "/x"


def test_os_error_is_of_pythons_own_class() -> None:
    assert isinstance(os_error(errno.EISDIR, "/x"), IsADirectoryError)


def test_code_is_the_start_of_the_reply() -> None:
    assert CardRefused("no", "/x", "550 Failed.").code == "550"


def test_code_is_empty_without_a_reply() -> None:
    assert CardRefused("no").code == ""


def test_usage_error_is_wrong_usage_unless_told_otherwise() -> None:
    assert errors.UsageError("no").exit_code == 2
