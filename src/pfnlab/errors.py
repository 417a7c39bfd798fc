"""The errors of a wrong use, apart from all else: to report them, a command starts fast."""

from typing import ClassVar

# What is raised on the way through a file of JSON that is something else.
UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)


class ModelError(Exception):
    """A program misuses the model; the message gives the right spelling.

    Raise it with the message only.  The place (file:line) is added when the
    error leaves the task that caused it.
    """

    _last: ClassVar["ModelError | None"] = None

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        if type(self) is ModelError:
            ModelError._last = self
        self.message = message
        self.place = place

    @staticmethod
    def last_one() -> "ModelError | None":
        """Made since this was asked, and of no subclass: a task that catches it is wrong."""
        last, ModelError._last = ModelError._last, None
        return last

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


def words_of(error: BaseException) -> str:
    """The class of any error, and the first line of what it says."""
    try:
        said = str(error).strip().splitlines() or [""]
    except Exception:
        said = ["(it cannot say what)"]
    text = "".join(letter if letter.isprintable() else "?" for letter in said[0])
    text += " ..." if len(said) > 1 else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def why_unreadable(error: Exception) -> str:
    """One of UNREADABLE in a few words; what it says by itself may be the whole file."""
    match error:
        case UnicodeDecodeError():
            return "it is no text"
        case RecursionError():
            return "it is nested too deeply"
        case KeyError():
            return f"it has no {error}"
        case ValueError():
            return str(error)
    return "its parts are not what they should be"
