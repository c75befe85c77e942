"""A provider's API as the HTTP client needs it: its address, where the key goes, and what else is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.errors import UsageError

BEARER = "Authorization"
"""The header that has a key after the word Bearer (RFC 6750)."""
_PLACE = re.compile(r"\{([A-Z_]+)\}")


@dataclass(frozen=True, slots=True)
class Service:
    """An API of a provider.

    `url`: its own address, which requires a key if `keyed`; `{VARIABLE}` in it stands for a variable of the
    environment. `url_env`: the variable with another address, if there is one. `key_header`: the header with
    the key. `headers`: further headers of each request. `versioned`: whether its addresses end with /v1, so
    that one without it is probably wrong.
    """

    url: str
    url_env: str = ""
    key_header: str = BEARER
    headers: Mapping[str, str] = field(default_factory=dict)
    keyed: bool = True
    versioned: bool = True

    @property
    def address(self) -> str:
        """Where it is without `--base-url`. Raises `UsageError` if the environment lacks a part of it."""
        if self.url_env and (other := os.environ.get(self.url_env, "").strip()):
            return other
        missing = [name for name in _PLACE.findall(self.url) if not _variable(name)]
        if missing:
            raise UsageError(
                f"the address {self.url} needs the variable {missing[0]} of the environment: set it, or give "
                "the whole address as --base-url"
            )
        return self._own()

    def requires_key(self, address: str) -> bool:
        """Whether a request to `address` needs a key: only the provider's own address does."""
        return self.keyed and address == self._own()

    def _own(self) -> str:
        return _PLACE.sub(lambda found: _variable(found[1]), self.url)

    def key_headers(self, key: str) -> dict[str, str]:
        """The header with `key`; none if there is no key."""
        if not key:
            return {}
        return {self.key_header: f"Bearer {key}" if self.key_header == BEARER else key}


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip().rstrip("/")
