"""Printer: a printer's files and prints."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self, TypedDict, Unpack

from ..config import Config
from ..config.file import Chosen, read_files
from ..config.resolve import resolve
from ..printer.doors import open_link
from ..printer.link import PrinterLink
from ..printer.outcome import Phase, PrintOutcome
from ..printer.request import PrintRequest, parse_request
from ..printer.state import PrinterState
from ..vfs.direct import CardFiles, LocalFile
from ..vfs.printing import Patience, PrintDesk
from .files import CardClient, Progress, told
from .names import AnyPath, absolute

_READY_PATIENCE = 20.0


class PrintOptions(TypedDict, total=False):
    """How to print; what is left out is as in the slicer's print dialog.

    ``plate`` counts from 1 (without it the first plate that is sliced). ``use_ams`` False means the external spool.
    ``ams_mapping`` names a tray for each filament, as in ``"A1,B2,-"`` (without it by material and colour).
    ``bed_type`` is one of `bambufs.printer.request.BED_TYPES`.
    """

    plate: int
    use_ams: bool
    ams_mapping: str
    bed_type: str
    timelapse: bool
    bed_leveling: bool
    flow_cali: bool
    vibration_cali: bool
    layer_inspect: bool


class Printer(CardClient):
    """A printer's files and prints. Use it as a context manager, or call `close`.

    ``printer`` is its address, or its name in config.toml, whose settings then count unless they are given here. The
    access code is ``access_code``, else it is read from ``access_code_file``, a systemd credential named access_code,
    the environment variable BAMBU_ACCESS_CODE, or config.toml. ``serial`` is taken from the printer's certificate
    unless given. The certificate is remembered at the first contact, and a different one refused later
    (``tls_trust="first-use"``; ``"ca"`` checks it against the authority in ``tls_ca``, ``"none"`` not at all).
    ``cache_dir`` is where it is remembered, as for a mount.

    Nothing is sent before the first call that needs the printer. May be used from many threads. P1 and A1 printers
    serve one program at a time: close it when you are done.

    Raises `bambufs.errors.UsageError` when the settings cannot be right, or no access code is found.
    """

    def __init__(
        self,
        printer: str,
        access_code: str | None = None,
        *,
        access_code_file: AnyPath | None = None,
        serial: str | None = None,
        ftps_port: int | None = None,
        mqtt_port: int | None = None,
        tls_trust: str | None = None,
        tls_ca: AnyPath | None = None,
        cache_dir: AnyPath | None = None,
    ) -> None:
        paths = {"access_code_file": access_code_file, "tls_ca": tls_ca, "cache_dir": cache_dir}
        given: dict[str, object] = {key: Path(path).expanduser().absolute() for key, path in paths.items() if path}
        given |= {"serial": serial, "ftps_port": ftps_port, "mqtt_port": mqtt_port, "tls_trust": tls_trust}
        said = {key: Chosen(value, f"{key}=") for key, value in given.items() if value is not None}
        found = resolve(printer, said, os.environ, read_files(os.environ))
        self._begin(found.config if access_code is None else found.config_with(access_code))

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The printer that ``config`` names."""
        printer = cls.__new__(cls)
        printer._begin(config)
        return printer

    def _begin(self, config: Config) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._link: PrinterLink | None = None

    def close(self) -> None:
        """End the connections. What an interrupted upload left on the card is removed first, within some seconds."""
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.stop()
        super().close()

    def status(self, *, timeout: float = _READY_PATIENCE) -> PrinterState:
        """What the printer is doing: its job, temperatures, filaments and errors, as it last reported them.

        Raises what stands in the way of asking it, at the latest after ``timeout`` seconds.
        """
        link = self._linked()
        link.wait_ready(timeout)
        return link.state

    def start_print(
        self, path: AnyPath, *, progress: Progress | None = None, **options: Unpack[PrintOptions]
    ) -> PrintOutcome:
        """Print a sliced file that is on the printer; see `PrintOptions`. It is read whole first, and checked.

        Returns what is known when the printer has answered; see `wait_for_print` for what becomes of it. A print is
        asked for once and never repeated by itself.

        Raises `InvalidJob` for a file that cannot be printed, `PrinterBusy` unless the printer has nothing else to do,
        `PrintRefused` when it takes no orders (no Developer Mode), `FileNotFoundError`, and what the link raises.
        """
        request = _request(options)
        place = parse_request(shlex.quote(absolute(path))).path
        self._desk(progress).print_stored(replace(request, path=place))
        return self._outcome()

    def print_file(
        self, file: AnyPath, *, progress: Progress | None = None, **options: Unpack[PrintOptions]
    ) -> PrintOutcome:
        """Check a sliced file of this computer, store it in the printer's folder /cache, and print it.

        A different file of its name is left alone: the new one gets another. Returns and raises as `start_print` does.
        """
        local = Path(file).expanduser()
        self._desk(progress).print_content(LocalFile(local), name=local.name, request=_request(options))
        return self._outcome()

    def wait_for_print(
        self,
        *,
        started: bool = False,
        timeout: float | None = None,
        progress: Callable[[PrinterState], None] | None = None,
    ) -> PrintOutcome:
        """Wait until the print that was asked for last has ended, or (``started``) until it is known to have begun.

        ``progress`` is called with the printer's state, at least every second. After ``timeout`` seconds (None: for
        ever) it returns all the same: look at the outcome's ``phase`` and ``sentence``.

        Raises `ValueError` when no print was asked for.
        """
        link = self._linked()
        deadline = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while True:
            outcome = self._outcome()
            is_done = outcome.is_over or outcome.phase is Phase.NOT_STARTED or (started and outcome.is_settled)
            left = deadline - time.monotonic()
            if is_done or left <= 0:
                return outcome
            if progress is not None:
                progress(link.state)
            self._await_news(link, outcome, min(1.0, left))

    @staticmethod
    def _await_news(link: PrinterLink, outcome: PrintOutcome, timeout: float) -> None:
        link.wait_for(lambda link: link.outcome != outcome, timeout)

    def pause(self) -> None:
        """Pause the running print. Raises `InvalidJob` when there is none, `PrinterError` when the printer refuses."""
        self._desk(None).command("pause")

    def resume(self) -> None:
        """Go on with a paused print; raises as `pause` does."""
        self._desk(None).command("resume")

    def stop(self) -> None:
        """Stop the running print for good; raises as `pause` does."""
        self._desk(None).command("stop")

    def _linked(self) -> PrinterLink:
        with self._lock:
            if self._link is None:
                self._link = open_link(self._config, self._check_certificate)
                self._link.start()
            return self._link

    def _desk(self, progress: Progress | None) -> PrintDesk:
        @contextmanager
        def watch(_what: str, size: int) -> Iterator[Callable[[int], None]]:
            yield told(progress, size)

        patience = Patience(ready=_READY_PATIENCE)
        template = self._config.url_template
        return PrintDesk(CardFiles(self._card, watch), self._linked(), url_template=template, patience=patience)

    def _outcome(self) -> PrintOutcome:
        outcome = self._linked().outcome
        if outcome is None:
            raise ValueError("no print was asked for yet")
        return outcome


def _request(options: PrintOptions) -> PrintRequest:
    """What ``options`` ask for, without a path; raises `InvalidJob` for what is not understood."""
    given: Mapping[str, object] = dict(options)
    words = [f"{key}={_word(value)}" for key, value in given.items() if value is not None]
    return parse_request(" ".join(["any.3mf", *words]))


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else shlex.quote(str(value))
