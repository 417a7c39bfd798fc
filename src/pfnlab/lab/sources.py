"""Where packages of kernels come from: the mirrors that this host uses already, in more suites."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pfnlab.lab.errors import LabError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Those that have kernels.  By codename: mirrors may have old copies under "stable" and the like.
OTHER_SUITES = ("bookworm", "bookworm-backports", "trixie", "trixie-backports", "forky", "sid")
OTHER_SECURITY_SUITES = ("bookworm-security", "trixie-security")


@dataclass(frozen=True)
class Mirror:
    """One archive: its address, the suites that the host has of it, and who signs it."""

    uri: str
    suites: tuple[str, ...]
    keyring: str

    @property
    def is_security(self) -> bool:
        return self.uri.rstrip("/").endswith("-security")


def mirrors_of(etc: Path = Path("/etc/apt")) -> list[Mirror]:
    """The archives of Debian in the host's configuration.  Raises LabError if there is none."""
    found: dict[str, Mirror] = {}
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        entries = {".sources": _stanzas, ".list": _lines}.get(path.suffix)
        for mirror in entries(text) if entries else ():
            if re.search(r"/debian(?:-security)?/?$", mirror.uri):
                before = found.get(mirror.uri)
                suites = (*before.suites, *mirror.suites) if before else mirror.suites
                found[mirror.uri] = Mirror(mirror.uri, suites, mirror.keyring)
    if not found:
        raise LabError(f"no mirror of Debian in {etc}: give --kernel the path of a kernel")
    return list(found.values())


def sources_text(mirrors: list[Mirror], *, every_suite: bool) -> str:
    """What apt reads as a .sources file: the suites of the host, or all that have kernels."""
    stanzas = []
    for mirror in mirrors:
        suites = list(mirror.suites)
        if every_suite:
            suites += OTHER_SECURITY_SUITES if mirror.is_security else OTHER_SUITES
        stanzas.append(
            f"Types: deb\nURIs: {mirror.uri}\nSuites: {' '.join(dict.fromkeys(suites))}\n"
            f"Components: main\nSigned-By: {mirror.keyring}\n"
        )
    return "\n".join(stanzas)


def fields(stanza: str) -> dict[str, str]:
    """The fields of a stanza, with lines that go on joined."""
    found: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            found[name] = f"{found.get(name, '')} {line.strip()}".strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            found[name] = value.strip()
    return found


def _stanzas(text: str) -> Iterator[Mirror]:
    for stanza in re.split(r"\n\s*\n", text):
        found = fields(stanza)
        if "deb" not in found.get("Types", "").split() or found.get("Enabled") == "no":
            continue
        for uri in found.get("URIs", "").split():
            suites = tuple(found.get("Suites", "").split())
            yield Mirror(uri, suites, found.get("Signed-By", KEYRING))


def _lines(text: str) -> Iterator[Mirror]:
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[(?P<options>.*?)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)", line)
        if match:
            signed = re.search(r"signed-by=(\S+)", match["options"] or "")
            yield Mirror(match["uri"], (match["suite"],), signed[1] if signed else KEYRING)
