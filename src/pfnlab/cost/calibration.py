"""What an event takes on some machine: a TOML file that says which, and how that is known.

Without a calibration there are no times.  A time is a sum over events, and events for which
the calibration has no number are named beside it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pfnlab.cost.estimate import StepCost
from pfnlab.engine.errors import ModelError

# What may be measured, in ns each.
KEYS = {
    "fault_pte": "a fault that ends with one 4 KiB leaf",
    "fault_pmd": "a fault that ends with one 2 MiB leaf",
    "fault_pud": "a fault that ends with one 1 GiB leaf",
    "insert_pte": "one more 4 KiB leaf that a fault or a remap installs",
    "lookup": "a lookup of type1 that finds a leaf, with the IOMMU entries of what it finds",
    "clear_pte": "a 4 KiB leaf that is zapped",
    "clear_pmd": "a 2 MiB leaf that is zapped",
    "clear_pud": "a 1 GiB leaf that is zapped",
    "copy_pte": "a 4 KiB leaf that fork() copies",
    "copy_pmd": "a 2 MiB leaf that fork() copies",
    "copy_pud": "a 1 GiB leaf that fork() copies",
}
TEXTS = ("name", "machine", "kernel", "date", "how", "source")


@dataclass(frozen=True)
class Calibration:
    """`virtual`: measured in a guest or an emulator."""

    name: str
    machine: str
    kernel: str
    date: str
    how: str
    source: str
    virtual: bool
    ns: Mapping[str, float]

    @property
    def title(self) -> str:
        """As it is named beside a time."""
        return f"{self.name} (virtual)" if self.virtual else self.name


@dataclass(frozen=True)
class Time:
    """Seconds, and the events that they leave out; None if nothing in it is known."""

    seconds: float | None
    unknown: tuple[str, ...]


def time_of(step: StepCost, calibration: Calibration) -> Time:
    total = 0.0
    unknown = []
    known = False
    for key, count in timed_events(step).items():
        if not count:
            continue
        if key in calibration.ns:
            total += count * calibration.ns[key]
            known = True
        else:
            unknown.append(key)
    return Time(total / 1e9 if known or not unknown else None, tuple(unknown))


def timed_events(step: StepCost) -> dict[str, int]:
    """How often each of KEYS happened."""
    levels = ("pte", "pmd", "pud")
    events = {f"fault_{level}": step.event(f"resolved {level}") for level in levels}
    events["insert_pte"] = max(0, step.event("installed pte") - step.event("resolved pte"))
    events["lookup"] = step.event("lookups found")
    events |= {f"clear_{level}": step.event(f"cleared {level}") for level in levels}
    events |= {f"copy_{level}": step.event(f"copied {level}") for level in levels}
    return events


def shipped() -> dict[str, Calibration]:
    """Those that come with pfnlab, by name."""
    folder = files("pfnlab.cost") / "calibrations"
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    found = [
        parse(entry.read_text(encoding="utf-8"), entry.name)
        for entry in entries
        if entry.name.endswith(".toml")
    ]
    return {calibration.name: calibration for calibration in found}


def find_calibration(spec: str) -> Calibration:
    """A shipped one by name, or a file; raises ModelError."""
    if not spec.endswith(".toml"):
        known = shipped()
        if spec not in known and Path(spec).exists():
            raise ModelError(f"{spec} is no calibration: that is a file whose name ends in .toml")
        if spec not in known:
            raise ModelError(
                f"no calibration is called {spec!r}; there are {', '.join(known)}, "
                "or give a file: ./mine.toml"
            )
        return known[spec]
    path = Path(spec)
    if not path.is_file():
        raise ModelError(f"there is no file {spec}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{spec} is no calibration: it is no text") from error
    return parse(text, spec)


def parse(text: str, place: str) -> Calibration:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{place}: {error}") from error
    except RecursionError as error:
        raise ModelError(f"{place}: it is nested too deeply") from error
    for key in TEXTS:
        if not isinstance(data.get(key), str) or not data[key].strip():
            raise ModelError(f"{place}: a calibration says its {key}")
    if not isinstance(data.get("virtual"), bool):
        raise ModelError(f"{place}: virtual is true or false")
    ns = data.get("ns")
    if not isinstance(ns, dict):
        raise ModelError(f"{place}: there is no table [ns]")
    for key, value in ns.items():
        if key not in KEYS:
            raise ModelError(f"{place}: nothing is called {key!r}; there are {', '.join(KEYS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ModelError(f"{place}: {key} is no number of ns")
    texts = {key: " ".join(data[key].split()) for key in TEXTS}
    return Calibration(**texts, virtual=data["virtual"], ns=ns)


def toml_text(calibration: Calibration) -> str:
    """The file of a calibration."""
    lines = [f"{key} = {quoted(getattr(calibration, key))}" for key in TEXTS]
    lines.insert(4, f"virtual = {'true' if calibration.virtual else 'false'}")
    lines += ["", "[ns]", *(f"{key} = {value:.1f}" for key, value in calibration.ns.items())]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    return '"' + " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"') + '"'
