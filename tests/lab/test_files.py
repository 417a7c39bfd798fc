"""What processes leave behind in the cache."""

import os
import time
from pathlib import Path

from pfnlab.lab.files import ABANDONED, locked, remove_abandoned, written


def test_what_a_killed_process_left_is_removed_and_what_one_is_making_stays(tmp_path: Path) -> None:
    left, made = tmp_path / "6.12.9-amd64.part", tmp_path / "6.1.0-56-amd64.part"
    for folder in (left, made):
        folder.mkdir()
        (folder / "ram").touch()

    with locked(made.with_suffix(".lock")):
        remove_abandoned(tmp_path)

    assert [path.name for path in tmp_path.glob("*.part")] == [made.name]


def test_a_file_that_is_written_anew_takes_old_halves_of_it_away(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (".a.7", ".a.8", ".b.7"))
    for half in (old, new, other):
        half.touch()
    long_ago = time.time() - ABANDONED - 60
    for half in (old, other):
        os.utime(half, (long_ago, long_ago))

    with written(tmp_path / "a") as file:
        file.write(b"whole")

    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.8", ".b.7", "a"]
