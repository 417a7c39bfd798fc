"""What can go wrong in the lab."""


class LabError(Exception):
    """The lab cannot do what was asked for; the message is one line."""


class GuestError(LabError):
    """A guest did not end as it should.  `console` is what it had printed, the latest part."""

    def __init__(self, message: str, console: str = "") -> None:
        super().__init__(message)
        self.console = console
