"""A search on a real Ray cluster: on_ray.py says what is expected of it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ON_RAY = Path(__file__).with_name("on_ray.py")
NAMES = [
    statement.name
    for statement in ast.parse(ON_RAY.read_text("utf-8")).body
    if isinstance(statement, ast.FunctionDef) and statement.name.startswith("test_")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_on_a_cluster_of_two_nodes(name: str) -> None:
    # In a process of its own: Ray leaves threads, and other tests fork.
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{ON_RAY}::{name}"],
        cwd=ON_RAY.parent.parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("1 passed")
