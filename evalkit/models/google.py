"""Google's application default credentials: a token for Vertex AI, renewed when it ends (google-auth).

https://google.aip.dev/auth/4110
"""

from __future__ import annotations

import asyncio
from typing import Any

from evalkit.errors import ProviderError, UsageError, one_line
from evalkit.keys import hide
from evalkit.needs import load

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_FIX = "pip install 'evalkit[vertex]'"
_WHAT = "gemini/…?vertex="


class Credentials:
    """The credentials that this machine has. Raises `UsageError` if it has none."""

    def __init__(self) -> None:
        auth = load("google.auth", _WHAT, _FIX)
        self._errors = load("google.auth.exceptions", _WHAT, _FIX)
        self._transport = load("google.auth.transport.requests", _WHAT, _FIX)
        try:
            self._found: Any = auth.default(scopes=[_SCOPE])[0]
        except self._errors.GoogleAuthError as error:
            raise UsageError(
                f"{_WHAT} needs Google's application default credentials ({one_line(error, 120)}): run "
                "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS=FILE.json"
            ) from None
        self._renewing: asyncio.Task[None] | None = None

    async def headers(self) -> dict[str, str]:
        """The header with a token that is valid now. Raises `ProviderError` if there is none to be had."""
        if not self._found.valid:
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._renewed())
            # One renewal serves all requests that wait, also if one of them is cancelled.
            await asyncio.shield(self._renewing)
        return {"Authorization": f"Bearer {self._found.token}"}

    async def _renewed(self) -> None:
        try:
            await asyncio.to_thread(self._found.refresh, self._transport.Request())
        except self._errors.TransportError as error:
            message = f"Google's token cannot be renewed: {one_line(error, 200)}"
            raise ProviderError(message, retryable=True, away=True) from None
        except self._errors.GoogleAuthError as error:
            hint = "run gcloud auth application-default login"
            message = f"Google's token cannot be renewed: {one_line(error, 200)}"
            raise ProviderError(message, fatal=True, hint=hint) from None
        hide(str(self._found.token or ""), "Google's token")
