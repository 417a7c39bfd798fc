"""What a real kernel does now, traced in a guest, is possible on the model."""

from pathlib import Path

import pytest

from pfnlab.cli.conform import load_trace
from tests.cli.command import Command
from tests.lab.conftest import FindKernel

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_the_model_can_do_what_a_kernel_is_seen_to_do(
    real_kernel: FindKernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pfnlab = Command(capsys)
    path = str(tmp_path / "one.jsonl")
    release = real_kernel("6.12").release

    recorded = pfnlab("lab", "trace", "--kernel", release, "--scenario", "one", "-o", path)
    assert recorded.status == 0, recorded.err

    trace = load_trace(Path(path))
    kinds = {event.kind for event in trace.events}
    assert {"fault.enter", "insert", "zap.enter", "lock.want", "fork", "sigbus"} <= kinds
    assert (trace.run.design, trace.run.lost) == ("huge_fault", 0)
    assert trace.run.version.startswith("6.12.")

    followed = pfnlab("conform", path)
    assert followed.status == 0, followed.out
    # Another design would not do that.
    assert pfnlab("conform", path, "--design", "remap_on_fault").status == 1
