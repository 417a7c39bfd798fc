"""The order in which classes of locks are taken."""

from collections.abc import Callable
from dataclasses import replace

from pfnlab import Result, Scenario, explore, replay
from pfnlab.designs import huge_fault
from pfnlab.engine import Shared, choose
from pfnlab.kernel import Lab, VfioPciDevice, mutex

Task = Callable[["Device"], None]


class Device(VfioPciDevice):
    """Three more locks."""

    a = mutex()
    b = mutex()
    c = mutex()


design = replace(huge_fault.design, name="three_locks", device=Device)


def scenario_of(*tasks: Task) -> Scenario:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()

        def add(name: str, task: Task) -> None:
            lab.add_task(name, lambda: task(vdev))

        for number, task in enumerate(tasks):
            add(f"task{number}", task)

    return Scenario("locks", "Tasks take locks.", build)


def run(*tasks: Task) -> Result:
    return explore(scenario_of(*tasks), design, rules=["lock_order"])


def a_then_b(vdev: Device) -> None:
    with vdev.a, vdev.b:
        pass


def b_then_c(vdev: Device) -> None:
    with vdev.b, vdev.c:
        pass


def c_then_a(vdev: Device) -> None:
    with vdev.c, vdev.a:
        pass


def b_then_a(vdev: Device) -> None:
    with vdev.b, vdev.a:
        pass


def test_one_order_is_no_circle() -> None:
    assert run(a_then_b, a_then_b, b_then_c).verdict == "ok"


def test_a_circle_through_three_locks_is_found_in_one_task_that_cannot_deadlock() -> None:
    def all_three(vdev: Device) -> None:
        a_then_b(vdev)
        b_then_c(vdev)
        c_then_a(vdev)

    scenario = scenario_of(all_three)

    assert explore(scenario, design, rules=["no_deadlock"]).verdict == "ok"
    result = explore(scenario, design)
    assert result.violation is not None
    assert result.violation.rule == "lock_order"
    assert result.violation.evidence == (
        "Device.c > Device.a: task0 takes Device.a while it holds Device.c (step 9).",
        "Device.a > Device.b: task0 takes Device.b while it holds Device.a (step 1).",
        "Device.b > Device.c: task0 takes Device.c while it holds Device.b (step 5).",
    )
    assert result.schedule == "task0:10"


def test_three_tasks_that_could_deadlock_are_found_without_the_deadlock() -> None:
    result = run(a_then_b, b_then_c, c_then_a)

    assert result.violation is not None
    assert result.violation.rule == "lock_order"
    assert len(result.violation.evidence) == 3


def test_a_trylock_makes_no_edge_to_the_lock_it_takes() -> None:
    def b_then_try_a(vdev: Device) -> None:
        with vdev.b:
            if vdev.a.trylock():
                vdev.a.unlock()

    assert run(a_then_b, b_then_try_a).verdict == "ok"


def test_what_is_taken_under_a_trylock_counts() -> None:
    def try_b_then_a(vdev: Device) -> None:
        if vdev.b.trylock():
            with vdev.a:
                pass
            vdev.b.unlock()

    assert run(a_then_b, try_b_then_a).verdict == "FAIL"


def test_two_readers_of_a_semaphore_count_like_writers() -> None:
    def a_then_read(vdev: Device) -> None:
        with vdev.a, vdev.memory_lock.read():
            pass

    def read_then_a(vdev: Device) -> None:
        with vdev.memory_lock.read(), vdev.a:
            pass

    assert run(a_then_read, read_then_a).verdict == "FAIL"


def test_two_executions_together_make_a_circle() -> None:
    """Each execution takes one order only, as the second task looks at what the first did."""

    def one_way(vdev: Device) -> None:
        with vdev.c:
            vdev.memory_enabled = False
        with vdev.a, vdev.b:
            pass

    def the_other_way(vdev: Device) -> None:
        with vdev.c:
            first = vdev.memory_enabled
        if first:
            with vdev.b, vdev.a:
                pass

    scenario = scenario_of(one_way, the_other_way)
    result = explore(scenario, design, rules=["lock_order"])

    assert result.violation is not None
    assert result.violation.rule == "lock_order"
    again = replay(scenario, design, result.schedule, rules=["lock_order"])
    assert again is not None
    assert again.violation == result.violation


def test_executions_that_exclude_each_other_are_joined_by_a_semicolon() -> None:
    def a_task_that_chooses(vdev: Device) -> None:
        if choose([True, False]):
            a_then_b(vdev)
        else:
            b_then_a(vdev)

    scenario = scenario_of(a_task_that_chooses)
    result = explore(scenario, design)

    assert result.violation is not None
    assert result.violation.rule == "lock_order"
    assert result.schedule == "task0:2[0];task0:2[1]"
    again = replay(scenario, design, result.schedule)
    assert again is not None
    assert again.violation == result.violation


def test_a_lock_taken_twice_is_a_deadlock_and_no_circle() -> None:
    def twice(vdev: Device) -> None:
        with vdev.a, vdev.a:
            pass

    result = explore(scenario_of(twice), design)

    assert result.violation is not None
    assert result.violation.rule == "no_deadlock"


class Fork(Shared):
    """All locks of one class: one taken under another is a circle by itself."""

    lock = mutex()

    def __init__(self, name: str) -> None:
        self.name = name


def test_every_task_that_closes_a_circle_stops_whoever_was_first() -> None:
    """Or a step that another order has planned would meet a lock that is held for ever."""

    def build(lab: Lab) -> None:
        forks = [Fork(name) for name in "abc"]
        for name, left, right in (("plato", 0, 1), ("hypatia", 1, 2), ("zeno", 0, 2)):

            def eat(left: int = left, right: int = right) -> None:
                with forks[left].lock, forks[right].lock:
                    pass

            lab.add_task(name, eat)

    result = explore(Scenario("dinner", "Philosophers eat.", build), design)

    assert {finding.violation.rule for finding in result.findings} == {"lock_order"}
    assert all(finding.steps == 2 for finding in result.findings)


def test_a_circle_is_told_with_the_step_that_closes_it_last() -> None:
    """So that what is followed again breaks the same rule, also beside a deadlock."""

    def b_twice(vdev: Device) -> None:
        with vdev.b, vdev.b:
            pass

    def b_and_c_then_memory(vdev: Device) -> None:
        with vdev.b:
            pass
        with vdev.c, vdev.memory_lock.write():
            pass

    def memory_then_c(vdev: Device) -> None:
        with vdev.memory_lock.write(), vdev.c:
            pass

    scenario = scenario_of(b_twice, b_and_c_then_memory, memory_then_c)
    result = explore(scenario, design)

    assert {finding.violation.rule for finding in result.findings} == {"lock_order", "no_deadlock"}
    for finding in result.findings:
        again = replay(scenario, design, finding.schedule)
        assert again is not None
        assert again.violation == finding.violation
