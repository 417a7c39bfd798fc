"""A Ray cluster that works off a board: the same tasks as processes have, on any machine.

Each actor keeps the programs that it has seen.  One that dies, with its machine perhaps, is
replaced, and its task taken again.  Designs and scenarios in files are sent along as they are.
"""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pfnlab.catalogue import is_path, path_and_name, read_once
from pfnlab.cli.board import Board, Task
from pfnlab.cli.checker import Checker
from pfnlab.cli.processes import PATIENCE
from pfnlab.engine.errors import ModelError

TICK = 0.2  # seconds
REACH = 5.0  # seconds to answer
LOCAL = "local"


class Actor:
    """What runs on the cluster.  A check gets so many seconds before it is split."""

    def __init__(self, checker: Checker, files: dict[str, str], patience: float) -> None:
        for path, text in files.items():
            file = Path(path)
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            elif file.read_text(encoding="utf-8") != text:
                raise ModelError(f"{path} is another file on a machine of the cluster")
        self.checker = checker
        self.patience = patience
        self.stopped = False
        ExitStack().enter_context(read_once())  # as long as the actor lives

    def process(self) -> int:
        """The number of its process."""
        return os.getpid()

    def stop(self) -> None:
        """Come to an end; called while a task runs."""
        self.stopped = True

    def do(self, task: Task) -> Any:
        """A task, or the error that it ended with."""
        try:
            if task.work is None:
                return self.checker.whole(
                    task.pair,
                    lambda seconds: self.stopped or seconds >= self.patience,
                    lambda: self.stopped,
                )
            return self.checker.slice(
                task.pair, task.racing, task.work, task.budget, lambda _totals: self.stopped
            )
        except Exception as error:
            return error


class Cluster:
    """All processors of a cluster."""

    def __init__(self, board: Board, address: str, patience: float = PATIENCE) -> None:
        try:
            import ray
        except ImportError as error:
            raise ModelError("--ray needs Ray: pip install 'pfnlab[cluster]'") from error
        self.ray: Any = ray
        self.board = board
        self.address = address
        self.patience = patience
        self.tasks: dict[Any, tuple[Any, Task]] = {}  # by what will come: actor and task
        self.idle: list[Any] = []
        self.processes: list[Any] = []  # the numbers of those that were begun

    def run(self, tick: Callable[[], bool]) -> None:
        """Work until the board is done, or `tick` says that it is enough."""
        self._connect()
        board = self.board
        self.most = board.workers = max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        try:
            while not board.over:
                if not board.interrupted and tick():
                    board.interrupted = True
                    for actor, _task in self.tasks.values():
                        actor.stop.options(concurrency_group="stop").remote()
                self._hand_out()
                if not self.tasks:
                    break
                ready, _ = self.ray.wait(list(self.tasks), num_returns=1, timeout=TICK)
                for reference in ready:
                    self._hear(reference)
        finally:
            for actor in [*self.idle, *[actor for actor, _task in self.tasks.values()]]:
                self.ray.kill(actor)
            self.ray.shutdown()

    def _connect(self) -> None:
        if self.ray.is_initialized():
            return
        address = None if self.address == LOCAL else self.address
        if address is not None:
            _reach(address)
        try:
            self.ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            why = str(error).strip().splitlines()[0]
            raise ModelError(f"no Ray cluster at {self.address}: {why}") from error

    def _hand_out(self) -> None:
        while self.idle or len(self.tasks) < self.most:
            task = self.board.take()
            if task is None:
                return
            actor = self.idle.pop() if self.idle else self._begin()
            # Tasks are greenlets, which stay in their thread: one for all work.
            do = actor.do.options(concurrency_group="work")
            self.tasks[do.remote(task)] = (actor, task)

    def _begin(self) -> Any:
        remote = self.ray.remote(
            num_cpus=1, max_restarts=0, concurrency_groups={"work": 1, "stop": 1}
        )(Actor)
        checker = Checker(self.board.checker.options)
        actor = remote.remote(checker, _files(self.board), self.patience)
        self.processes.append(actor.process.options(concurrency_group="stop").remote())
        return actor

    def _hear(self, reference: Any) -> None:
        actor, task = self.tasks.pop(reference)
        try:
            came = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self.board.lost(task, str(error).strip().splitlines()[0])
            return
        if isinstance(came, BaseException):
            raise came
        self.idle.append(actor)
        if task.work is None:
            self.board.whole(task, came)
        else:
            self.board.slice(task, came)


def _reach(address: str) -> None:
    """Raise ModelError if nobody answers at HOST:PORT; Ray itself tries for minutes."""
    host, _colon, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        raise ModelError(f"--ray {address}: give HOST:PORT, or {LOCAL!r}")
    try:
        socket.create_connection((host, int(port)), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        raise ModelError(f"no Ray cluster at {address}: {error}") from error


def _files(board: Board) -> dict[str, str]:
    """The files of the user's that checks are about."""
    specs = {spec for check in board.checks for spec in check.pair if is_path(spec)}
    paths = {path_and_name(spec)[0] for spec in specs}
    return {path: Path(path).read_text(encoding="utf-8") for path in paths}
