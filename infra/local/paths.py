"""Where the local stack keeps what it downloads."""

from __future__ import annotations

import os
from pathlib import Path


def repo_root() -> Path:
    """Return the folder that holds `infra/`: the checkout, for an editable install."""
    return Path(__file__).resolve().parents[2]


def tools_dir() -> Path:
    """Return the folder of downloaded tools: `$TIDEMARK_TOOLS`, else `<repo root>/.tools`. It may not exist yet."""
    override = os.environ.get("TIDEMARK_TOOLS")
    return Path(override).expanduser().resolve() if override else repo_root() / ".tools"


def jars_dir() -> Path:
    """Return the folder of downloaded jars, with one sub-folder per set (see `infra.local.jars`)."""
    return tools_dir() / "jars"
