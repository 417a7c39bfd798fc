"""The programs of trace_counts.json, each built from its `spec`, as "lastzero:5"."""

from collections.abc import Callable
from typing import Any

from pfnlab.engine import Program, Shared, choose, mutex, rw_semaphore, update, wait_event, word
from tests.explorer.small_programs import (
    Build,
    counter,
    last_write,
    last_zero,
    lock_kept,
    paired_locks,
    philosophers,
    readers,
    recursive_read,
    semaphore_users,
    trylock_vs_lock,
)


class Cell(Shared):
    value = word(0)
    m = mutex()


class Lock(Shared):
    m = mutex()
    s = rw_semaphore()
    waiters = word(0)


def tasks(*functions: Callable[[], Any]) -> Callable[[Program], None]:
    def add(program: Program) -> None:
        for place, function in enumerate(functions):
            program.add_task(f"t{place}", function)

    return add


def floating_read(writers: int) -> Build:
    def build(program: Program) -> None:
        cell = Cell()
        write = [lambda value=value: setattr(cell, "value", value) for value in range(writers)]
        tasks(*write, lambda: cell.value)(program)

    return build


def writers_readers_seq(times: int) -> Build:
    def build(program: Program) -> None:
        cell = Cell()

        def write() -> None:
            for value in range(times):
                cell.value = value

        tasks(write, write, lambda: (cell.value, cell.value))(program)

    return build


def writes_then_read(times: int) -> Build:
    def build(program: Program) -> None:
        cell = Cell()

        def run() -> None:
            for value in range(times):
                cell.value = value
            assert cell.value in range(times)

        tasks(run, run)(program)

    return build


def opt_lock(times: int) -> Build:
    def build(program: Program) -> None:
        last, x = Cell(), Cell()

        def run(me: int) -> None:
            for _ in range(times):
                last.value = me
                x.value = me
                if last.value == me:
                    assert x.value in (0, 1)
                    return

        tasks(lambda: run(0), lambda: run(1))(program)

    return build


def popl14_example(program: Program) -> None:
    x, y, z = Cell(), Cell(), Cell()

    def r() -> None:
        if y.value == 0:
            z.value = 1

    def s() -> None:
        if z.value == 1 and y.value == 0:
            x.value = 2

    tasks(lambda: setattr(x, "value", 1), lambda: setattr(y, "value", 1), r, s)(program)


def filesystem(number: int) -> Build:
    def build(program: Program) -> None:
        inodes, blocks = [Cell() for _ in range(32)], [Cell() for _ in range(26)]

        def run(me: int) -> None:
            place = me % 32
            with inodes[place].m:
                if inodes[place].value == 0:
                    allocate(place)

        def allocate(place: int) -> None:
            block = 2 * place % 26
            for _ in range(10):
                with blocks[block].m:
                    if blocks[block].value == 0:
                        blocks[block].value = 1
                        inodes[place].value = block + 1
                        return
                block = (block + 1) % 26

        tasks(*[lambda me=me: run(me) for me in range(number)])(program)

    return build


def indexer(number: int) -> Build:
    def build(program: Program) -> None:
        table = [Cell() for _ in range(128)]

        def run(me: int) -> None:
            for turn in range(1, 5):
                key = 11 * turn + me
                place = 7 * key % 128
                while not taken(table[place], key):
                    place = (place + 1) % 128

        def taken(cell: Cell, key: int) -> bool:
            with cell.m:
                free = cell.value == 0
                if free:
                    cell.value = key
            return free

        tasks(*[lambda me=me: run(me) for me in range(number)])(program)

    return build


def lock_only(number: int, times: int) -> Build:
    def build(program: Program) -> None:
        lock = Lock()

        def run() -> None:
            for _ in range(times):
                with lock.m:
                    pass

        tasks(*[run] * number)(program)

    return build


def multiprodcon(producers: int, workers: int) -> Build:
    def build(program: Program) -> None:
        requests, buffer = [Cell() for _ in range(workers)], Cell()

        def work(mine: Cell) -> None:
            for _ in range(2):
                with mine.m:
                    waiting = mine.value
                    if waiting:
                        mine.value = waiting - 1

        def produce(me: int) -> None:
            for _ in range(2):
                with buffer.m:
                    made = (buffer.value * producers + me) % 2**32
                    buffer.value = made
            other = requests[made % workers]
            with other.m:
                other.value = other.value + 1

        work_of = [lambda mine=mine: work(mine) for mine in requests]
        tasks(*work_of, *[lambda me=me: produce(me) for me in range(producers)])(program)

    return build


def queued_recursive_read(program: Program) -> None:
    """The queue of the reference: two events to read, the writer counted while it waits."""
    lock = Lock()

    def down_read() -> None:
        wait_event(lock, "waiters", lambda waiting: waiting == 0)
        lock.s.down_read()

    def read() -> None:
        down_read()
        down_read()
        lock.s.up_read()
        lock.s.up_read()

    def write() -> None:
        update(lock, "waiters", lambda waiting: waiting + 1)
        lock.s.down_write()
        update(lock, "waiters", lambda waiting: waiting - 1)
        lock.s.up_write()

    tasks(read, write)(program)


def abba(more: int) -> Build:
    def build(program: Program) -> None:
        lock, x = Lock(), Cell()

        def fault() -> None:
            with lock.s.read(), lock.m:
                assert x.value in (0, 1)

        def reset() -> None:
            with lock.m, lock.s.write():
                x.value = 1

        tasks(*[fault] * (1 + more), reset)(program)

    return build


def choice(number: int, options: int) -> Build:
    def build(program: Program) -> None:
        x = Cell()
        run = lambda: setattr(x, "value", choose(range(options)))  # noqa: E731
        tasks(*[run] * number)(program)

    return build


PROGRAMS: dict[str, Callable[..., Build]] = {
    "lastzero": last_zero,
    "readers": readers,
    "lastwrite": last_write,
    "floating_read": floating_read,
    "writers_readers_seq": writers_readers_seq,
    "writes_then_read": writes_then_read,
    "opt_lock": opt_lock,
    "popl14_example": lambda: popl14_example,
    "filesystem": filesystem,
    "indexer": indexer,
    "philosophers": lambda number, ordered=0: philosophers(number, in_order=bool(ordered)),
    "counter": counter,
    "lockonly": lock_only,
    "deadlock_hold": lock_kept,
    "mpat": paired_locks,
    "multiprodcon": multiprodcon,
    "rwreaders": semaphore_users,
    "recursive_read": lambda queue: queued_recursive_read if queue else recursive_read(fair=False),
    "trylock_vs_lock": trylock_vs_lock,
    "abba": abba,
    "choice": choice,
}


def built(spec: str) -> Build:
    name, *parameters = spec.split(":")
    return PROGRAMS[name](*map(int, parameters))


if __name__ == "__main__":
    import sys
    import time

    from pfnlab.engine.execution import Execution
    from pfnlab.explorer.optimal import Optimal

    for wanted in sys.argv[1:]:
        began = time.process_time()
        search = Optimal(Execution(Program(), built(wanted)))
        ran = in_vain = most = 0
        while search.next():
            ran += 1
            in_vain += search.in_vain
            most = max(most, search.planned)
        took = time.process_time() - began
        print(f"{wanted}: {ran} traces, {in_vain} in vain, {most} branches planned, {took:.1f} s")
