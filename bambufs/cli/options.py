"""The options behind `-o`: ours, libfuse's, and those that /etc/fstab brings along."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..config import parse_size
from ..errors import UsageError

_IGNORED = frozenset(
    {"_netdev", "auto", "noauto", "defaults", "nofail", "user", "nouser", "users", "owner", "group", "rw", "exec"}
    | {"noexec", "suid", "nosuid", "dev", "nodev", "async", "atime", "noatime", "relatime", "nodiratime"}
)
_IGNORED_PREFIXES = ("x-", "comment=")


@dataclass
class MountOptions:
    """What `-o` said; None where it said nothing."""

    read_only: bool = False
    retry: bool = False
    allow_other: bool = False
    nonempty: bool = False
    uid: int | None = None
    gid: int | None = None
    umask: int | None = None
    tls_ca: Path | None = None
    sessions: int = 3
    cache_size: int = 2 * 10**9
    fuse: str | None = None
    url_template: str = ""
    drop_folder: str = ""


_SWITCHES = {"ro": "read_only", "retry": "retry", "allow_other": "allow_other", "nonempty": "nonempty"}


def parse_options(texts: Iterable[str]) -> MountOptions:
    """The options in ``texts``, each a comma-separated list; raises `UsageError` for what is not known."""
    options = MountOptions()
    for word in ",".join(texts).split(","):
        word = word.strip()
        if not word or word in _IGNORED or word.startswith(_IGNORED_PREFIXES):
            continue
        name, has_value, value = word.partition("=")
        if not has_value and name in _SWITCHES:
            setattr(options, _SWITCHES[name], True)
        elif not has_value or not _set(options, name, value):
            raise UsageError(f"-o {word}: no such option; bambufs mount --help lists them")
    return options


def _set(options: MountOptions, name: str, value: str) -> bool:
    """Set the option ``name`` to what ``value`` says; False when there is no such option."""
    try:
        if name in ("uid", "gid", "sessions"):
            setattr(options, name, int(value))
        elif name == "umask":
            options.umask = int(value, 8)
        elif name == "cache_size":
            options.cache_size = parse_size(value)
        elif name in ("url_template", "drop_folder"):
            setattr(options, name, value)
        elif name == "tls_ca":
            options.tls_ca = Path(value)
        elif name == "fuse" and value in ("2", "3"):
            options.fuse = f"fuse{value}"
        else:
            return False
    except ValueError:
        raise UsageError(f"-o {name}={value}: {value!r} is no number") from None
    return True
