"""A real Ray cluster of two nodes on this machine; one of its processes is killed on the way."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster as TwoNodes

from pfnlab.cli.board import Board
from pfnlab.cli.checker import Checker
from pfnlab.cli.cluster import Cluster
from pfnlab.cli.runs import Options
from pfnlab.engine.errors import ModelError
from tests.cli.big import BIG
from tests.cli.test_resume import TRACES

PLAIN = Options("dpor", None, None, None, None, None, 0)

pytestmark = [
    pytest.mark.slow,
    # Ray's own: files and sockets that it leaves to the collector, and what it will do one day.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def nodes() -> Iterator[TwoNodes]:
    cluster = TwoNodes()
    cluster.add_node(num_cpus=1, include_dashboard=False)
    cluster.add_node(num_cpus=1)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr("pfnlab.cli.board.SLICE_SECONDS", 0.02)
    path = tmp_path / "big.py"
    path.write_text(BIG, encoding="utf-8")
    return Board([("huge_fault", str(path))], Checker(PLAIN), 2)


def test_two_nodes_count_as_one_process_does_though_a_process_is_killed(
    nodes: TwoNodes, board: Board
) -> None:
    cluster = Cluster(board, nodes.address, patience=0.02)
    killed: list[int] = []

    def kill_one() -> bool:
        if not killed and board.schedules > 500:
            killed.append(ray.get(cluster.processes[0]))
            os.kill(killed[0], signal.SIGKILL)
        return False

    cluster.run(kill_one)

    (result,) = board.results().values()
    assert result is not None
    assert (result.verdict, result.schedules, result.given_up) == ("ok", TRACES, 0)
    assert len(killed) == 1
    assert sum(board.deaths.values()) >= 1
    assert len(cluster.processes) >= 2


def test_ctrl_c_keeps_what_the_nodes_have_found(nodes: TwoNodes, board: Board) -> None:
    Cluster(board, nodes.address, patience=0.02).run(lambda: board.schedules > 500)
    board.interrupt()

    (result,) = board.results().values()
    assert result is not None
    assert result.why_incomplete == "interrupted"
    assert 500 < result.schedules < TRACES
    assert not ray.is_initialized()


def test_a_cluster_that_is_not_there_is_one_line(board: Board) -> None:
    with pytest.raises(ModelError, match=r"^no Ray cluster at 127\.0\.0\.1:1: "):
        Cluster(board, "127.0.0.1:1").run(lambda: False)


def test_what_is_no_address_is_one_line(board: Board) -> None:
    with pytest.raises(ModelError, match=r"^--ray nowhere: give HOST:PORT, or 'local'$"):
        Cluster(board, "nowhere").run(lambda: False)
