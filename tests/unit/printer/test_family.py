"""Where a listing ends."""

from __future__ import annotations

import pytest

from bambufs.printer.family import ESP32, VSFTPD, Family


@pytest.mark.parametrize(
    ("family", "listing", "may_be_whole"),
    [
        (VSFTPD, b"one\r\ntwo\r\n", False),
        (VSFTPD, b"", False),
        (ESP32, b"one\r\ntwo\r\n", True),
        (ESP32, b"", True),
        (ESP32, b"one\r\ntw", False),
    ],
)
def test_listing_without_a_goodbye(family: Family, listing: bytes, may_be_whole: bool) -> None:
    assert family.may_have_listed(listing) is may_be_whole
