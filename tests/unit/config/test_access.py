"""Where the access code comes from."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs.config.access import code_of_environment, code_of_keyring, keep_in_keyring, read_code
from bambufs.errors import UsageError

CODE = "47281593"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "code"
    file.write_text(f"{CODE}\n")
    file.chmod(0o600)
    return file


def test_code_is_read_from_a_file(file: Path) -> None:
    assert read_code(file) == CODE


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o622])
def test_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600") as refused:
        read_code(file)
    assert CODE not in str(refused.value)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_code(tmp_path / "nope")


def test_folder_for_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        read_code(tmp_path)


def test_empty_file_is_told(file: Path) -> None:
    file.write_text(" \n")
    with pytest.raises(UsageError, match="is empty"):
        read_code(file)


def test_file_that_is_no_text_is_told(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not text"):
        read_code(file)


def test_systemd_credential_comes_before_the_variable(tmp_path: Path) -> None:
    (tmp_path / "access_code").write_text(CODE)
    found = code_of_environment({"CREDENTIALS_DIRECTORY": str(tmp_path), "BAMBU_ACCESS_CODE": "other"})
    assert found == (CODE, "systemd credential access_code")


def test_credentials_without_a_code_leave_the_variable(tmp_path: Path) -> None:
    found = code_of_environment({"CREDENTIALS_DIRECTORY": str(tmp_path), "BAMBU_ACCESS_CODE": f" {CODE} "})
    assert found == (CODE, "BAMBU_ACCESS_CODE")


@pytest.mark.parametrize("environment", [{}, {"BAMBU_ACCESS_CODE": " "}])
def test_nothing_is_found_in_an_empty_environment(environment: dict[str, str]) -> None:
    assert code_of_environment(environment) is None


# --- the keyring --------------------------------------------------------------------------------------


def _need_keyring() -> None:
    if importlib.util.find_spec("keyring") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the Python package keyring is not installed")
        pytest.skip("the Python package keyring is not installed")


@pytest.fixture
def keyring() -> Iterator[None]:
    """A keyring in memory, behind the real library."""
    _need_keyring()
    import keyring
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):  # type: ignore[misc]
        priority = 1

        def __init__(self) -> None:
            self.kept: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("keyring")
def test_keyring_keeps_a_code() -> None:
    keep_in_keyring("garage", CODE)
    assert code_of_keyring("garage") == CODE


@pytest.mark.usefixtures("keyring")
def test_keyring_without_the_code_is_told() -> None:
    with pytest.raises(UsageError, match="setup --name garage --keyring"):
        code_of_keyring("garage")


def test_computer_without_a_keyring_is_told() -> None:
    _need_keyring()
    import keyring
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    try:
        with pytest.raises(UsageError, match="the keyring cannot be asked"):
            code_of_keyring("garage")
        with pytest.raises(UsageError, match="put it into a file instead"):
            keep_in_keyring("garage", CODE)
    finally:
        keyring.set_keyring(before)


def test_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(UsageError, match="pip install"):
        code_of_keyring("garage")
