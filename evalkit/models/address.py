"""Addresses of endpoints: as they are typed, where a request goes, and which of them are on this machine."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, urljoin, urlsplit, urlunsplit

from evalkit.errors import UsageError

_ROUTES = ("/chat/completions", "/completions", "/audio/transcriptions", "/audio/translations", "/messages")
"""The ends of addresses that name a route rather than the API; they are left out."""
_AZURE = (".azure.com", ".azure.us", ".azure.cn", ".azure-api.net")
_SECRET = re.compile(r"key|token|secret|sig(nature)?$|password|^code$", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """The address of an API. `base`: without a route, a query and a last slash. `query`: what follows `?`."""

    base: str
    query: str = ""

    @property
    def text(self) -> str:
        """As it is stored and shown."""
        return f"{self.base}?{self.query}" if self.query else self.base

    def route(self, route: str) -> str:
        """The URL of a route such as `chat/completions`, with the query after it."""
        return f"{self._sent_to}/{route}" + (f"?{self.query}" if self.query else "")

    @cached_property
    def _sent_to(self) -> str:
        """`base` with a short form of IPv4 written out, because HTTP clients refuse it."""
        try:
            host = socket.inet_ntoa(socket.inet_aton(self.host))
        except OSError:
            return self.base
        parts = urlsplit(self.base)
        return urlunsplit(parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}"))

    @cached_property
    def host(self) -> str:
        return (urlsplit(self.base).hostname or "").rstrip(".").lower()

    @property
    def port(self) -> int:
        parts = urlsplit(self.base)
        return parts.port or _DEFAULT_PORTS[parts.scheme]

    @property
    def is_azure(self) -> bool:
        """Whether it is one of Azure's, which read the key from the header `api-key`."""
        return self.host.endswith(_AZURE)

    @cached_property
    def is_local(self) -> bool:
        """Whether it is this machine, which is never reached through a proxy."""
        if self.host == "localhost" or self.host.endswith(".localhost") or self.host in _own_names():
            return True
        try:
            found = ipaddress.ip_address(self.host)
        except ValueError:
            try:  # the short forms of IPv4, such as 127.1
                found = ipaddress.ip_address(socket.inet_aton(self.host))
            except OSError:
                return False
        mapped = getattr(found, "ipv4_mapped", None) or found
        return bool(mapped.is_loopback or mapped.is_unspecified)


def parse_address(url: str, key_env: str = "OPENAI_API_KEY") -> Address:
    """The address that `url` is typed for. Raises `UsageError` if it is not a valid one.

    An address may end with a slash or with a route, as in documentation of servers. A query, such as Azure's
    `api-version`, is sent with every request. `key_env`: the variable that errors name for the key.
    """
    url = url.strip()
    if "@" in url.rpartition("://")[2].partition("/")[0]:
        raise UsageError(f"--base-url contains a password: put the key into {key_env} instead")
    base, _, query = url.partition("?")
    if not _is_address(base) or "#" in query or any(c.isspace() or not c.isprintable() for c in query):
        raise UsageError(
            f"--base-url must be an http(s) address such as http://127.0.0.1:8000/v1, not {url!r}"
        )
    for name, _value in parse_qsl(query, keep_blank_values=True):
        if _SECRET.search(name):
            raise UsageError(f"--base-url contains a key ({name}=): put the key into {key_env} instead")
    base = base.rstrip("/")
    for route in _ROUTES:
        if base.endswith(route):
            base = base.removesuffix(route).rstrip("/")
            break
    return Address(base, query)


def redirected(url: str, location: str) -> str | None:
    """The URL that a redirect of `url` leads to, if it is on the same host and port; otherwise None.

    From http to https, the port may change: the key is then sent to the same host, encrypted.
    """
    target = urljoin(url, location)
    old, new = urlsplit(url), urlsplit(target)
    try:
        ports = [part.port or _DEFAULT_PORTS.get(part.scheme) for part in (old, new)]
    except ValueError:
        return None
    if (new.hostname or "").lower() != (old.hostname or "").lower() or new.username is not None:
        return None
    if new.scheme == old.scheme and ports[0] == ports[1]:
        return target
    return target if (old.scheme, new.scheme) == ("http", "https") else None


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, name.partition(".")[0], f"{name}.local"} - {"", ".local"}


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        usable = bool(host) and parts.port != 0  # reading the port checks it
    except ValueError:
        return False
    spaced = any(c.isspace() or not c.isprintable() for c in url)
    return usable and parts.scheme in ("http", "https") and not (parts.query or parts.fragment or spaced)
