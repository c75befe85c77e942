"""Whether the Hub can be reached now, by the way on which data sets are downloaded."""

from __future__ import annotations

import os
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_HUB = "https://huggingface.co"
_TIMEOUT = 3.0
_PROXY_AUTHENTICATION = 407
"""The status of a proxy that wants a password (RFC 9110, section 15.5.8)."""
_TRUE = ("1", "true", "yes", "on")


def reach() -> tuple[str, str]:
    """Returns (why the Hub cannot be reached, or "", and what was tried).

    One request with `huggingface_hub`'s HTTP client, which uses HF_ENDPOINT and the proxies of the
    environment. It is not made with `huggingface_hub` itself, which would retry for a long time.
    """
    import httpx2

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").lower() in _TRUE:
            return f"{name} is set", "only what is cached"
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB
    lost, tried = f"{endpoint} cannot be reached", f"tried HEAD {endpoint}{_by_proxy(endpoint)}"
    try:
        with httpx2.Client(timeout=_TIMEOUT) as client:
            status = client.head(endpoint).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, ImportError) as error:
        said = str(error).strip() or type(error).__name__
        return lost, f"{said} ({tried}, for {_TIMEOUT:g} s)"
    if status == _PROXY_AUTHENTICATION or status >= 500:
        return lost, f"HTTP {status} ({tried})"
    return "", f"{endpoint} ({tried})"


def _by_proxy(endpoint: str) -> str:
    """The proxy that the environment names for `endpoint`, in words, without its password."""
    try:
        parts = urlsplit(endpoint)
    except ValueError:  # it is no address
        return ""
    if proxy_bypass(parts.hostname or ""):
        return " directly"
    proxies = getproxies()
    for scheme in (parts.scheme, "all"):
        if found := proxies.get(scheme):
            return f" through {scheme.upper()}_PROXY {_without_password(found)}"
    return " without a proxy"


def _without_password(url: str) -> str:
    head, mark, rest = url.rpartition("://")
    return f"{head}{mark}{rest.rpartition('@')[2]}"
