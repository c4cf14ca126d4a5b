"""Named places where a test makes the process die as a power cut would: by SIGKILL, with nothing cleaned up.

`TIDEMARK_FAILPOINT=name` dies the first time the place is reached, `name@3` the third. Unset, a place costs nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "TIDEMARK_FAILPOINT"
NAMES = (
    "live.mid_batch",
    "live.in_commit",
    "live.after_commit",
    "fold.in_commit",
    "bronze.before_append",
    "bronze.after_append",
    "seal.in_commit",
    "seal.after_commit",
    "silver.written",
    "gold.written",
    "publish.manifest_written",
    "publish.in_commit",
    "dimension.committed",
)
_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Die here if this is the place and the time. A name that is not listed in `NAMES` is a mistake of ours."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    place, _, times = wanted.partition("@")
    if place not in NAMES or name not in NAMES:
        raise ValueError(f"no failpoint {place} or {name}")
    _reached[name] += 1
    if name == place and _reached[name] == int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
