"""What a guest has as `json`: the part of Python's own that is in C.

The rest compiles six regular expressions when it is imported: a tenth of a second by emulation.
"""

import _json
from typing import IO, Any

__all__ = ["dumps", "load", "loads"]


class Settings:
    """As the scanner wants to have them: those of json.loads(text)."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int = float, int
    parse_constant = staticmethod(float)  # NaN and the infinities


def refuse(data: object) -> None:
    raise TypeError(f"Object of type {type(data).__name__} is not JSON serializable")


settings: Any = Settings
scan: Any = _json.make_scanner(settings)
encode: Any = _json.make_encoder(
    None, refuse, _json.encode_basestring_ascii, None, ": ", ", ", False, False, True
)


def loads(text: str) -> Any:
    """Raises ValueError for what is no JSON."""
    text = text.strip()
    try:
        data, end = scan(text, 0)
    except StopIteration as error:
        raise ValueError(f"no JSON: {text[:80]!r}") from error
    if end != len(text):
        raise ValueError(f"behind the JSON is {text[end:][:80]!r}")
    return data


def load(file: IO[str]) -> Any:
    return loads(file.read())


def dumps(data: Any) -> str:
    return "".join(encode(data, 0))
