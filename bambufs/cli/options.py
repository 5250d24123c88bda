"""The options behind `-o`: ours, libfuse's, and those that /etc/fstab brings along."""

from __future__ import annotations

from collections.abc import Iterable

from ..config.file import Chosen
from ..config.settings import SETTINGS, SWITCH, Setting
from ..errors import UsageError

_IGNORED = frozenset(
    {"_netdev", "auto", "noauto", "defaults", "nofail", "user", "nouser", "users", "owner", "group", "exec"}
    | {"noexec", "suid", "nosuid", "dev", "nodev", "async", "sync", "dirsync", "silent", "loud", "mand", "nomand"}
    | {"atime", "noatime", "relatime", "norelatime", "strictatime", "lazytime", "diratime", "nodiratime"}
)
_IGNORED_PREFIXES = ("x-", "X-", "comment=", "user=")

_KNOWN = {setting.o_name: setting for setting in SETTINGS.values() if setting.o_name}


def parse_options(texts: Iterable[str]) -> dict[str, Chosen]:
    """What the ``texts``, each a comma-separated list, choose, by key; raises `UsageError` for what is not known."""
    chosen: dict[str, Chosen] = {}
    for word in ",".join(texts).split(","):
        word = word.strip()
        if not word or word in _IGNORED or word.startswith(_IGNORED_PREFIXES):
            continue
        name, has_value, value = word.partition("=")
        if word == "rw":
            chosen["read_only"] = Chosen(False, "-o rw")
            continue
        setting = _KNOWN.get(name)
        if setting is None or (setting.kind is SWITCH) == bool(has_value):
            raise UsageError(f"-o {word}: no such option; bambufs mount --help lists them")
        chosen[setting.key] = Chosen(_value(setting, value), f"-o {name}")
    return chosen


def _value(setting: Setting, text: str) -> object:
    if setting.kind is SWITCH:
        return True
    try:
        return setting.read(text)
    except ValueError as error:
        raise UsageError(f"-o {setting.o_name}={text}: {error}") from None
