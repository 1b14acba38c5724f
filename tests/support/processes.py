"""Real processes under test: started with a log file, awaited by a line of it, stopped, killed or frozen by the test.

Every process leads its own group, so that a signal reaches its children too and none outlives the test run.
"""

import atexit
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Below Linux' ephemeral range (32768 and up): a server that restarts on its port must not find it taken by some
# client's outgoing connection.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    while True:
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], bool], *, timeout: float, what: str) -> None:
    """Poll until `condition` holds; an AssertionError that names `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(0.05)


class ManagedProcess:
    """One command and its log. `start` after `stop` or `kill` runs it again; each start begins a new log."""

    def __init__(
        self, name: str, command: Sequence[str], *, log_dir: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._command = list(command)
        self._env = {**os.environ, **(env or {})}
        self._log_dir = log_dir
        self._starts = 0
        self._wanted = False
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)

    @property
    def log(self) -> Path:
        """The log of the newest start: standard output and error."""
        return self._log_dir / f"{self.name}.{self._starts}.log"

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def crashed(self) -> bool:
        """Whether it ended although nobody stopped or killed it."""
        return self._wanted and not self.running

    @property
    def pid(self) -> int:
        """Process id of the newest start."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status of the newest start; negative for a signal, None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Run the command; returns at once."""
        assert not self.running, f"{self.name} runs already"
        self._starts += 1
        self._wanted = True
        self._log_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._env, start_new_session=True
            )

    def wait_for_line(self, text: str, timeout: float) -> None:
        """Wait until the log holds `text`; fails early with the log's end if the process ends before."""

        def seen() -> bool:
            if text in self.log.read_text(errors="replace"):
                return True
            if not self.running:
                raise AssertionError(f"{self.name} ended with {self.returncode} before {text!r}:\n{self.tail()}")
            return False

        try:
            wait_until(seen, timeout=timeout, what=f"{text!r} in the log of {self.name}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def tail(self, lines: int = 30) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def stop(self, timeout: float = 20, sign: signal.Signals = signal.SIGTERM) -> int | None:
        """Ask the process to end and wait; one that does not end in time is killed. Returns the exit status."""
        if self._process is None:
            return None
        self._wanted = False
        if self.running:
            os.killpg(self.pid, signal.SIGCONT)
            os.kill(self.pid, sign)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.wait()

    def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL), with its children."""
        if self._process is None:
            return
        self._wanted = False
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def suspend(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        os.killpg(self.pid, signal.SIGCONT)
