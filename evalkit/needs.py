"""Checks for packages that must be installed, with errors that say how to install them.

Code that depends on the machine has a function without arguments, usually named `needs`, that raises
`UsageError` with the fix if something is missing. Tasks (`Task.needs`) and kinds of files (`MediaKind.needs`)
name theirs; these functions are called before the first request.
"""

from __future__ import annotations

import importlib
from typing import Any

from evalkit.errors import UsageError


def load(module: str, what: str, fix: str) -> Any:
    """Imports a module that `what` needs. Raises `UsageError` with the `fix` if it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{what} needs the package {error.name!r}: {fix}") from error
    except (ImportError, OSError) as error:  # such as soundfile without libsndfile
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"{what} needs the package {module!r}, which does not load ({reason}): {fix}"
        ) from error


def installed(distribution: str) -> str:
    """The installed version of a distribution; "" if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
