"""What is in force for one mount."""

from __future__ import annotations

from pathlib import Path

import pytest

from bambufs.config import Config, default_cache_dir, parse_size
from bambufs.errors import UsageError

CODE = "47281593"


def config(**values: object) -> Config:
    """A config that is good but for ``values``."""
    return Config(**{"host": "192.168.1.50", "access_code": CODE, "cache_dir": Path("/cache")} | values)  # type: ignore[arg-type]


# --- values ---------------------------------------------------------------------------------------


def test_defaults_are_good() -> None:
    assert config().ftps_port == 990


def test_access_code_is_in_no_repr() -> None:
    assert CODE not in repr(config())


@pytest.mark.parametrize("host", ["192.168.1.50", "printer.local", "fe80::1%eth0", "my_printer-1"])
def test_host_is_taken(host: str) -> None:
    assert config(host=host).host == host


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", ""),
        ("host", "a b"),
        ("host", "ftp://printer"),
        ("host", "printer\n"),
        ("access_code", ""),
        ("access_code", "1234\r\n"),
        ("access_code", "1234\u00e9"),
        ("ftps_port", 0),
        ("ftps_port", 65536),
        ("mqtt_port", -1),
        ("tls_trust", "maybe"),
        ("serial", "01P00A../etc"),
        ("serial", ""),
        ("ttl", -1.0),
        ("ttl", float("nan")),
        ("ttl", float("inf")),
        ("card_size", 0),
        ("max_sessions", 0),
        ("max_sessions", 17),
    ],
)
def test_value_is_refused_in_a_sentence(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=r"\w+ \w+") as refused:
        config(**{name: value})
    assert refused.value.exit_code == 2


def test_trust_by_an_authority_needs_its_certificates() -> None:
    with pytest.raises(UsageError, match="tls_ca"):
        config(tls_trust="ca", serial="01P00A000000001")


def test_trust_by_an_authority_needs_the_serial() -> None:
    with pytest.raises(UsageError, match="serial"):
        config(tls_trust="ca", tls_ca=Path("ca.pem"))


def test_certificate_is_remembered_under_the_serial() -> None:
    assert config(serial="01P00A000000001").trust_key == "01P00A000000001"


def test_certificate_is_remembered_under_the_address_without_a_serial() -> None:
    assert config(ftps_port=9990).trust_key == "192.168.1.50:9990"


def test_folder_of_a_printer_stays_below_the_cache() -> None:
    assert config(host="fe80::1%eth0").printer_dir == Path("/cache/fe80__1_eth0_990")


def test_two_printers_have_two_folders() -> None:
    assert config().printer_dir != config(host="192.168.1.51").printer_dir


# --- the cache --------------------------------------------------------------------------------------


def test_cache_lies_where_the_desktop_says() -> None:
    assert default_cache_dir({"XDG_CACHE_HOME": "/big", "HOME": "/home/me"}) == Path("/big/bambufs")


def test_cache_lies_in_the_home() -> None:
    assert default_cache_dir({"HOME": "/home/me"}) == Path("/home/me/.cache/bambufs")


def test_cache_of_a_service_without_a_home_lies_under_var() -> None:
    assert default_cache_dir({}) == Path("/var/lib/bambufs")


# --- sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32G", 32 * 10**9),
        ("64GB", 64 * 10**9),
        ("64 GB", 64 * 10**9),
        ("500M", 500 * 10**6),
        ("1.5T", 1500 * 10**9),
        ("8k", 8000),
        ("32GiB", 32 * 10**9),
        ("123", 123),
        ("0", 0),
    ],
)
def test_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "1,5G", "lots", "1e9", "0x10", "nan", "inf", "32 G B", "9" * 400])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)
