"""Errors of `huggingface_hub` in words, and further attempts where waiting may help."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from evalkit.errors import DataError

PAUSES = (1.0, 2.0)
"""Seconds before each retry after a temporary failure of the Hub."""
_T = TypeVar("_T")


@contextmanager
def explained(name: str, revision: str, elsewhere: str) -> Iterator[None]:
    """Turns errors of `huggingface_hub` into a `DataError` that says how to fix them.

    `name`: of the data set or Space. `elsewhere`: how to do without the Hub.
    """
    from httpx2 import TransportError  # huggingface_hub's HTTP client
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    try:
        yield
    except errors.GatedRepoError as error:
        raise DataError(
            f"{name} on {hub} is gated: accept its terms on its page there, and set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DataError(
            f"no data set {name} on {hub}, or it is private: check the name, or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DataError(
            f"{name} on {hub} has no revision {revision!r}: `--set revision=main` reads the newest "
            "one, and the signature shows whether the questions are the same"
        ) from error
    except (
        errors.HfHubHTTPError,
        errors.LocalEntryNotFoundError,
        errors.CachedRepoTreeNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.RevisionResolutionError,
        errors.XetDownloadError,
        TransportError,
    ) as error:
        raise _out_of_reach(at(name, revision), error, elsewhere) from error
    except OSError as error:
        raise DataError(
            f"{at(name, revision)} cannot be stored in {constants.HF_HUB_CACHE} ({error}): "
            "make room there, or set HF_HOME to another folder"
        ) from error


def at(name: str, revision: str) -> str:
    """Returns a commit of a repository, as messages name it."""
    return f"{name} at revision {revision}"


def patiently(fetch: Callable[[], _T]) -> _T:
    """Returns what `fetch` does, with further attempts after temporary failures.

    `huggingface_hub` goes on with an interrupted download, but does not retry after other temporary failures.
    """
    for pause in PAUSES:
        try:
            return fetch()
        except Exception as error:
            if not _may_pass(error):
                raise
        time.sleep(pause)
    return fetch()


def _out_of_reach(place: str, error: Exception, elsewhere: str) -> DataError:
    from huggingface_hub import constants, errors

    if constants.is_offline_mode():
        return DataError(
            f"{place} is not, or not completely, in the cache {constants.HF_HUB_CACHE}, "
            f"and HF_HUB_OFFLINE is set: unset it once to download; {elsewhere}"
        )
    cause = _cause(error)
    if isinstance(cause, errors.HfHubHTTPError):
        status = cause.response.status_code
        if status in (401, 403):
            return DataError(f"{constants.ENDPOINT} refuses {place} ({status}): set HF_TOKEN")
        reason = f"HTTP status {status}"
    else:
        reason = type(cause).__name__
    return DataError(
        f"cannot download {place} from {constants.ENDPOINT} ({reason}): {elsewhere}, "
        "HF_ENDPOINT sets another Hub"
    )


def _may_pass(error: Exception) -> bool:
    """Whether the failure is temporary: the Hub was reached, and a retry may succeed."""
    from httpx2 import ConnectError, TransportError
    from huggingface_hub.errors import HfHubHTTPError

    cause = _cause(error)
    if isinstance(cause, HfHubHTTPError):
        return cause.response.status_code >= 500
    return isinstance(cause, TransportError) and not isinstance(cause, ConnectError)


def _cause(error: Exception) -> BaseException:
    """Returns the HTTP or connection error that `huggingface_hub` wrapped."""
    from huggingface_hub.errors import HfHubHTTPError

    return error if isinstance(error, HfHubHTTPError) else error.__cause__ or error
