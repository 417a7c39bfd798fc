"""What all printed texts have in common."""

from pathlib import Path

import pytest

SNAPSHOTS = sorted((Path(__file__).parent.parent / "snapshots").glob("*.txt"))


def test_there_are_snapshots() -> None:
    assert len(SNAPSHOTS) > 10


@pytest.mark.parametrize("path", SNAPSHOTS, ids=lambda path: path.stem)
def test_a_text_can_be_pasted_into_a_mail(path: Path) -> None:
    text = path.read_bytes().decode("ascii")

    for line in text.splitlines():
        assert len(line) <= 100, line
        assert line == line.rstrip(), line
        assert line.isprintable(), line


@pytest.mark.parametrize(
    "path",
    [path for path in SNAPSHOTS if ": FAIL  " in path.read_text() and "step" in path.read_text()],
    ids=lambda path: path.stem,
)
def test_a_counterexample_points_at_the_rule_that_broke(path: Path) -> None:
    text = path.read_text(encoding="ascii")
    rules = {line.split()[-1] for line in text.splitlines() if ": FAIL  " in line}

    assert all(f"^ {rule}\n" in text for rule in rules)
