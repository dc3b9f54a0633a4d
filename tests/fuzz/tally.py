"""One seed for all workers, and one line at the end on what was tried."""

import collections
import os
import random

os.environ.setdefault("FUZZ_SEED", str(random.SystemRandom().randrange(2**32)))


def pytest_terminal_summary(terminalreporter):
    total = collections.Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, counts in report.user_properties:
            if name == "fuzz":
                total.update(counts)
    if total:
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(total.items()))
        terminalreporter.write_line(
            f"{total.total():,} damaged inputs: {outcomes}; FUZZ_SEED={os.environ['FUZZ_SEED']}"
        )
