"""What a user is meant to read, and the exit codes that tell a scheduler what to do next.

The codes are those of sysexits.h where it has one; docs/commands.md lists what they mean.
"""

import errno
import re
from collections.abc import Iterator

AGAIN = "this may pass: the same command goes on"


class UserError(Exception):
    """A failure the user can mend: one line that says what, where and what to do.

    The command line prints the message without a traceback, and ends with the `exit_code` of its
    `kind_of`.
    """

    exit_code = 2


class DiskFull(UserError):
    """No space, no inodes, or a quota used up: a start before some is freed fails alike."""

    exit_code = 73  # EX_CANTCREAT


class PassingError(UserError):
    """Trouble of a disk or the network that passes: the same command may well succeed."""

    exit_code = 75  # EX_TEMPFAIL


_FULL = {errno.ENOSPC, errno.EDQUOT}
_PASSING = {
    getattr(errno, name)
    for name in (
        "EIO ESTALE EREMOTEIO ETIMEDOUT EAGAIN EINTR EBUSY ENOLCK ENFILE "
        "ECONNABORTED ECONNREFUSED ECONNRESET ENOTCONN ESHUTDOWN ENOLINK ECOMM "
        "ENETDOWN ENETRESET ENETUNREACH EHOSTDOWN EHOSTUNREACH"
    ).split()
    if hasattr(errno, name)
}
# How tensorstore and gRPC pass on what the operating system and the network say.
_CODE_IN_TEXT = re.compile(r"os_error_code='(\d+)'|\[Errno (\d+)\]")
_PASSING_STATUS = re.compile(r"\b(UNAVAILABLE|DEADLINE_EXCEEDED)\b")


def kind_of(error: BaseException) -> type[UserError]:
    """`DiskFull`, `PassingError` or `UserError`: by the error, and by what it was raised from.

    So a UserError that was raised from an OSError has the exit code of that.
    """
    for cause in _causes(error):
        if isinstance(cause, (DiskFull, PassingError)):
            return type(cause)
        codes = {int(a or b) for a, b in _CODE_IN_TEXT.findall(str(cause))}
        if isinstance(cause, OSError):
            codes.add(cause.errno or 0)
        if codes & _FULL:
            return DiskFull
        passing = isinstance(cause, (TimeoutError, ConnectionError)) and cause.errno != errno.EPIPE
        if passing or codes & _PASSING or _PASSING_STATUS.search(str(cause)):
            return PassingError
    return UserError


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those behind it, the last first."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def readable(error: Exception) -> UserError | None:
    """What to tell of an error that may come from anywhere; None for a fault of the program.

    That is the error itself where it is a UserError, and a line on a full disk, passing trouble or
    a missing permission that no code nearer to it has turned into one.
    """
    if isinstance(error, UserError):
        return error
    kind = kind_of(error)
    if not isinstance(error, OSError) or (kind is UserError and not _forbidden(error)):
        return None
    where = f"{error.filename}: " if error.filename else ""
    remedies = {
        DiskFull: "free some space, then the same command goes on",
        PassingError: AGAIN,
        UserError: "change its permissions, or take another place",
    }
    return kind(f"{where}{error.strerror or error}; {remedies[kind]}")


def _forbidden(error: OSError) -> bool:
    return isinstance(error, PermissionError) or error.errno == errno.EROFS
