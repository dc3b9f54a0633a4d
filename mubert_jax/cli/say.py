"""Messages of the verbs to the user."""

from rich.console import Console


def say(console: Console, text: str) -> None:
    """Prints text verbatim: paths and numbers are not coloured, `[...]` is not markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
