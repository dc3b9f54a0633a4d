"""recognition.json: what a run knows of itself that its predictions do not show."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mubert_jax.config_values import unknown
from mubert_jax.data.files import write_text
from mubert_jax.errors import UserError
from mubert_jax.recognition.published import PUBLISHED
from mubert_jax.training.checkpoints import run_folder

FACTS_FILE = "recognition.json"


def emotions_of(checkpoint: str | Path) -> tuple[str, ...] | None:
    """What the classes of a recognizer are called, where it is that of a run's folder."""
    path = Path(checkpoint)
    return Facts.load(run_folder(path)).classes if path.is_dir() else None


@dataclass(frozen=True)
class Facts:
    """What the report says beside the numbers.

    Attributes:
      classes: names in label order; None where only the predictions tell.
      protocol: such as loso; empty where nobody has said.
      published: key of the published numbers to print beside, such as casme2-5, or None.
      stamps: what makes the numbers not comparable, printed loudly on every table.
      warnings: what a reader should know, listed once.
    """

    classes: tuple[str, ...] | None = None
    protocol: str = ""
    published: str | None = None
    stamps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(cls, workdir: Path) -> "Facts":
        """Those of `workdir`/recognition.json, or none if there is no such file.

        Raises:
          UserError: the file is no JSON object, or holds an unknown key or a wrong value;
            names the file.
        """
        path = workdir / FACTS_FILE
        if not path.exists():
            return cls()
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: not JSON ({error}); mend or delete it") from error
        if not isinstance(values, dict):
            raise UserError(f"{path}: holds no JSON object; mend or delete it")
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise unknown(f"key {name!r} in {path}", name, names)
        return cls(**{name: _value(path, name, value) for name, value in values.items()})

    def save(self, workdir: Path) -> None:
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        write_text(workdir / FACTS_FILE, text + "\n")


def _value(path, name, value):
    if name in ("stamps", "warnings", "classes"):
        if value is None and name == "classes":
            return None
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise UserError(f"{path}: {name} is {value!r}; it takes a list of strings")
        return tuple(value)
    if not isinstance(value, str) and not (value is None and name == "published"):
        raise UserError(f"{path}: {name} is {value!r}; it takes a string")
    if name == "published" and value is not None and value not in PUBLISHED:
        raise unknown(f"published {value!r} in {path}", value, PUBLISHED)
    return value
