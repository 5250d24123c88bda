"""`bambufs setup`: from a printer in the network to a name that can be mounted."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from ..config import Config, default_cache_dir
from ..config.access import code_of_environment, keep_in_keyring, read_code
from ..config.edit import write_printer
from ..config.file import ConfigFile, read_files, user_file
from ..config.resolve import find_printer
from ..config.settings import SETTINGS
from ..errors import CertificateRefused, LoginRefused, UsageError
from ..printer import doors, trust
from ..printer.discovery import Announcement, listen
from ..printer.models import model_of_serial
from ..printer.session import FtpsSession, Timeouts
from . import unit
from .answers import check_choice, check_name, check_place, described, is_free, make_folder, plain, short, unheard
from .asking import Asking
from .connection import given
from .discover import NOTHING_HEARD

_TRIES = 3
_SETTLE = 6.0
"""Seconds to wait for further printers once one was heard; each announces itself every five or so."""

_KEPT = ("ftps_port", "mqtt_port", "tls_trust", "tls_ca", "cache_dir", "url_template", "sessions")
"""Settings that are kept in the file when they were given."""


def run(args: argparse.Namespace) -> int:
    """Find, ask, check, remember, write, and mount if wanted; returns the exit code."""
    try:
        return _Setup(args).run()
    except (KeyboardInterrupt, EOFError):
        print("\nbambufs setup was stopped.", file=sys.stderr)
        return 130


class _NobodyHeard(UsageError):
    """No printer announced itself, or nobody can be heard here."""


@dataclass(frozen=True)
class _Code:
    """The access code, and the file it is kept in if it is."""

    code: str
    file: Path | None = None

    def __repr__(self) -> str:
        return "<access code>"


class _Setup:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.asking = Asking(quietly=args.yes)
        self.files = read_files(os.environ)
        path = user_file(os.environ)
        if path is None:
            raise UsageError("there is no home folder to write the configuration to; set HOME")
        self.path = path
        self.given = {key: chosen.value for key, chosen in given(args).items()}

    def run(self) -> int:
        if self.args.name is not None:
            check_name(self.args.name)
        if "mountpoint" in self.given:
            check_place(str(self.given["mountpoint"]))
        printer = self._printer()
        config, code = self._let_in(printer)
        name = self._name(printer, config)
        place = self._mount_point(name)
        self._write(name, config, code, place)
        return self._mount(name, place)

    # --- which printer ----------------------------------------------------------------------------

    def _printer(self) -> Announcement:
        if self.args.printer:
            return self._named(self.args.printer)
        if not self.asking.may_ask and not self.args.yes:
            raise UsageError("without a terminal, say which printer: --printer ADDRESS (bambufs discover finds it)")
        print("Looking for printers in this network ...", flush=True)
        try:
            return self._chosen(self._heard())
        except _NobodyHeard as nobody:
            if not self.asking.may_ask:
                raise
            print(f"{nobody.message[0].upper()}{nobody.message[1:]}.")
            return unheard(self.asking.text("Its address:", "", lambda text: check_choice(text, 0)))

    def _heard(self) -> list[Announcement]:
        """The printers that announce themselves, shown as they are heard. Raises `_NobodyHeard`."""
        found: dict[str, Announcement] = {}
        try:
            for printer in listen(self.args.timeout, settle=_SETTLE, port=self.args.port):
                if printer.serial not in found:
                    print(f"  {len(found) + 1}  {described(printer)}", flush=True)
                found[printer.serial] = printer
        except UsageError as deaf:
            raise _NobodyHeard(deaf.message, deaf.exit_code) from deaf
        if not found:
            raise _NobodyHeard(NOTHING_HEARD.format(seconds=self.args.timeout, port=self.args.port), 4)
        return list(found.values())

    def _named(self, word: str) -> Announcement:
        """A printer by its address, or by the serial number of one that announces itself."""
        if re.fullmatch(r"[0-9A-Za-z]{15}", word) and model_of_serial(word):
            heard = (printer for printer in listen(self.args.timeout, port=self.args.port) if printer.serial == word)
            found = next(heard, None)
            if found is None:
                raise UsageError(NOTHING_HEARD.format(seconds=self.args.timeout, port=self.args.port), 4)
            return found
        known = find_printer(word, self.files)[1]
        address = next((str(table.written["address"]) for table in known if "address" in table.written), word)
        return unheard(address)

    def _chosen(self, found: list[Announcement]) -> Announcement:
        if len(found) > 1 and not self.asking.may_ask:
            raise UsageError(f"there are {len(found)} printers; say which: --printer ADDRESS")
        which = "Which one? Its number, or an address:"
        answer = self.asking.text(which, "1", lambda text: check_choice(text, len(found)))
        if answer.isdecimal():
            return found[int(answer) - 1]
        return next((printer for printer in found if printer.address == answer), unheard(answer))

    # --- being let in -----------------------------------------------------------------------------

    def _let_in(self, printer: Announcement) -> tuple[Config, _Code]:
        """Log in, and remember the certificate; a wrong code may be typed again."""
        for attempt in range(1, _TRIES + 1):
            code, was_typed = self._code()
            try:
                config = self._logged_in(self._config(printer, code.code), printer.serial)
                print(f"The printer at {printer.address} lets us in. Its certificate is remembered.")
                return config, code
            except LoginRefused:
                if not was_typed or attempt == _TRIES:
                    raise
                print("The printer refuses that access code. Compare it with its screen, and try again.")
        raise AssertionError("the last try returns or raises")

    def _code(self) -> tuple[_Code, bool]:
        """The code, and whether it was typed just now."""
        file = self.given.get("access_code_file")
        if file is not None:
            return _Code(read_code(file), file), False
        found = code_of_environment(os.environ)
        if found is not None:
            return _Code(found[0]), False
        if not sys.stdin.isatty():
            raise UsageError("without a terminal, name a file that holds the access code: --access-code-file FILE")
        return _Code(self.asking.secret("Access code (on its screen: Settings, LAN only mode):")), True

    def _config(self, printer: Announcement, code: str) -> Config:
        kept = {SETTINGS[key].fills: self.given[key] for key in _KEPT if key in self.given}
        serial = self.given.get("serial") or printer.serial or None
        defaults = {"cache_dir": default_cache_dir(os.environ)}
        return Config(host=printer.address, access_code=code, serial=serial, **{**defaults, **kept})

    def _logged_in(self, config: Config, serial: str) -> Config:
        """``config`` with the serial number of the printer that let us in. Raises `PrinterError`."""
        seen: list[Config] = []

        def look(certificate: bytes) -> None:
            named = trust.common_name(certificate)
            if config.serial and named and named != config.serial:
                raise CertificateRefused(
                    f"the printer at {config.host} has the serial number {named}, not {config.serial}; is it another?"
                )
            known = named if named and named.isalnum() else None
            seen.append(replace(config, serial=config.serial or known))
            doors.certificate_check(seen[0])(certificate)

        FtpsSession.open(doors.target(config, look), Timeouts()).quit()
        return seen[0]

    # --- name and folder --------------------------------------------------------------------------

    def _name(self, printer: Announcement, config: Config) -> str:
        if self.args.name is not None:
            self._check_replace(self.args.name, config)
            return str(self.args.name)
        known = find_printer(config.serial or "", self.files)[0] or find_printer(config.host, self.files)[0]
        question = "What shall it be called? That is what you will type, as in bambufs mount garage:"
        name = self.asking.text(question, known or self._free_name(printer, config), check_name)
        self._check_replace(name, config)
        return name

    def _free_name(self, printer: Announcement, config: Config) -> str:
        model = printer.model or model_of_serial(config.serial or "")
        plain = re.sub(r"[^a-z0-9]+", "", model.name.lower()) if model else "printer"
        taken = {name for file in self.files for name in file.printers}
        return next(name for name in (plain, *(f"{plain}-{n}" for n in range(2, 1000))) if name not in taken)

    def _check_replace(self, name: str, config: Config) -> None:
        """A name that another printer has is not taken from it unless somebody says so."""
        written = [file.printers[name].written for file in self.files if name in file.printers]
        told = {str(table[key]) for table in written for key in ("address", "serial") if key in table}
        if not told or told & {config.host, config.serial}:
            return
        question = f"{name} is another printer's name already ({', '.join(sorted(told))}). Shall it be this one now?"
        if not (self.args.yes or self.asking.yes(question, suggestion=False)):
            raise UsageError(f"{name} is the name of another printer; choose another with --name, or say --yes")

    def _mount_point(self, name: str) -> Path:
        if "mountpoint" in self.given:
            return Path(self.given["mountpoint"])
        written = [file.printers[name].written for file in self.files if name in file.printers]
        known = next((str(table["mountpoint"]) for table in written if "mountpoint" in table), None)
        question = "On which folder shall it be shown?"
        answer = self.asking.text(question, known or self._free_place(name), check_place)
        return Path(answer).expanduser().absolute()

    def _free_place(self, name: str) -> str:
        """``~/printer`` if that is free, else a folder by the printer's name."""
        taken = {str(table.written.get("mountpoint")) for file in self.files for table in file.printers.values()}
        return "~/printer" if "~/printer" not in taken and is_free("~/printer") else f"~/{name}"

    # --- writing and mounting ---------------------------------------------------------------------

    def _write(self, name: str, config: Config, code: _Code, place: Path) -> None:
        ways: dict[str, object] = dict.fromkeys(("access_code", "access_code_file", "access_code_keyring"))
        if self.args.keyring:
            keep_in_keyring(name, code.code)
            ways["access_code_keyring"] = True
        elif code.file is not None:
            ways["access_code_file"] = short(code.file)
        else:
            ways["access_code"] = code.code
        kept = {key: plain(self.given[key]) for key in _KEPT if key in self.given}
        make_folder(place)
        own = {"address": config.host, "serial": config.serial, **ways, "mountpoint": short(place)}
        write_printer(self.path, name, {**own, **kept})
        ConfigFile.read(self.path)
        print(f"{name} is written to {self.path}.")

    def _mount(self, name: str, place: Path) -> int:
        question = f"Shall {name} be mounted on {place} whenever you log in?"
        wanted = self.args.enable
        if wanted is None:
            wanted = self.asking.yes(question, suggestion=False)
        if wanted:
            print(f"The systemd unit {unit.install(os.environ)} mounts it.")
            unit.enable(name)
            print(f"{name} is mounted at every login, and now. Its log: journalctl --user -u bambufs@{name}")
            return 0
        if self.asking.may_ask and self.asking.yes("Shall it be mounted now?", suggestion=True):
            done = subprocess.run([sys.executable, "-m", "bambufs", "mount", name], check=False).returncode
            print(f"It is shown in {place}. To unmount it: bambufs unmount {name}" if done == 0 else "", flush=True)
            return done
        print(f"To mount it: bambufs mount {name}. If something does not work: bambufs check {name}")
        return 0
