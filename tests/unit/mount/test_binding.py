"""What each library is told, without mounting anything."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bambufs.mount import binding
from bambufs.mount.adapter import Adapter, Owner
from bambufs.mount.settings import SHORTLY_HELD, fuse_options
from bambufs.vfs.root import Root
from tests.support.needs import need


def options_told(library: Any, monkeypatch: pytest.MonkeyPatch, ttl: float = 5.0) -> dict[str, Any]:
    """What ``library`` hands to its binding."""
    told: dict[str, Any] = {}
    monkeypatch.setattr(library, "_class", lambda operations, mountpoint, **options: told.update(options))
    assert library.run(Adapter(cast(Root, None), Owner(0, 0)), "/nowhere", fuse_options("printer", ttl)) == 0
    return told


@pytest.mark.parametrize(("minor", "is_told"), [(10, False), (14, True)])
def test_how_many_threads_is_told_to_a_libfuse_3_that_knows_the_option(
    minor: int, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("fuse3")
    library = binding.choose("fuse3")
    monkeypatch.setattr(cast(Any, library)._fuse, "fuse_version_minor", minor)
    told = options_told(library, monkeypatch)
    assert ("max_threads" in told, "max_idle_threads" in told) == (is_told, True)


@pytest.mark.parametrize(("ttl", "held"), [(5.0, SHORTLY_HELD), (0.01, 0.01), (0.0, 0.0)])
def test_libfuse_2_holds_attributes_for_a_moment(ttl: float, held: float, monkeypatch: pytest.MonkeyPatch) -> None:
    need("fuse2")
    told = options_told(binding.choose("fuse2"), monkeypatch, ttl)
    assert told["attr_timeout"] == held
    assert not told.keys() & {"max_threads", "max_idle_threads"}
