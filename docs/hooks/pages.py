"""Pages that are made: the front page, of README.md, and those of the modules."""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mubert_jax"


def on_config(config):
    """Puts the pages of the modules into the navigation."""
    config.nav.append({"API": [{name: f"api/{name}.md"} for name in _rooms()]})
    return config


def on_files(files, config):
    """Adds the pages."""
    pages = {"index.md": front_page()} | {f"api/{name}.md": _page(name) for name in _rooms()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def front_page() -> str:
    """README.md with links as the pages have them; a file of the checkout loses its link."""
    text = (ROOT / "README.md").read_text().replace("](docs/", "](")
    return (
        re.sub(r"\[([^]]+)\]\((?!http|#)[^)]*(?<!\.md|png|csv)\)", r"\1", text)
        .replace("[Changes](CHANGELOG.md)", "`CHANGELOG.md`")
        .replace("[Contributing](CONTRIBUTING.md)", "`CONTRIBUTING.md`")
    )


def _rooms() -> list[str]:
    """The folders of the package that hold code, and its own files together as `mubert_jax`."""
    return ["mubert_jax", *sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))]


def _page(room: str) -> str:
    own = room == PACKAGE.name
    folder = PACKAGE if own else PACKAGE / room
    files = sorted(folder.glob("*.py") if own else folder.rglob("*.py"))
    lines = [f"# {room}"]
    for path in files:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if not parts[-1].startswith("_"):
            lines.append(f"::: {'.'.join(parts)}")
    return "\n\n".join(lines) + "\n"
