"""QEMU's machine protocol: a command at a time, on a socket.

docs/interop/qmp-spec.rst of QEMU has it.  Events are left out.
"""

import json
import socket
import time
from typing import Any

from pfnlab.lab.errors import GuestError, LabError

PATIENCE = 60.0  # seconds: for a machine with more to do than CPUs to do it


class Qmp:
    """A connection that has said hello.  The socket stays its owner's."""

    def __init__(self, connection: socket.socket, patience: float = PATIENCE) -> None:
        connection.settimeout(patience)
        self._connection = connection
        self._waiting = b""
        self._answer()  # the greeting
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: object) -> Any:
        """Have a command done; returns what QEMU returns.

        Raises GuestError if QEMU is gone, and LabError if it refuses.
        """
        text = json.dumps({"execute": command, "arguments": arguments}) + "\n"
        try:
            self._connection.sendall(text.encode())
        except OSError as error:
            raise GuestError(f"QEMU does not take commands: {error}") from error
        while True:
            answer = self._answer()
            if "error" in answer:
                raise LabError(f"QEMU: {command}: {answer['error'].get('desc', 'refused')}")
            if "return" in answer:
                return answer["return"]

    def wait_while(self, command: str, states: set[str], patience: float = PATIENCE) -> str:
        """Ask for the status until it is none of `states`; the one that it has then."""
        end = time.monotonic() + patience
        while (status := str(self.do(command).get("status", ""))) in states:
            if time.monotonic() > end:
                raise GuestError(f"QEMU: still {status!r} after {patience:.0f} s")
            time.sleep(0.005)
        return status

    def _answer(self) -> dict[str, Any]:
        while b"\n" not in self._waiting:
            try:
                data = self._connection.recv(1 << 16)
            except OSError as error:
                raise GuestError(f"QEMU does not answer: {error}") from error
            if not data:
                raise GuestError("QEMU has ended")
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
