"""One QEMU guest: start it, talk to its agent, plug devices in, and end it whatever happens."""

import base64
import contextlib
import ctypes
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pfnlab.lab.errors import GuestError
from pfnlab.lab.qemu import Device, Machine, command_line
from pfnlab.lab.qmp import Qmp

CONSOLE = 1 << 16  # bytes of it that are kept
SILENCE = 10.0  # seconds after which a guest by KVM that printed nothing is given up
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Guest:
    """A context manager: QEMU runs inside of the block, and has ended after it.

    Everything that it is told and tells goes over sockets without a name, so nothing of a guest
    is in a file system.  If this process is killed, the kernel ends QEMU.  `deadline` is by
    time.monotonic(): what takes longer is a GuestError, which has the console with it.

    One with a snapshot `incoming`, or that is `paused`, begins when it is told so: go_on().
    """

    def __init__(
        self,
        program: str,
        machine: Machine,
        deadline: float,
        *,
        ram: Path | None = None,
        share: bool = False,
        incoming: bool = False,
        paused: bool = False,
    ) -> None:
        self._program = program
        self._machine = machine
        self._deadline = deadline
        self._memory = (ram, share)
        self._options = ["-incoming", "defer"] if incoming else ["-S"] if paused else []
        self._kept = b""
        self._waiting = b""
        self._console_ended = False

    def __enter__(self) -> Self:
        ours: dict[str, socket.socket] = {}
        theirs: dict[str, socket.socket] = {}
        for name in ("console", "channel", "qmp"):
            ours[name], theirs[name] = socket.socketpair()
        fds = {name: end.fileno() for name, end in theirs.items()}
        command = command_line(self._program, self._machine, fds, *self._memory)
        command += self._options
        self._errors: IO[bytes] = os.fdopen(os.memfd_create("errors of QEMU"), "w+b")
        self._sockets = ours
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=tuple(fds.values()),
                start_new_session=True,  # Ctrl-C is for us, who end it in order
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 (it only makes a call)
            )
        except BaseException:
            self._close()
            raise
        finally:
            for end in theirs.values():
                end.close()
        try:
            self.qmp = Qmp(ours["qmp"])
        except GuestError as error:
            raise self._end(str(error)) from error
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._read_console()
        if isinstance(error, GuestError) and not error.console:
            error.console = self.console
        self.kill()

    @property
    def console(self) -> str:
        """The latest that the guest printed."""
        return self._kept.decode(errors="replace").replace("\r", "")

    def kill(self) -> None:
        """End QEMU now; there is nothing in it that would need an orderly end."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._close()

    def go_on(self) -> None:
        """Let it run."""
        self.qmp.do("cont")

    def wait_until_ready(self) -> None:
        """Wait for the agent.  Raises GuestError, also if all is silent."""
        silent = time.monotonic() + SILENCE if self._machine.accelerator == "kvm" else None
        answer = self.answer(silent)
        if "ready" not in answer:
            raise self._end(f"the guest began with {answer!r}")

    def send(self, request: Mapping[str, object]) -> None:
        """Ask the agent for something."""
        try:
            self._sockets["channel"].sendall((json.dumps(request) + "\n").encode())
        except OSError as error:
            raise self._end("the guest does not listen") from error

    def plug(self, devices: Sequence[Device]) -> None:
        """Add devices, each to a root port.  Raises LabError if QEMU refuses one."""
        for port, device in enumerate(devices):
            self._plug(port, device)

    def _plug(self, port: int, device: Device) -> None:
        properties = dict(device.properties)
        if device.memory:
            memory = f"memory{port}"
            self.qmp.do(
                "object-add",
                **{"qom-type": "memory-backend-memfd", "id": memory, "size": device.memory},
            )
            properties["memdev"] = memory
        plugged = {"driver": device.model, "bus": f"port{port}", "id": f"device{port}"}
        self.qmp.do("device_add", **plugged, **properties)

    def answer(self, silent: float | None = None) -> dict[str, Any]:
        """The next line of the agent.

        Raises GuestError when there is none before the deadline or QEMU has ended, and where
        nothing at all was printed until `silent`: the accelerator does not work.
        """
        while b"\n" not in self._waiting:
            self._wait(silent)
        line, _, self._waiting = self._waiting.partition(b"\n")
        try:
            found: dict[str, Any] = json.loads(line)
            if "packed" in found:
                found = json.loads(zlib.decompress(base64.b64decode(found["packed"])))
        except (ValueError, zlib.error) as error:
            raise self._end(f"the guest sent {line[:80]!r}") from error
        return found

    def _wait(self, silent: float | None) -> None:
        channel, console = self._sockets["channel"], self._sockets["console"]
        watched = [channel] if self._console_ended else [channel, console]
        ready, _, _ = select.select(watched, [], [], 0.5)
        if console in ready:
            self._console_ended = not self._read_console()
        if channel in ready:
            data = self._receive(channel)
            if not data:  # and all that it had delivered has been read
                raise self._end(self._why_ended())
            self._waiting += data
        now = time.monotonic()
        if silent is not None and not self._kept and not self._waiting and now > silent:
            raise GuestError(f"the guest printed nothing within {SILENCE:.0f} s")
        if now > self._deadline:
            raise self._end("the guest took too long and was ended")

    @staticmethod
    def _receive(channel: socket.socket) -> bytes:
        try:
            return channel.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def _read_console(self) -> bool:
        """Take what is there; False at its end."""
        with contextlib.suppress(OSError):
            while data := self._sockets["console"].recv(1 << 16, socket.MSG_DONTWAIT):
                self._kept = (self._kept + data)[-CONSOLE:]
            return False
        return True

    def _why_ended(self) -> str:
        self._process.wait()
        self._read_console()
        panic = re.search(r"Kernel panic - not syncing: .*", self.console)
        if panic:
            return f"the guest crashed: {panic[0].strip()}"
        code = self._process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        return f"QEMU ended too early ({how})" + (f": {said}" if said else "")

    def _end(self, message: str) -> GuestError:
        if self._process.poll() is None and "QEMU" in message:
            # It is about to end if it has closed a socket.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
        if self._process.poll() is not None and "ended too early" not in message:
            message = self._why_ended()
        self._read_console()
        self.kill()
        return GuestError(message, self.console)

    def _close(self) -> None:
        for end in self._sockets.values():
            end.close()
        self._errors.close()


def _die_with_parent(parent: int) -> Any:
    """To run in the child before QEMU: the kernel kills it when its parent has gone.

    The parent is the thread that starts it, which therefore has to last as long as the guest.
    """

    def arrange() -> None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went in the meantime
            os._exit(1)

    return arrange
