"""Reader-writer semaphore: many readers or one writer.

A `fair` one lets a writer announce that it waits, after which new readers wait behind
it, as the kernel queues.  Without that, a task that takes the lock for read twice can
never meet a writer in between, and the deadlock of the two does not exist.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, Self, overload

from pfnlab.engine import label as kind
from pfnlab.engine import operation as op_
from pfnlab.engine.cell import Handle
from pfnlab.engine.errors import ModelError
from pfnlab.engine.fire import FREE, Holders
from pfnlab.engine.lock import Lock, LockMember
from pfnlab.engine.shared import Shared
from pfnlab.engine.store import Store


class RwSemaphore(Lock):
    """Many readers or one writer; its value is a Holders."""

    __slots__ = ("fair",)

    def __init__(self, store: Store, name: str, lock_class: str, fair: bool) -> None:
        super().__init__(store, name, lock_class)
        self.fair = fair

    # Readers

    def down_read(self) -> None:
        self._read("down_read", False)

    def down_read_killable(self) -> bool:
        """Return whether the lock was taken; False means a fatal signal came first."""
        return self._read("down_read_killable", True)

    def _read(self, verb: str, killable: bool) -> bool:
        self.acquiring(verb, "read")
        return self.take(
            op_.DOWN_READ, verb, "read", kind.READ_LOCK,
            failed=kind.READ_INTERRUPTED if self.fair else kind.INTERRUPTED,
            blocking=not killable, killable=killable, otherwise=" interrupted",
        )  # fmt: skip

    def down_read_trylock(self) -> bool:
        self.acquiring("down_read_trylock", "read", tried=True)
        return self.take(
            op_.DOWN_READ_TRYLOCK, "down_read_trylock", "read", kind.READ_TRYLOCK,
            failed=kind.READ_TRYLOCK_FAILED,
        )  # fmt: skip

    def up_read(self) -> None:
        self.drop(op_.UP_READ, "up_read", "read", kind.READ_UNLOCK)

    # Writers

    def down_write(self, subclass: int = 0) -> None:
        """`subclass` tells lockdep that another lock of this class may be held already."""
        self._write("down_write", False, subclass)

    def down_write_killable(self) -> bool:
        """Return whether the lock was taken; False means a fatal signal came first."""
        return self._write("down_write_killable", True)

    def _write(self, verb: str, killable: bool, subclass: int = 0) -> bool:
        self.acquiring(verb, "write", subclass=subclass)
        if self.fair and self.take(
            op_.QUEUE_WRITE, verb, "write", kind.WRITE_LOCK, failed=kind.WRITE_QUEUED,
            otherwise=" waits",
        ):  # fmt: skip
            return True
        return self.take(
            op_.DOWN_WRITE, verb, "write", kind.WRITE_LOCK, failed=kind.INTERRUPTED,
            blocking=not killable, killable=killable, otherwise=" interrupted",
        )  # fmt: skip

    def down_write_trylock(self) -> bool:
        self.acquiring("down_write_trylock", "write", tried=True)
        return self.take(
            op_.DOWN_WRITE_TRYLOCK, "down_write_trylock", "write", kind.WRITE_TRYLOCK,
            failed=kind.WRITE_TRYLOCK_FAILED,
        )  # fmt: skip

    def up_write(self) -> None:
        self.drop(op_.UP_WRITE, "up_write", "write", kind.WRITE_UNLOCK)

    def downgrade_write(self) -> None:
        self.drop(op_.DOWNGRADE, "downgrade_write", "write", kind.DOWNGRADE)
        self.now_held("read")

    # with sem.read(): ...

    def __enter__(self) -> NoReturn:
        raise ModelError(f"with {self.name}: it has two sides; write .read() or .write() behind it")

    def __exit__(self, *_error: object) -> None:
        """Python looks for it before it calls __enter__."""

    def read(self) -> "Side":
        return Side(self, self.down_read, self.up_read)

    def write(self) -> "Side":
        return Side(self, self.down_write, self.up_write)


class Side(Handle):
    """One side of a rw_semaphore, for `with`."""

    __slots__ = ("down", "lock", "up")

    def __init__(self, lock: Lock, down: Callable[[], None], up: Callable[[], None]) -> None:
        self.lock = lock
        self.down = down
        self.up = up

    def __enter__(self) -> None:
        self.down()

    def __exit__(
        self,
        raised: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if raised is None or self.lock.left_by(error):
            self.up()


class rw_semaphore(LockMember):
    """A sleeping reader-writer lock; `fair` lets a waiting writer hold off new readers."""

    def __init__(self, *, fair: bool = False) -> None:
        self.fair = fair

    def new(self, store: Store, name: str, lock_class: str) -> Lock:
        return RwSemaphore(store, name, lock_class, self.fair)

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> RwSemaphore: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | RwSemaphore:
        if owner is None:
            return self
        lock = self._cell(owner)
        assert isinstance(lock, RwSemaphore)
        return lock

    def _free(self) -> Any:
        return FREE


__all__ = ["Holders", "RwSemaphore", "Side", "rw_semaphore"]
