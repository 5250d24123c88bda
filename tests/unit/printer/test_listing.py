"""LIST lines of both server families."""

from __future__ import annotations

from calendar import timegm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bambufs.printer.entry import Entry
from bambufs.printer.listing import DAY, MINUTE, parse_list

VSFTPD_LINE = "-rwxr-xr-x    1 103      107        921589 Apr 13 16:56 Cat_Toy.gcode.3mf"
ESP32_LINE = "-rw-rw-rw-   1 root  root    92763 Jun 13  2025 a.gcode.3mf"


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """Seconds since the epoch of a time in UTC."""
    return timegm((year, month, day, hour, minute, 0))


NOW = at(2026, 4, 20, 12)


def parsed(line: str, now: float = NOW) -> Entry:
    """The one entry of ``line``."""
    entries = parse_list([line], now)
    assert len(entries) == 1, f"not understood: {line!r}"
    return entries[0]


def odd(line: str) -> list[str]:
    """What is reported as odd of a listing with ``line`` between two good ones, which must be read all the same."""
    reported: list[str] = []
    entries = parse_list([VSFTPD_LINE, line, ESP32_LINE], NOW, reported.append)
    assert [entry.name for entry in entries] == ["Cat_Toy.gcode.3mf", "a.gcode.3mf"]
    return reported


def mtime(date: str, now: float = NOW) -> int:
    """What ``date`` means in a line listed at ``now``."""
    return parsed(f"-rw-rw-rw- 1 root root 5 {date} x", now).mtime


def name_of(name: str) -> str:
    """The name read from a line with ``name`` in it."""
    return parsed(f"-rw-rw-rw-   1 root  root    92763 Jun 13  2025 {name}").name


# --- both forms -----------------------------------------------------------------------------------


def test_line_of_vsftpd_is_read_whole() -> None:
    assert parsed(VSFTPD_LINE) == Entry("Cat_Toy.gcode.3mf", False, 921589, at(2026, 4, 13, 16, 56), MINUTE)


def test_line_of_esp32_is_read_whole() -> None:
    assert parsed(ESP32_LINE) == Entry("a.gcode.3mf", False, 92763, at(2025, 6, 13), DAY)


def test_folder_has_no_size_of_its_own() -> None:
    assert parsed("drwxr-xr-x    2 103      107         65536 Apr 20 19:11 cache")[1:3] == (True, 0)


def test_order_of_the_printer_is_kept() -> None:
    lines = [f"-rw-rw-rw- 1 root root 5 Jun 13  2025 {name}" for name in ("zebra", "apple", "mango")]
    assert [entry.name for entry in parse_list(lines, NOW)] == ["zebra", "apple", "mango"]


def test_day_of_one_digit_is_padded_by_a_blank() -> None:
    assert mtime("Apr  3 09:05") == at(2026, 4, 3, 9, 5)


def test_file_of_more_than_four_gigabytes_keeps_its_size() -> None:
    assert parsed("-rw-r--r-- 1 1000 1000 5368709120 Jun 13  2025 big.mp4").size == 5 * 2**30


def test_setuid_and_sticky_bits_do_not_disturb() -> None:
    assert parsed("drwxrwxrwt    2 0        0            4096 Apr 20 19:11 tmp").is_dir


def test_mark_of_an_access_list_does_not_disturb() -> None:
    assert parsed("-rw-r--r--+   1 103      107             5 Apr 13 16:56 x").name == "x"


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        " leading blank",
        "   three leading blanks",
        "trailing blank ",
        "double  blank   inside",
        " ",
        "a -> b.3mf",
        "-rf",
        "- 1 root root 5 Jun 13  2025 x",
        "Jun 13 10:00 x",
        "größe 体积 🖨.3mf",
        "not utf-8 \udcff\udce4.3mf",
        "tab\tinside",
        "vertical\x0btab",
        "next\x85line",
        "line\u2028separator",
        "...",
        "..hidden",
        ".hidden",
        "back\\slash",
        "12345",
        "total 5",
    ],
)
def test_name_is_taken_as_it_stands(name: str) -> None:
    assert name_of(name) == name


@given(
    st.text(st.characters(exclude_characters="\r\n/\0"), min_size=1).filter(lambda name: name not in (".", ".."))
)
def test_any_name_without_line_breaks_survives(name: str) -> None:
    assert name_of(name) == name


@given(st.binary(min_size=1).filter(lambda raw: not set(raw) & set(b"\r\n/\0") and raw not in (b".", b"..")))
def test_any_bytes_without_line_breaks_survive(raw: bytes) -> None:
    assert name_of(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape") == raw


# --- dates ----------------------------------------------------------------------------------------


def test_recent_date_is_of_this_year() -> None:
    assert mtime("Feb 17 10:00") == at(2026, 2, 17, 10)


def test_december_listed_in_january_is_of_last_year() -> None:
    assert mtime("Dec 31 23:59", at(2026, 1, 1, 0, 0)) == at(2025, 12, 31, 23, 59)


def test_january_listed_on_new_years_eve_is_of_next_year() -> None:
    # A printer whose clock is some hours ahead, or whose zone is east of Greenwich.
    assert mtime("Jan  1 03:00", at(2025, 12, 31, 20)) == at(2026, 1, 1, 3)


def test_same_minute_at_new_year_is_now() -> None:
    assert mtime("Jan  1 00:00", at(2026, 1, 1, 0, 0)) == at(2026, 1, 1)


@pytest.mark.parametrize("year", range(2020, 2033))
def test_new_years_eve_is_a_day_ago_in_every_year(year: int) -> None:
    assert mtime("Dec 31 12:00", at(year, 1, 1, 12)) == at(year - 1, 12, 31, 12)


def test_date_some_days_ahead_is_not_a_year_ago() -> None:
    # A P1S was seen 6.5 days off; ESP32 printers list future times without a year.
    assert mtime("Apr 27 00:00") == at(2026, 4, 27)


def test_half_a_year_ago_is_not_half_a_year_ahead() -> None:
    assert mtime("Oct 22 12:00") == at(2025, 10, 22, 12)


def test_leap_day_without_a_year_is_found() -> None:
    assert mtime("Feb 29 08:30", at(2024, 3, 5)) == at(2024, 2, 29, 8, 30)


def test_leap_day_with_a_year_is_found() -> None:
    assert mtime("Feb 29  2024") == at(2024, 2, 29)


def test_leap_day_listed_in_a_year_without_one_is_of_the_last_leap_year() -> None:
    assert mtime("Feb 29 08:30", at(2025, 1, 10)) == at(2024, 2, 29, 8, 30)


def test_year_form_may_lie_in_the_future() -> None:
    assert mtime("Jun 13  2031") == at(2031, 6, 13)


def test_time_form_is_exact_to_the_minute() -> None:
    assert parsed("-rw-rw-rw- 1 root root 5 Apr 13 16:56 x").resolution == 60


def test_year_form_is_exact_to_the_day() -> None:
    assert parsed("-rw-rw-rw- 1 root root 5 Apr 13  2025 x").resolution == 86400


def test_august_may_be_written_ago() -> None:
    assert mtime("Ago  9  2025") == at(2025, 8, 9)


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month_is_known(month: int) -> None:
    names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    assert mtime(f"{names[month - 1]}  1  2025") == at(2025, month, 1)


# --- what is not shown ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "junk",
        "-rw-rw-rw-   1 root  root    92763 Jun 13  2025 ",
        "-rw-rw-rw-   1 root  root    92763 Jun 13  2025",
        "-rw-rw-rw-   1 root  root    x Jun 13  2025 name",
        "-rw-rw-rw-   1 root  root    5 Foo 13  2025 name",
        "-rw-rw-rw-   1 root  root    5 Jun 32  2025 name",
        "-rw-rw-rw-   1 root  root    5 Jun  0  2025 name",
        "-rw-rw-rw-   1 root  root    5 Jun 13 24:00 name",
        "-rw-rw-rw-   1 root  root    5 Jun 13 10:60 name",
        "-rw-rw-rw-   1 root  root   -5 Jun 13  2025 name",
        "rw-rw-rw-   1 root  root    5 Jun 13  2025 name",
        "brw-rw-rw-   1 root  root    5 Jun 13  2025 device",
        "prw-rw-rw-   1 root  root    5 Jun 13  2025 pipe",
        "-rw-rw-rw-   1 root  root    5 Jun 13  2025 with/slash",
        "-rw-rw-rw-   1 root  root    5 Jun 13  2025 /",
        "-rw-rw-rw-   1 root  root    5 Jun 13  2025 with\0nul",
        "-rw-rw-rw-   1 root  root    5 Jun 13  2025 with\rreturn",
        "-rw-rw-rw-   1 root  root    5 Jun 13  2025 " + "x" * 1025,
        "-rw-rw-rw-   1 root  root    5 Jun 13  2025 " + "\u00e4" * 513,
        f"-rw-rw-rw-   1 root  root    {10**16} Jun 13  2025 larger than any card",
        f"-rw-rw-rw-   1 root  root    {'9' * 5000} Jun 13  2025 name",
        "-rw-rw-rw-   1 root  root    \u0665 Jun 13  2025 other digits",
        "lrwxrwxrwx    1 0        0               5 Apr 13 16:56 link -> target",
        "02-08-23  02:27PM       <DIR>          windows",
        "550 No such file or directory",
    ],
)
def test_wrong_line_is_reported_and_left_out(line: str) -> None:
    assert odd(line) == [line]


def test_longest_name_that_the_kernel_takes_is_shown() -> None:
    assert name_of("\u00e4" * 512) == "\u00e4" * 512


@pytest.mark.parametrize(
    "date",
    [
        "Jun 13  0000",
        "Feb 30  2025",
        "Feb 31 10:00",
    ],
)
def test_date_that_no_calendar_has_is_reported(date: str) -> None:
    line = f"-rw-rw-rw-   1 root  root    5 {date} name"
    assert odd(line) == [line]


@pytest.mark.parametrize("name", [".", ".."])
def test_folder_itself_and_its_parent_are_left_out_in_silence(name: str) -> None:
    assert odd(f"drwxr-xr-x    2 103      107          4096 Apr 20 19:11 {name}") == []


@pytest.mark.parametrize("line", ["", "total 12"])
def test_line_that_lists_nothing_is_left_out_in_silence(line: str) -> None:
    assert odd(line) == []


def test_empty_listing_has_no_entries() -> None:
    assert parse_list([], NOW) == []


@given(st.text())
def test_no_line_whatever_raises(line: str) -> None:
    parse_list([line], NOW)
