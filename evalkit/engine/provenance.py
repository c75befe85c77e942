"""The provenance of a run: what it was made with. It is stored in the run file and never compared."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from evalkit.identity.declared import version_of
from evalkit.samples import JSON

PACKAGES = (
    "datasets", "jiwer", "lm-eval", "math-verify", "numpy", "pillow", "sacrebleu", "soundfile", "soxr",
    "sympy", "whisper-normalizer",
)  # fmt: skip
"""Packages that can change what is sent to a model or how it is scored."""


def provenance() -> dict[str, JSON]:
    """Returns when and where the run was made. The machine is evalkit's, not the endpoint's."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: version for name in PACKAGES if (version := version_of(name)) != "none"},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
