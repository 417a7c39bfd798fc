"""Plain fields: race-free by locking, or a finding."""

import pytest

from pfnlab.engine import ModelError, Program, Shared, field, mutex, rw_semaphore, word
from pfnlab.engine.shared import cell_of
from tests.engine.runs import broken, every_run, outcomes, rules_broken, run, values


class Device(Shared):
    lock = mutex()
    sem = rw_semaphore()
    users = field(0, guarded_by="lock")
    plain = field(0)
    quiet = field(0, traced=False)
    enabled = field(True, watched=True)
    ready = word(False)


def test_an_access_to_a_field_is_a_step_but_no_place_to_switch() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.plain = device.plain + 1
            device.plain = 7

    execution = run(build, "task:3")

    assert (execution.steps, len(execution.events)) == (3, 1)
    assert values(execution)["device1.plain"] == 7


def test_a_field_that_is_not_traced_counts_no_steps() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.quiet = 1
            with device.lock:
                device.quiet = 2

    assert every_run(build).steps == 2


def test_a_write_of_a_watched_field_is_a_place_to_switch() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.enabled = False
            device.enabled = True

    assert len(run(build, "task:2").events) == 2


def test_two_writes_that_no_lock_orders_are_a_data_race() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def one() -> None:
            device.users = 1

        @program.task
        def two() -> None:
            device.users = 2

    violation = broken(build, "one:1,two:1").violation

    assert violation.rule == "no_data_race"
    assert violation.evidence == (
        "two writes device1.users in step 2; one wrote it in step 1, and no lock orders the two.",
        "device1.users is guarded by lock.",
    )


def test_a_read_and_a_write_that_no_lock_orders_are_a_data_race_in_either_order() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def writer() -> None:
            device.plain = 1

        @program.task
        def reader() -> None:
            assert device.plain in (0, 1)

    assert broken(build, "writer:1,reader:1").violation.evidence == (
        "reader reads device1.plain in step 2; writer wrote it in step 1, "
        "and no lock orders the two.",
    )
    assert broken(build, "reader:1,writer:1").violation.evidence == (
        "writer writes device1.plain in step 2; reader read it in step 1, "
        "and no lock orders the two.",
    )


def test_two_reads_are_no_data_race() -> None:
    def build(program: Program) -> None:
        device = Device()
        for name in ("one", "two"):
            program.add_task(name, lambda: device.plain and None)

    assert every_run(build).verdict == "ok"


def test_a_write_after_two_reads_races_with_the_one_that_no_lock_orders() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def careless() -> None:
            assert device.users == 0

        @program.task
        def careful() -> None:
            with device.lock:
                assert device.users == 0

        @program.task
        def writer() -> None:
            with device.lock:
                device.users = 1

    violation = broken(build, "careless:1,careful:3,writer:2").violation

    assert violation.evidence[0].startswith(
        "writer writes device1.users in step 6; careless read it in step 1"
    )


def test_accesses_under_one_mutex_are_no_data_race() -> None:
    device: list[Device] = []

    def build(program: Program) -> None:
        device[:] = [Device()]

        def use() -> None:
            with device[0].lock:
                device[0].users += 1

        program.add_task("one", use)
        program.add_task("two", use)

    assert outcomes(build, lambda: cell_of(device[0], "users").value) == {2}


def test_writes_under_different_locks_are_a_data_race() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def one() -> None:
            with device.lock:
                device.plain = 1

        @program.task
        def two() -> None:
            with device.sem.write():
                device.plain = 2

    assert rules_broken(build) == ["no_data_race"]


@pytest.mark.parametrize(
    ("writing", "rules"), [(False, ["no_data_race"]), (True, [])], ids=["read", "write"]
)
def test_writing_a_field_needs_the_lock_for_write(writing: bool, rules: list[str]) -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def writer() -> None:
            with device.sem.write() if writing else device.sem.read():
                device.plain = 1

        @program.task
        def reader() -> None:
            with device.sem.read():
                assert device.plain in (0, 1)

    assert rules_broken(build) == rules


def test_a_write_after_the_readers_let_go_is_ordered_after_all_of_them() -> None:
    def build(program: Program) -> None:
        device = Device()

        def read() -> None:
            with device.sem.read():
                assert device.plain in (0, 1)

        program.add_task("one", read)
        program.add_task("two", read)

        @program.task
        def writer() -> None:
            with device.sem.write():
                device.plain = 1

    assert every_run(build).verdict == "ok"


def test_what_is_written_before_a_downgrade_is_ordered_before_new_readers() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def writer() -> None:
            device.sem.down_write()
            device.plain = 1
            device.sem.downgrade_write()
            assert device.plain == 1
            device.sem.up_read()

        @program.task
        def reader() -> None:
            with device.sem.read():
                assert device.plain in (0, 1)

    assert every_run(build).verdict == "ok"


def test_a_write_after_a_downgrade_is_a_data_race() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def writer() -> None:
            device.sem.down_write()
            device.sem.downgrade_write()
            device.plain = 1
            device.sem.up_read()

        @program.task
        def reader() -> None:
            with device.sem.read():
                assert device.plain in (0, 1)

    assert rules_broken(build) == ["no_data_race"]


def test_an_atomic_word_orders_what_was_written_before_it() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def producer() -> None:
            device.plain = 1
            device.ready = True

        @program.task
        def consumer() -> None:
            if device.ready:
                assert device.plain == 1

    assert every_run(build).verdict == "ok"


def test_what_is_written_after_an_atomic_word_is_not_ordered_by_it() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def producer() -> None:
            device.ready = True
            device.plain = 1

        @program.task
        def consumer() -> None:
            if device.ready:
                assert device.plain == 1

    assert rules_broken(build) == ["no_data_race"]


def test_a_trylock_that_failed_orders_nothing() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def owner() -> None:
            device.plain = 1
            with device.lock:
                pass

        @program.task
        def trier() -> None:
            if not device.lock.trylock():
                assert device.plain == 1
            else:
                device.lock.unlock()

    assert rules_broken(build) == ["no_data_race"]


def test_what_setup_wrote_is_ordered_before_all_tasks() -> None:
    def build(program: Program) -> None:
        device = Device()
        device.users = 5

        for name in ("one", "two"):
            program.add_task(name, lambda: device.users and None)

    assert every_run(build).verdict == "ok"
    assert values(run(build))["device1.users"] == 5


def test_a_data_race_that_is_not_enforced_is_no_finding() -> None:
    def build(program: Program) -> None:
        program.enforced = frozenset({"no_deadlock"})
        device = Device()

        @program.task
        def one() -> None:
            device.users = 1

        @program.task
        def two() -> None:
            device.users = 2

    assert rules_broken(build) == []


def test_a_constructor_gives_fields_their_first_value() -> None:
    class Bar(Shared):
        size = field(0)

        def __init__(self, size: int) -> None:
            self.size = size

    def build(program: Program) -> None:
        Bar(4)
        Bar(8)

    assert values(run(build)) == {"bar1.size": 4, "bar2.size": 8}


def test_a_field_cannot_be_used_outside_of_a_scenario_and_its_tasks() -> None:
    kept: list[Device] = []

    def build(program: Program) -> None:
        kept.append(Device())

    run(build)

    with pytest.raises(ModelError, match="used outside of a scenario and its tasks"):
        kept[0].users += 1
