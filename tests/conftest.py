"""Printed text is compared whole; every design is checked in every scenario once."""

import fcntl
import importlib
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pfnlab.catalogue import all_designs, all_scenarios
from pfnlab.cli.jobs import Where, run_all
from pfnlab.cli.runs import Options, Pair
from pfnlab.explorer.result import Result

SNAPSHOTS = Path(__file__).parent / "snapshots"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="write what is printed now to tests/snapshots/, to be read in the diff",
    )


@pytest.fixture
def same_as_snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/snapshots/NAME.txt, byte for byte."""

    def compare(name: str, text: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        text = text.rstrip("\n") + "\n"
        if request.config.getoption("--update-snapshots"):
            path.write_bytes(text.encode())
        assert path.is_file(), f"no snapshot {name}; run pytest --update-snapshots"
        assert text.encode() == path.read_bytes()

    return compare


REAL_CACHE = os.environ.get("XDG_CACHE_HOME")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is left in the cache of who runs the tests, nor gone on with from there."""
    with pytest.MonkeyPatch.context() as patch:
        real = Path(REAL_CACHE) if REAL_CACHE else Path.home() / ".cache"
        patch.setenv("PIP_CACHE_DIR", os.environ.get("PIP_CACHE_DIR", str(real / "pip")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _real_cache_for_real_kernels(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.node.get_closest_marker("lab") is None:
        return
    if REAL_CACHE is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", REAL_CACHE)


Results = dict[Pair, Result | None]
PLAIN = Options("dpor", None, None, None, None, None, 0)


@pytest.fixture(scope="session")
def every_result(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Results:
    """Each design that ships in each scenario that ships: as `pfnlab check` runs them.

    Where several processes of pytest share the tests, the first that needs the results
    makes a file of them, and the others wait for it.
    """
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent
    file = folder / "every_result.pickle"
    with (folder / "every_result.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            pairs = [(design, scenario) for design in all_designs() for scenario in all_scenarios()]
            results = run_all(pairs, PLAIN, Where(len(os.sched_getaffinity(0))))
            file.write_bytes(pickle.dumps(results))
    loaded: Results = pickle.loads(file.read_bytes())
    return loaded


@pytest.fixture
def ran_before(every_result: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands print what `every_result` has, and run what is not in it."""

    def run(pairs: list[Pair], options: Options, where: Where) -> Results:
        if options == PLAIN and all(pair in every_result for pair in pairs):
            return {pair: every_result[pair] for pair in pairs}
        return run_all(pairs, options, where)

    # The module: pfnlab.cli.check is the command of that name.
    monkeypatch.setattr(importlib.import_module("pfnlab.cli.check"), "run_all", run)
