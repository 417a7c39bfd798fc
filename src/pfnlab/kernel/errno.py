"""Error numbers, as functions of the kernel return them: negative.  x86's values."""

Errno = int

EINTR = 4
EIO = 5
EBADF = 9
EAGAIN = 11
ENOMEM = 12
EFAULT = 14
EBUSY = 16
EEXIST = 17
EINVAL = 22
ENODEV = 19
ENOTTY = 25
EOPNOTSUPP = 95
EPERM = 1

NAMES = {
    value: name for name, value in list(globals().items()) if name[0] == "E" and name.isupper()
}


def show_errno(error: Errno) -> str:
    """-22 as "-EINVAL"."""
    return f"-{NAMES.get(-error, str(-error))}" if error else "0"
