"""What the folds of a run have cost: cost.json, added to at every start."""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mubert_jax.data.files import write_text
from mubert_jax.errors import UserError

COST_FILE = "cost.json"


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and of all CPU cores together."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @classmethod
    def load(cls, workdir: Path) -> "Cost | None":
        """What is in `workdir`/cost.json; None without such a file.

        Raises:
          UserError: the file is damaged.
        """
        path = workdir / COST_FILE
        if not path.is_file():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(float(values["seconds"]), float(values["cpu_seconds"]))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path} is damaged; delete it, and no cost is shown") from error


@contextmanager
def metered(workdir: Path) -> Generator[None]:
    """Adds what the block costs, also if it is stopped, to `workdir`/cost.json."""
    before = Cost.load(workdir) or Cost()
    clock, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        spent = Cost(
            before.seconds + time.perf_counter() - clock,
            before.cpu_seconds + time.process_time() - cpu,
        )
        write_text(workdir / COST_FILE, json.dumps(asdict(spent)) + "\n")
