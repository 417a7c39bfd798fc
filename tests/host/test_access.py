"""Pages that end in a signal are counted; signals from elsewhere keep their effect."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator

import pytest

from pfnlab.host import access, memory
from pfnlab.host.access import Signals, probe, sweep, sweep_with_child
from pfnlab.host.touches import Run

PAGE = 4096
PAGES = 16
Sweep = Callable[[list[Run]], Signals]
SWEEPS = pytest.mark.parametrize("any_sweep", [sweep, sweep_with_child])


@pytest.fixture
def truncated() -> Iterator[int]:
    """The address of 16 pages of a file that has 4: the others are SIGBUS."""
    with tempfile.TemporaryFile() as file:
        file.truncate(PAGES * PAGE)
        address = memory.mmap(0, PAGES * PAGE, memory.PROT_READ, memory.MAP_SHARED, file.fileno())
        file.truncate(4 * PAGE)
        yield address
        memory.munmap(address, PAGES * PAGE)


@SWEEPS
def test_memory_that_is_there_gives_no_signal(any_sweep: Sweep) -> None:
    address = memory.mmap(0, PAGES * PAGE)
    try:
        assert any_sweep([Run(address, PAGES, PAGE)]) == Signals()
        assert any_sweep([Run(address + (PAGES - 1) * PAGE, PAGES, -PAGE)]) == Signals()
    finally:
        memory.munmap(address, PAGES * PAGE)


@SWEEPS
def test_every_page_behind_the_end_of_a_file_is_one_sigbus(
    any_sweep: Sweep, truncated: int
) -> None:
    assert any_sweep([Run(truncated, PAGES, PAGE)]) == Signals(bus=12)
    assert any_sweep([Run(truncated + PAGE, 1, PAGE), Run(truncated + 9 * PAGE, 2, PAGE)]) == (
        Signals(bus=2)
    )


@SWEEPS
def test_what_is_not_mapped_is_a_sigsegv(any_sweep: Sweep) -> None:
    assert any_sweep([Run(0, 2, PAGE)]) == Signals(segv=2)


def test_a_probe_is_one_access(truncated: int) -> None:
    assert (probe(truncated), probe(truncated + 5 * PAGE)) == (Signals(), Signals(bus=1))


def test_no_run_is_no_access() -> None:
    assert sweep([]) == sweep([Run(0, 0, PAGE)]) == Signals()


def test_a_long_run_is_the_sum_of_its_parts(
    truncated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "AT_ONCE", 3)

    assert sweep([Run(truncated, PAGES, PAGE)]) == Signals(bus=12)


def test_threads_sweep_at_the_same_time(truncated: int) -> None:
    found: list[Signals] = []

    def many() -> None:
        found.append(sum((sweep([Run(truncated, PAGES, PAGE)]) for _ in range(50)), Signals()))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [Signals(bus=600)] * 4


def test_the_handler_is_gone_after_a_sweep() -> None:
    code = access.machine_code()
    assert code is not None
    before = code.action_of(signal.SIGSEGV).handler

    with code.guarded():
        assert code.action_of(signal.SIGSEGV).handler == code.layout.handler
    assert code.action_of(signal.SIGSEGV).handler == before


def ends(lines: str) -> subprocess.CompletedProcess[str]:
    """What a process does that has our handlers installed."""
    program = """
        import ctypes, os, signal
        from pfnlab.host import access
        code = access.machine_code()
    """
    text = textwrap.dedent(program) + textwrap.dedent(lines)
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGBUS, signal.SIGSEGV])
def test_a_fault_elsewhere_ends_the_process_as_ever(number: signal.Signals) -> None:
    sent = ends(f"with code.guarded(): os.kill(os.getpid(), {int(number)})\nprint('alive')")
    assert (sent.returncode, sent.stdout) == (-number, "")


@pytest.mark.slow
def test_a_bad_access_elsewhere_ends_the_process_as_ever() -> None:
    ran = ends("with code.guarded(): ctypes.c_int.from_address(8).value\nprint('alive')")
    assert (ran.returncode, ran.stdout) == (-signal.SIGSEGV, "")


@pytest.mark.slow
def test_a_handler_of_somebody_else_is_called() -> None:
    ran = ends(
        """
        signal.signal(signal.SIGBUS, lambda number, frame: print("handled", number))
        with code.guarded():
            os.kill(os.getpid(), signal.SIGBUS)
            print(access.probe(0))
        """
    )
    assert ran.stdout == "handled 7\nSignals(bus=0, segv=1)\n"


@pytest.mark.slow
def test_an_ignored_signal_stays_ignored() -> None:
    ran = ends(
        """
        signal.signal(signal.SIGSEGV, signal.SIG_IGN)
        with code.guarded():
            os.kill(os.getpid(), signal.SIGSEGV)
            print(access.probe(0), flush=True)
        """
    )
    assert (ran.returncode, ran.stdout) == (0, "Signals(bus=0, segv=1)\n")


def test_a_child_that_tries_first_leaves_nothing_behind() -> None:
    address = memory.mmap(0, PAGE)
    sweep_with_child([Run(address, 1, PAGE)])
    memory.munmap(address, PAGE)

    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
