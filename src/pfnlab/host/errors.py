"""What cannot be done on this machine, in one line for the user."""


class HostError(Exception):
    """Its text is the whole message: what is wrong, and what helps if something does."""
