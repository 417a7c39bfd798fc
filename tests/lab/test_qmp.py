"""Commands to QEMU, over a socket whose other end is here."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from pfnlab.lab.errors import GuestError, LabError
from pfnlab.lab.qmp import Qmp


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def answer(end: socket.socket, *lines: object) -> list[object]:
    """Say these lines at once, and collect what is asked."""
    end.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    asked: list[object] = []

    def collect() -> None:
        with end.makefile() as file:
            asked.extend(json.loads(line) for line in file)

    threading.Thread(target=collect, daemon=True).start()
    return asked


def test_a_command_returns_what_comes_after_the_events(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    answer(
        theirs, {"QMP": {}}, {"return": {}}, {"event": "RESUME"}, {"return": {"status": "paused"}}
    )

    assert Qmp(ours).do("query-status") == {"status": "paused"}


def test_a_refusal_is_told_in_the_words_of_qemu(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    answer(theirs, {"QMP": {}}, {"return": {}}, {"error": {"desc": "no such bus"}})

    with pytest.raises(LabError, match="QEMU: device_add: no such bus"):
        Qmp(ours).do("device_add", driver="x")


def test_qemu_that_goes_away_is_an_error_of_the_guest(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.sendall(b'{"QMP": {}}\n')
    theirs.shutdown(socket.SHUT_WR)

    with pytest.raises(GuestError, match="QEMU has ended"):
        Qmp(ours)


def test_qemu_that_does_not_answer_is_given_up(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    with pytest.raises(GuestError, match="does not answer"):
        Qmp(ends[0], patience=0.05)
