"""The FTPS port of a simulated printer: who is let in, and how many at once."""

from __future__ import annotations

import contextlib
import socket
import threading
from functools import partial

from bambufs.simulator import commands, transfers
from bambufs.simulator.data import DataPort, open_listener, reserve_port
from bambufs.simulator.machine import Machine
from bambufs.simulator.session import Session

_VERBS = commands.VERBS | transfers.VERBS
_BACKLOG = 64
_BUSY = b"421 There are too many connected users, please try later.\r\n"
_JOIN = 10.0
_LAST_WORDS = 0.1


class FtpsServer:
    """Listens and runs one thread for each session. `close` ends them all."""

    def __init__(self, machine: Machine, *, port: int) -> None:
        self._machine = machine
        self._changed = threading.Condition()
        self._sessions: dict[Session, threading.Thread] = {}
        self._count = 0
        self._fixed_port: DataPort | None = None
        self._reserved = reserve_port(machine.host, port)
        self.port: int = self._reserved.getsockname()[1]
        self._is_on = False
        self._turning = threading.RLock()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    # -- for the printer

    def start(self) -> None:
        """Begin to take connections, unless the quirks say that the port is closed."""
        with self._turning:
            self._is_on = True
            self.tune()

    def stop(self) -> None:
        """Refuse further connections and end those there are; the port stays reserved."""
        with self._turning:
            self._is_on = False
            self.tune()

    def tune(self) -> None:
        """Look at the quirks again: whether to listen, and how many may wait to be accepted."""
        with self._turning:
            wanted = self._is_on and self._machine.quirks.flag("ftps")
            if wanted and self._listener is None:
                self._listen()
            elif not wanted and self._listener is not None:
                self._stop_listening(self._listener)
            elif self._listener is not None:
                with self._changed:
                    self._changed.notify_all()
                self._listener.listen(0 if self._hangs() else _BACKLOG)

    def _listen(self) -> None:
        backlog = 0 if self._hangs() else _BACKLOG
        self._listener = listener = open_listener(self._machine.host, self.port, backlog=backlog)
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), name="ftps", daemon=True)
        self._acceptor.start()

    def _stop_listening(self, listener: socket.socket) -> None:
        self._listener = None
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        self.drop_sessions()
        if self._acceptor is not None:
            self._acceptor.join(_JOIN)
        self.drop_sessions()  # what was being accepted meanwhile

    def close(self) -> None:
        self.stop()
        self._reserved.close()
        fixed, self._fixed_port = self._fixed_port, None
        if fixed is not None:
            fixed.close()

    def drop_sessions(self) -> None:
        """End all sessions, as when the Wi-Fi fails, and wait for their threads."""
        with self._changed:
            sessions = dict(self._sessions)
            self._changed.notify_all()
        for session in sessions:
            session.shut_down()
        for thread in sessions.values():
            thread.join(_JOIN)

    @property
    def session_count(self) -> int:
        """How many sessions there are now."""
        with self._changed:
            return len(self._sessions)

    def wait_for_sessions(self, count: int, timeout: float) -> None:
        """Wait until there are exactly ``count`` sessions; `TimeoutError` if that takes too long."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._sessions) == count, timeout):
                raise TimeoutError(f"{len(self._sessions)} sessions instead of {count} after {timeout} s")

    # -- for sessions

    def data_port(self) -> DataPort:
        """A port for the next transfer: a fresh one, or the only one that the printer has."""
        wanted = int(self._machine.quirks.number("data_port"))
        if wanted < 0:
            return self._fresh_port()
        with self._changed:
            if self._fixed_port is None:
                self._fixed_port = DataPort(self._machine, port=wanted, lasting=True)
            return self._fixed_port

    # -- within

    def _fresh_port(self) -> DataPort:
        span = self._machine.quirks.text("passive_ports")
        first, _, last = span.partition("-")
        for port in range(int(first), int(last or first) + 1) if span else (0,):
            with contextlib.suppress(OSError):
                return DataPort(self._machine, port=port, lasting=False)
        raise OSError(f"no port of {span or 'this machine'} is free")

    def _hangs(self) -> bool:
        quirks = self._machine.quirks
        return quirks.number("max_clients") > 0 and quirks.text("over_limit") == "hang"

    def _is_full_locked(self) -> bool:
        limit = self._machine.quirks.number("max_clients")
        return 0 < limit <= len(self._sessions)

    def _accept(self, listener: socket.socket) -> None:
        while self._may_accept(listener):
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the listener was closed
            self._take(connection)

    def _may_accept(self, listener: socket.socket) -> bool:
        """Wait while a printer that hangs has no room; False once the listener is closed."""
        with self._changed:
            while self._listener is listener and self._hangs() and self._is_full_locked():
                self._changed.wait(0.2)  # the quirks may be turned meanwhile
            return self._listener is listener

    def _take(self, connection: socket.socket) -> None:
        with self._changed:
            full, how = self._is_full_locked(), self._machine.quirks.text("over_limit")
        if full and how == "421":
            _send_off(connection)
        else:
            self._begin(connection, transfers_refused=full)

    def _begin(self, connection: socket.socket, *, transfers_refused: bool) -> None:
        self._count += 1
        session = Session(
            self._machine, connection, number=self._count, ports=self, transfers_refused=transfers_refused
        )
        thread = threading.Thread(target=self._run, args=(session,), name=f"ftps-{self._count}", daemon=True)
        with self._changed:
            self._sessions[session] = thread
            thread.start()
            self._changed.notify_all()

    def _run(self, session: Session) -> None:
        try:
            session.run(partial(commands.carry_out, verbs=_VERBS))
        finally:
            with self._changed:
                del self._sessions[session]
                self._changed.notify_all()


def _send_off(connection: socket.socket) -> None:
    """Say in plain text that there is no room. What the client has sent is read, lest it sees a reset."""
    with connection, contextlib.suppress(OSError):
        connection.sendall(_BUSY)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_LAST_WORDS)
        connection.recv(65536)
