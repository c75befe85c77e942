"""The folder in which evalkit keeps what it has downloaded or found out once."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """EVALKIT_CACHE, or else evalkit's folder in the user's cache. It may not exist yet."""
    return Path(os.environ.get("EVALKIT_CACHE") or platformdirs.user_cache_path("evalkit"))
