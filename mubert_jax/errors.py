"""The one exception a user is meant to read."""


class UserError(Exception):
    """A failure the user can mend: one line that says what, where and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """
