"""What processes leave behind in the cache."""

from pathlib import Path

from pfnlab.lab.files import locked, remove_abandoned


def test_what_a_killed_process_left_is_removed_and_what_one_is_making_stays(tmp_path: Path) -> None:
    left, made = tmp_path / "6.12.9-amd64.part", tmp_path / "6.1.0-56-amd64.part"
    for folder in (left, made):
        folder.mkdir()
        (folder / "ram").touch()

    with locked(made.with_suffix(".lock")):
        remove_abandoned(tmp_path)

    assert [path.name for path in tmp_path.glob("*.part")] == [made.name]
