"""The error of a wrong use, apart from all else, so that a command can report it and start fast."""


class ModelError(Exception):
    """A program misuses the model; the message gives the right spelling.

    Raise it with the message only.  The place (file:line) is added when the
    error leaves the task that caused it.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message
