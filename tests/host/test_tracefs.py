"""A trace instance leaves nothing behind, whatever of it fails."""

from pathlib import Path

import pytest

from pfnlab.host import tracefs
from pfnlab.host.tracefs import Instance


class Written:
    """Stands for tracefs: what was written to which file of it, and what it refuses."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.refused: set[str] = set()

    def write(self, path: Path, text: str, *, more: bool = False) -> None:
        line = f"{path.name} {text}".strip()
        self.log.append(line)
        if line in self.refused:
            raise OSError("no")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    found = Written()
    (tmp_path / "instances").mkdir()
    monkeypatch.setattr(tracefs, "find_tracefs", lambda: tmp_path)
    monkeypatch.setattr(tracefs, "write", found.write)
    return found


def test_probes_and_instance_are_gone_behind_the_block(written: Written) -> None:
    with Instance(64) as instance:
        instance.add_probe("faults", "handle_mm_fault", "", at_return=False)

    assert written.log[-4:] == [
        f"kprobe_events p:{instance.group}/faults handle_mm_fault",
        "tracing_on 0",
        "enable 0",
        f"kprobe_events -:{instance.group}/faults",
    ]
    assert not instance.folder.exists()


def test_probes_go_also_where_the_instance_cannot_be_stopped(written: Written) -> None:
    with pytest.raises(OSError, match="no"), Instance(64) as instance:
        instance.add_probe("faults", "handle_mm_fault", "", at_return=False)
        written.refused.add("tracing_on 0")

    assert written.log[-1] == f"kprobe_events -:{instance.group}/faults"
    assert not instance.folder.exists()
