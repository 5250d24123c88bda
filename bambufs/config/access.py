"""Where the access code may come from: never from an argument, where every user of the computer could read it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError

KEYRING_SERVICE = "bambufs"

NO_CODE = (
    "no access code: put it into a file that only you can read and name that with --access-code-file, or set "
    "BAMBU_ACCESS_CODE, or let bambufs setup keep it. The printer shows it under Settings, LAN only mode"
)


def read_code(file: Path, *, must_be_private: bool = True) -> str:
    """The access code in ``file``, which nobody else may be able to read. Raises `UsageError`."""
    try:
        with open(file, encoding="utf-8") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if must_be_private and mode & 0o077:
                raise UsageError(f"others can read the access code in {file}; run: chmod 600 {file}")
            code = opened.read(4096).strip()
    except OSError as error:
        raise UsageError(f"the access code cannot be read from {file}: {(error.strerror or '').lower()}") from error
    except ValueError as error:
        raise UsageError(f"{file} holds no access code: it is not text") from error
    if not code:
        raise UsageError(f"{file} is empty; it should hold the access code")
    return code


def code_of_environment(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The code from a systemd credential named access_code, else ``BAMBU_ACCESS_CODE``, and where it came from."""
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / "access_code").exists():
        return read_code(Path(credentials) / "access_code", must_be_private=False), "systemd credential access_code"
    code = environment.get("BAMBU_ACCESS_CODE", "").strip()
    return (code, "BAMBU_ACCESS_CODE") if code else None


def code_of_keyring(name: str) -> str:
    """The code that the desktop's keyring keeps for the printer ``name``. Raises `UsageError`."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError as missing:
        raise UsageError(
            "the access code is in the keyring, and the package for that is missing: pip install 'bambufs[keyring]'"
        ) from missing
    try:
        code = keyring.get_password(KEYRING_SERVICE, name)
    except KeyringError as error:
        raise UsageError(f"the keyring cannot be asked for the access code of {name} ({error}); unlock it") from error
    if not code:
        raise UsageError(f"the keyring holds no access code for {name}; run: bambufs setup --name {name} --keyring")
    return str(code)


def keep_in_keyring(name: str, code: str) -> None:
    """Have the desktop's keyring keep the code of the printer ``name``. Raises `UsageError`."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError as missing:
        raise UsageError("the package for the keyring is missing: pip install 'bambufs[keyring]'") from missing
    try:
        keyring.set_password(KEYRING_SERVICE, name, code)
    except KeyringError as error:
        raise UsageError(f"the keyring does not take the access code ({error}); put it into a file instead") from error
