"""The options behind -o."""

from __future__ import annotations

from pathlib import Path

import pytest

from bambufs.cli.options import parse_options
from bambufs.config.file import Chosen
from bambufs.errors import UsageError


def test_nothing_chooses_nothing() -> None:
    assert parse_options([]) == {}


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("ro", "read_only", True),
        ("rw", "read_only", False),
        ("retry", "retry", True),
        ("careful", "careful", True),
        ("allow_other", "allow_other", True),
        ("nonempty", "nonempty", True),
        ("uid=1000", "uid", 1000),
        ("gid=100", "gid", 100),
        ("umask=077", "umask", 0o077),
        ("sessions=2", "sessions", 2),
        ("cache_size=500M", "cache_size", 500 * 10**6),
        ("spool_size=10G", "spool_size", 10**10),
        ("listing_entries=5000", "listing_entries", 5000),
        ("log_size=1M", "log_size", 10**6),
        ("tls_ca=/etc/ca.pem", "tls_ca", Path("/etc/ca.pem")),
        ("fuse=2", "fuse", "fuse2"),
        ("fuse=3", "fuse", "fuse3"),
    ],
)
def test_option_is_read(text: str, name: str, value: object) -> None:
    assert parse_options([text]) == {name: Chosen(value, f"-o {text.partition('=')[0]}")}


def test_options_may_stand_in_one_list() -> None:
    options = parse_options(["ro,uid=5", " retry "])
    assert {key: option.value for key, option in options.items()} == {"read_only": True, "uid": 5, "retry": True}


def test_last_of_two_counts() -> None:
    assert parse_options(["uid=1,uid=2"])["uid"].value == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "_netdev,noauto,user,nofail,defaults",
        "x-systemd.automount,x-gvfs-show",
        "comment=mine",
        "nosuid,nodev,noexec,relatime",
    ],
)
def test_option_of_fstab_has_no_effect(text: str) -> None:
    assert parse_options([text]) == {}


@pytest.mark.parametrize("text", ["bogus", "bogus=1", "ro=1", "uid", "RO", "cache_size"])
def test_unknown_option_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=f"-o {text}: no such option"):
        parse_options([text])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("uid=me", "number"),
        ("gid=", "number"),
        ("sessions=many", "number"),
        ("umask=999", "umask"),
        ("fuse=4", "version"),
    ],
)
def test_what_is_not_of_its_form_is_told(text: str, form: str) -> None:
    with pytest.raises(UsageError, match=f"-o {text}: '.*' is no {form}"):
        parse_options([text])


def test_what_is_no_size_is_told() -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_options(["cache_size=big"])
