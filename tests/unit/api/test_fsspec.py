"""fsspec's own abstract tests, on simulated printers of both families; and what is special about a printer."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.tests import abstract

from bambufs import simulator
from bambufs.errors import ConnectionDropped, UsageError
from bambufs.fsspec import BambuFileSystem
from tests.unit.api.conftest import Start


@pytest.fixture(scope="module", params=["x1c", "p1s"])
def printer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[simulator.Printer]:
    folder = tmp_path_factory.mktemp("card")
    simulator.make_card(folder)
    with simulator.Printer(model=request.param, card=folder, mqtt=False) as running:
        yield running


@pytest.fixture(scope="module")
def filesystem(printer: simulator.Printer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BambuFileSystem]:
    fs = fsspec.filesystem("bambu", auto_mkdir=True, **settings(printer, tmp_path_factory.mktemp("cache")))
    yield fs
    fs.close()


def settings(printer: simulator.Printer, cache: Path) -> dict[str, Any]:
    return {
        "host": printer.host,
        "access_code": printer.access_code,
        "ftps_port": printer.ftps_port,
        "cache_dir": str(cache),
    }


class BambuFixtures(abstract.AbstractFixtures):  # type: ignore[misc]
    @pytest.fixture
    def fs(self, filesystem: BambuFileSystem) -> BambuFileSystem:
        return filesystem

    @pytest.fixture
    def fs_path(self, filesystem: BambuFileSystem) -> str:
        filesystem.makedirs("/abstract", exist_ok=True)
        return "/abstract"

    @pytest.fixture
    def fs_join(self) -> Any:
        return lambda *parts: "/".join(parts)


class TestCopy(abstract.AbstractCopyTests, BambuFixtures):  # type: ignore[misc]
    pass


class TestGet(abstract.AbstractGetTests, BambuFixtures):  # type: ignore[misc]
    pass


class TestPut(abstract.AbstractPutTests, BambuFixtures):  # type: ignore[misc]
    pass


class TestOpen(abstract.AbstractOpenTests, BambuFixtures):  # type: ignore[misc]
    pass


class TestPipe(abstract.AbstractPipeTests, BambuFixtures):  # type: ignore[misc]
    pass


def test_it_is_registered(filesystem: BambuFileSystem) -> None:
    assert isinstance(filesystem, BambuFileSystem)
    assert fsspec.get_filesystem_class("bambu") is BambuFileSystem


@pytest.mark.parametrize("model", ["x1c", "p1s"])
def test_url_names_printer_and_path(start: Start, tmp_path: Path, model: str) -> None:
    _, printer = start(model)
    url = f"bambu://{printer.host}:{printer.ftps_port}/logger/printer.log"

    fs, path = fsspec.url_to_fs(url, access_code=printer.access_code, cache_dir=str(tmp_path))
    try:
        assert (path, fs.cat_file(path)) == ("/logger/printer.log", (printer.card / "logger/printer.log").read_bytes())
    finally:
        fs.close()


def test_access_code_stays_out_of_urls_and_pickles(filesystem: BambuFileSystem) -> None:
    with pytest.raises(UsageError, match="does not belong into a URL"):
        fsspec.open("bambu://bblp:12345678@192.0.2.1/x")
    with pytest.raises(TypeError, match="access code"):
        pickle.dumps(filesystem)
    assert "12345678" not in repr(filesystem)
    assert "12345678" not in filesystem.to_json()


def test_files_are_listed_read_and_globbed(filesystem: BambuFileSystem, printer: simulator.Printer) -> None:
    (info,) = filesystem.ls("/cache")
    size = (printer.card / "cache/benchy.gcode.3mf").stat().st_size
    assert (info["name"], info["size"], info["type"]) == ("/cache/benchy.gcode.3mf", size, "file")
    assert filesystem.glob("bambu://printer/timelapse/*.avi") == ["/timelapse/video_2025-06-15_12-30-00.avi"]
    assert filesystem.cat_file("/logger/printer.log", start=5, end=10) == b"06-15"
    assert filesystem.modified("/cache/benchy.gcode.3mf").tzinfo is not None


def test_file_is_written_when_it_is_closed(filesystem: BambuFileSystem, printer: simulator.Printer) -> None:
    with filesystem.open("/model/x.txt", "w") as file:
        file.write("one\n")
        assert not filesystem.exists("/model/x.txt")
    with filesystem.open("/model/x.txt", "a") as file:
        file.write("two\n")
    assert (printer.card / "model/x.txt").read_text() == "one\ntwo\n"
    filesystem.mv("/model/x.txt", "/model/y.txt")
    filesystem.touch("/model/y.txt", truncate=False)
    filesystem.rm("/model/y.txt")
    assert os.listdir(printer.card / "model") == []


def test_what_failed_in_the_middle_is_not_stored(filesystem: BambuFileSystem, printer: simulator.Printer) -> None:
    def fail() -> None:
        with filesystem.open("/model/x.bin", "wb") as file:
            file.write(b"half of it")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(printer.card / "model") == []
    with filesystem.transaction, filesystem.open("/model/x.bin", "wb") as file:
        file.write(b"all of it")
    assert (printer.card / "model/x.bin").read_bytes() == b"all of it"
    filesystem.rm("/model/x.bin")


def test_file_that_cannot_be_read_to_be_appended_to_stays(
    filesystem: BambuFileSystem, printer: simulator.Printer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem.pipe_file("/image/kept.txt", b"first line")

    def lost(path: str) -> None:
        raise ConnectionDropped("the connection was lost", path)

    with monkeypatch.context() as patch:
        patch.setattr(filesystem.printer, "open", lost)
        with pytest.raises(ConnectionDropped):
            filesystem.open("/image/kept.txt", "ab")
    gc.collect()
    assert filesystem.cat_file("/image/kept.txt") == (printer.card / "image/kept.txt").read_bytes() == b"first line"
    filesystem.rm("/image/kept.txt")
