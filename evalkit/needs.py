"""What has to be installed: how it is looked for, and what is said where it is missing.

What needs something of this machine has a function without arguments, `needs` as a rule, that raises
`UsageError` with the fix where it is missing. A task names its own (`Task.needs`), as a kind of file does
(`MediaKind.needs`); both are called before anything is asked.
"""

from __future__ import annotations

import importlib
from typing import Any

from evalkit.errors import UsageError


def load(module: str, what: str, fix: str) -> Any:
    """The module, for `what`. Raises `UsageError` with the `fix` where it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{what} needs the package {error.name!r}: {fix}") from error
    except (ImportError, OSError) as error:  # such as soundfile without libsndfile
        said = " ".join(str(error).split())[:160]
        raise UsageError(
            f"{what} needs the package {module!r}, which does not load ({said}): {fix}"
        ) from error


def installed(distribution: str) -> str:
    """The version that is installed, "" where it is missing."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
