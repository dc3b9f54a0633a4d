"""Pages of one file, in the style of page.html, by the templates beside this file."""

from pathlib import Path
from typing import Any

import jinja2

from mubert_jax.recognition.figures import COLOURS


def render(template: str, **values: Any) -> str:
    """The page that a template makes of its values; a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(colours=COLOURS, **values)
