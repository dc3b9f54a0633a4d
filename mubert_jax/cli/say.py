"""What a verb tells the user."""

from rich.console import Console


def say(console: Console, text: str):
    """Prints text as it is: paths and numbers are not coloured, `[...]` is no markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
