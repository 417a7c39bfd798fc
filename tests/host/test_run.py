"""Workloads on a device that is a file: what is counted, and that nothing stays."""

import os
from collections.abc import Iterator

import pytest

from pfnlab.host.errors import HostError
from pfnlab.host.run import learn, run
from pfnlab.measured import Measured, MeasuredStep, measured_from_data, measured_to_data
from pfnlab.workload import (
    Action,
    Bar,
    Fork,
    MapDma,
    Memory,
    Mremap,
    Munmap,
    Step,
    Touch,
    UnmapDma,
    Window,
    Workload,
)
from tests.host.fake_device import ADDRESS, FakeDevice, fake_device

PAGE, PAGES = 4096, 64
SIZE = PAGES * PAGE
GiB = 1 << 30


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    with fake_device(SIZE) as made:
        yield made


def workload(*steps: tuple[Action, ...], windows: int = 1, times: int = 1) -> Workload:
    return Workload(
        Bar(SIZE),
        tuple(Window(SIZE, place="4k") for _ in range(windows)),
        tuple(Step(str(number), actions, times) for number, actions in enumerate(steps)),
    )


def events(measured: Measured) -> list[dict[str, int]]:
    """Of the steps, without those that another kernel may count."""
    wanted = ("signals", "SIGSEGV", "map_dma -EFAULT", "map_dma -EEXIST")
    return [
        {name: step.events[name] for name in wanted if name in step.events}
        for step in measured.steps
    ]


def maps() -> int:
    with open("/proc/self/maps", encoding="utf-8") as file:
        return sum("memfd:bar" in line for line in file)


def test_a_touch_of_disabled_memory_is_a_signal_for_each_page(device: FakeDevice) -> None:
    asked = workload((Touch(),), (Memory(False), Touch()), (Memory(True), Touch()))
    measured = run(asked, device, 2)

    assert [step.name for step in measured.steps] == ["map", "0", "1", "2"]
    assert events(measured) == [{}, {}, {"signals": PAGES}, {}]
    assert 0 < measured.step("0").events["faults"] <= PAGES
    assert "faults" not in measured.step("1").events


def test_addresses_are_those_that_there_were(device: FakeDevice) -> None:
    measured = run(workload((Mremap(),), windows=2), device, 2)
    done = measured.workload
    (move,) = done.steps[0].actions

    assert done.bar == Bar(SIZE, ADDRESS)
    assert all((window.address - ADDRESS) % GiB == PAGE for window in done.windows)
    assert len({window.address for window in done.windows}) == 2
    assert isinstance(move, Mremap)
    assert move.address not in (0, done.windows[0].address)
    assert (move.address - done.windows[0].address) % GiB == 0
    assert measured_from_data(measured_to_data(measured)) == measured


def test_a_child_touches_what_it_was_given(device: FakeDevice) -> None:
    asked = workload(
        (Fork(),), (Munmap(), Touch(in_child=True)), (Memory(False), Touch(in_child=True))
    )
    measured = run(asked, device, 2)

    assert events(measured)[2:] == [{}, {"signals": PAGES}]
    assert "child VmPTE" in measured.step("1").state
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_error_of_map_dma_is_an_event(device: FakeDevice) -> None:
    asked = workload((Memory(False), MapDma(), UnmapDma()), (Memory(True), MapDma(), UnmapDma()))

    assert events(run(asked, device, 2)) == [{}, {"map_dma -EFAULT": 1}, {}]
    assert device.dma == {}


def test_to_map_the_same_twice_is_an_error_and_at_another_address_none(
    device: FakeDevice,
) -> None:
    asked = workload((MapDma(), MapDma()), (Mremap(), MapDma()), (UnmapDma(), MapDma()))

    assert events(run(asked, device, 2)) == [{}, {"map_dma -EEXIST": 1}, {}, {}]


def test_a_step_is_done_as_often_as_it_says(device: FakeDevice) -> None:
    asked = workload((Memory(False), Touch(end=2 * PAGE), Memory(True)), times=3)
    assert events(run(asked, device, 2)) == [{}, {"signals": 6}]


def test_steps_are_told_when_they_are_over(device: FakeDevice) -> None:
    told: list[MeasuredStep] = []
    measured = run(workload((Touch(),), (Munmap(),)), device, 2, told.append)
    assert tuple(told) == measured.steps


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (workload((MapDma(), Munmap(), Touch())), "uses window 0 after its munmap"),
        (workload((MapDma(), Touch(in_child=True))), "touches in a child before it forks"),
        (workload((Fork(), MapDma(), Fork())), "a workload forks once"),
        (Workload(Bar(2 * SIZE), ()), "for a BAR of 0x80000 bytes, and BAR 2 of 0000:17:00.0 has"),
    ],
)
def test_nothing_stays_after_an_error(device: FakeDevice, asked: Workload, message: str) -> None:
    with pytest.raises(HostError, match=message):
        run(asked, device, 2)
    assert maps() == 0
    assert device.dma == {}


def test_nothing_stays_when_it_is_over(device: FakeDevice) -> None:
    run(workload((Touch(), MapDma())), device, 2)
    assert maps() == 0
    assert device.dma == {}


def test_what_is_not_counted_has_a_reason(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise HostError("not here")

    for name in ("counting", "Kcore", "memtypes"):
        monkeypatch.setattr(f"pfnlab.host.observe.{name}", refuse)
    measured = run(workload((Touch(),)), device, 2)

    assert measured.missing == dict.fromkeys(("calls", "leaves", "memtypes"), "not here")
    assert set(measured.step("0").state) == {"VmPTE"}


def test_a_design_that_is_known_is_not_looked_for(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfnlab.host.run._designs", {})
    monkeypatch.setattr("pfnlab.host.run.learn_offsets", lambda _known: None)
    monkeypatch.setattr("pfnlab.host.run.name_of_running", lambda release: f"of {release}")

    learn({})
    found = run(workload(()), device, 2)
    assert found.design == f"of {found.kernel}"

    learn({}, "remap_on_fault")
    assert run(workload(()), device, 2).design == "remap_on_fault"
