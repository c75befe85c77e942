"""The HTTP client of the backends that ask endpoints: the address, the key, the session and the errors.

It is a thin aiohttp client: the engine retries, limits and caches. The key comes from a variable of the
environment and is sent only in a header.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urljoin

import orjson

from evalkit.errors import ProviderError
from evalkit.keys import hide, redacted
from evalkit.models.address import parse_address, redirected
from evalkit.models.bodies import error_message, one_line
from evalkit.models.refusal import says_refused
from evalkit.models.registry import KEY
from evalkit.models.service import BEARER, Service
from evalkit.models.spent import spent
from evalkit.models.too_long import ERROR_READ, TOO_LONG_STATUS, says_too_long
from evalkit.models.waiting import AWAY, LIMITED, asked_wait, is_throttled, may_pass
from evalkit.samples import JSON

_T = TypeVar("_T")
Cards: TypeAlias = Mapping[str, Mapping[str, JSON]]

OPENAI = "https://api.openai.com/v1"
OPENAI_SERVICE = Service(OPENAI, "OPENAI_BASE_URL")
JSON_BODY: Mapping[str, str] = {"Content-Type": "application/json"}
_LISTING = 5.0
"""Seconds that a list of models is waited for."""
_REACHED = 4.0
"""Seconds in which an endpoint must accept a connection before the first request."""
_EXACT = math.inf
"""The seconds from which aiohttp rounds a timeout up to a whole second of its clock; its default is 5."""
_FATAL = {401, 402, 403, 404, 405}
_BAD_KEY = b"API_KEY_INVALID"
"""Google's code for a wrong key, with a 400."""
_NEVER = (
    _BAD_KEY,
    b'"FAILED_PRECONDITION"',  # Google, about a project or a country that it serves nothing to
    b"model identifier is invalid",  # Bedrock
    b"with on-demand throughput",  # Bedrock, about a model that has only inference profiles
)
"""Parts of errors with a 400 that no request to the model escapes."""
_GOOD = {200, 201, 203}
"""The statuses that come with a response: some gateways say "created", and a proxy that it changed it."""
_LATE = frozenset({408, 499, *range(500, 600)})
"""The statuses of a server that gave up waiting for the answer, which may still arrive."""
_SAME_METHOD = {307, 308}
"""The redirects after which the same request is sent."""
_REDIRECTS = 4
_JWT = "eyJ"
"""The beginning of a token of Microsoft Entra, which Azure reads from the header Authorization."""
_LONGEST_HEADER = 1 << 16


class Refusal(ProviderError):
    """A response with another status than 200, and its body."""

    def __init__(self, message: str, status: int, body: bytes, **what: Any) -> None:
        super().__init__(message, **what)
        self.status, self.body = status, body


class Listed(NamedTuple):
    """The response to a request for the list of models: its status, its Date header, and when it came."""

    status: int
    date: str
    at: float


class Endpoint:
    """An API at `base_url` (default: OPENAI_BASE_URL, or else OpenAI's own; `service` has others').

    Raises `UsageError` for an invalid address.
    """

    def __init__(
        self,
        base_url: str = "",
        *,
        timeout: float = 600.0,
        key_env: str = KEY,
        service: Service = OPENAI_SERVICE,
    ) -> None:
        """`key_env`: the variable of the environment with the key; "" if the requests bring their own."""
        self._address = parse_address(base_url or service.address, key_env)
        self.base_url = self._address.text
        self.timeout, self._key_env, self._service = timeout, key_env, service
        self._moved: dict[str, str] = {}
        """Route → the URL that the server redirects it to."""
        importlib.import_module("aiohttp")  # here, because it would block the event loop for half a second
        self._session: Any = None
        self._cards: Cards | None = None
        self._looked: tuple[float, ProviderError | None] | None = None
        """When it was looked for last, and why it was not found."""
        self.sent = 0
        """How many requests were sent, without those for the list of models."""
        self.listed: Listed | None = None
        """What the last request for the list of models brought."""

    @property
    def key_env(self) -> str:
        """The variable of the environment with the key; "" if there is none."""
        return self._key_env

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own API, which refuses some fields that others accept."""
        return self.base_url == OPENAI

    async def post(
        self,
        route: str,
        data: Callable[[], Any],
        read: Callable[[bytes], _T],
        headers: Mapping[str, str] | None = None,
    ) -> _T:
        """What `read` makes of the response's body; a request is sent once, and again after a redirect.

        `data`: makes the body of the request. `read` is called in a thread if the body is large. Raises
        `Refusal` for all but a 200, and other `ProviderError`s.
        """
        async with self.exchange("POST", route, data, headers) as answer:
            return await self._read(answer.content, read)

    @contextlib.asynccontextmanager
    async def exchange(
        self,
        method: str,
        route: str,
        data: Callable[[], Any] = lambda: None,
        headers: Mapping[str, str] | None = None,
        **further: Any,
    ) -> AsyncIterator[Any]:
        """The response to a request, whose body the caller reads in the `with`. Raises as `post` does.

        `further`: arguments of `aiohttp.ClientSession.request`.
        """
        import aiohttp

        session = self._open_session()
        try:
            for _ in range(_REDIRECTS):
                url = self._moved.get(route) or self._address.route(route)
                self.sent += 1
                further |= {"data": data(), "headers": headers, "allow_redirects": False}
                async with session.request(method, url, **further) as answer:
                    if answer.status in _GOOD:
                        yield answer
                        return
                    body = await self._read(answer.content, bytes)
                    if answer.status in _LATE:
                        answer.hang_up()
                    target = redirected(url, answer.headers.get("Location", ""))
                    if answer.status not in _SAME_METHOD or target is None or target == url:
                        raise self.refusal(answer.status, answer.headers, body)
                    self._moved[route] = target
            raise ProviderError(f"{self.base_url} redirects in a circle: is --base-url right?", fatal=True)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._failure(error) from None

    @staticmethod
    async def _read(content: Any, read: Callable[[bytes], _T]) -> _T:
        from evalkit.models.connections import read_body

        return await read_body(content, read)

    def _failure(self, error: Exception) -> ProviderError:
        """The error of a request to which no response came."""
        import aiohttp

        from evalkit.models.connections import CONNECT

        said = one_line(str(error))
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            message = f"{self.base_url}: no connection within {CONNECT:g} s"
            return ProviderError(message, retryable=True, away=True, unsent=True, waited=CONNECT)
        if isinstance(error, TimeoutError):
            message = f"no response within {self.timeout:g} s"
            return ProviderError(message, retryable=True, throttled=True, away=True, waited=self.timeout)
        if isinstance(error, aiohttp.ClientSSLError) and (hint := _tls_hint(error, self.base_url)):
            return ProviderError(f"{self.base_url}: {said}", fatal=True, doubtful=True, hint=hint)
        if "content-encoding" in said.lower():
            said = f"the body is not packed as its Content-Encoding says, or cannot be unpacked ({said})"
        away = isinstance(error, aiohttp.ClientConnectionError | OSError)
        unsent = isinstance(error, aiohttp.ClientConnectorError)
        return ProviderError(f"{self.base_url}: {said}", retryable=True, away=away, unsent=unsent)

    async def models(self) -> frozenset[str] | None:
        """The names that `GET models` lists; None if it lists none, or does not answer as OpenAI's does."""
        cards = await self.cards()
        return None if cards is None else frozenset(cards)

    async def cards(self) -> Cards | None:
        """What `GET models` says of each model, by its name; None as for `models`."""
        try:
            await self.reach()
        except ProviderError:
            return None
        return self._cards

    async def reach(self) -> None:
        """Asks for the list of models, whatever the answer is, to see whether anybody is there.

        Raises a fatal `ProviderError` within 5 seconds if the name has no address, nobody listens, the
        certificate is not trusted, or the scheme is not the server's. A server that accepts and then says
        nothing is left to the timeout of the requests. What was found holds for a few seconds.
        """
        if self._looked is None or time.monotonic() - self._looked[0] > _LISTING:
            self._looked = time.monotonic(), await self._why_unreachable()
        if (error := self._looked[1]) is not None:
            raise error

    async def _why_unreachable(self) -> ProviderError | None:
        import aiohttp

        from evalkit.models.connections import resolve, speaks_tls

        self._cards, host = None, self._address.host
        began = time.monotonic()
        try:
            if not self._goes_through_proxy() and (said := await resolve(host, _REACHED)):
                return self._nobody(f"the name {host} has no address ({one_line(said)})")
            url, spent = self._address.route("models"), time.monotonic() - began
            limits = aiohttp.ClientTimeout(
                total=_LISTING - spent, connect=_REACHED - spent, ceil_threshold=_EXACT
            )
            async with self._open_session().get(url, timeout=limits, allow_redirects=False) as answer:
                self.listed = Listed(answer.status, answer.headers.get("Date", ""), time.time())
                if answer.status == 200:
                    self._cards = await self._read(answer.content, _listed_cards)
                if answer.status != 400:
                    return None
        except aiohttp.ConnectionTimeoutError:
            return self._nobody(f"no connection within {_REACHED:g} s")
        except TimeoutError:
            return None
        except aiohttp.ClientSSLError as error:
            return self._failure(error)
        except aiohttp.ClientConnectorError as error:
            return self._nobody(one_line(str(error)))
        except ProviderError as error:  # of the key
            return error if error.fatal else None
        except (aiohttp.ClientError, OSError):
            pass
        scheme, _, rest = self.base_url.partition("://")
        if scheme != "http" or not await speaks_tls(host, self._address.port, _LISTING - _REACHED):
            return None
        return ProviderError(
            f"{self.base_url}: the server speaks TLS", fatal=True, hint=f"write https://{rest}"
        )

    def _nobody(self, why: str) -> ProviderError:
        hint = "is --base-url right, and is the server up?"
        return ProviderError(f"{self.base_url}: {why}", fatal=True, hint=hint)

    def _goes_through_proxy(self) -> bool:
        """Whether requests may go through a proxy of the environment; those to this machine never do."""
        from urllib.request import getproxies, proxy_bypass

        return not (self._address.is_local or proxy_bypass(self._address.host)) and bool(getproxies())

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> Any:
        if self._session is None:
            import aiohttp

            from evalkit.models.connections import CONNECT, Answer, Connections

            self._session = aiohttp.ClientSession(
                headers={**self._service.headers, **self._key_headers()},
                connector=Connections(),
                response_class=Answer,
                timeout=aiohttp.ClientTimeout(total=self.timeout, connect=CONNECT, ceil_threshold=_EXACT),
                max_line_size=_LONGEST_HEADER,  # policies and cookies of gateways exceed aiohttp's 8 kB
                max_field_size=_LONGEST_HEADER,
                # Only for a proxy: it looks for one and into ~/.netrc before each request, in two threads.
                trust_env=self._goes_through_proxy(),
                auto_decompress=True,
            )
        return self._session

    def _key_headers(self) -> dict[str, str]:
        key, name = self._key(), self._key_env
        if not key.isprintable():
            raise ProviderError(f"{name} contains a line break or a control character", fatal=True)
        if key and self._address.is_azure:
            return {BEARER: f"Bearer {key}"} if key.startswith(_JWT) else {"api-key": key}
        if name and not key and self._service.requires_key(self.base_url):
            raise ProviderError(f"{name} is not set", fatal=True)
        return self._service.key_headers(key)

    def wire(self, route: str) -> dict[str, JSON]:
        """Where a request goes, and with which headers; the name of the key's variable is in its place."""
        headers = {**self._service.headers, **self._key_headers(), **JSON_BODY}
        if key := self._key():
            headers = {name: value.replace(key, f"[{self._key_env}]") for name, value in headers.items()}
        return {"url": self._moved.get(route) or self._address.route(route), "headers": {**headers}}

    def _key(self) -> str:
        key = os.environ.get(self._key_env, "").strip() if self._key_env else ""
        hide(key, self._key_env)
        return key

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes, said: str = "") -> Refusal:
        """The error of a response with `status`. `said`: the message, where it came with a 200."""
        detail = redacted(error_message(body))
        message = redacted(said) or f"HTTP {status} from {self.base_url}" + (f": {detail}" if detail else "")
        wrong_key = status in (401, 403) or _BAD_KEY in body[:ERROR_READ]
        hint = f"is {self._key_env or 'the login'} right?" if wrong_key else ""
        versioned = self._service.versioned and not self.base_url.endswith("/v1")
        if status in (404, 405) and versioned and not self._address.query:
            hint = f"did you mean --base-url {self.base_url}/v1?"
        if 300 <= status < 400 and (location := headers.get("Location")):
            target = one_line(urljoin(self.base_url, location))
            message += f" (it redirects to {target}: give that as --base-url if it is right)"
        used_up = spent(status, body)
        hint = used_up or hint
        too_long = status in TOO_LONG_STATUS and says_too_long(body)
        if says_refused(status, body):
            return Refusal(message, status, body, refused=True)
        again = may_pass(status, headers, body) and not used_up and not too_long
        return Refusal(
            message,
            status,
            body,
            retryable=again,
            retry_after=asked_wait(headers, body),
            throttled=is_throttled(status, headers) and not used_up,
            limited=again and status in LIMITED,
            away=again and status in AWAY,
            fatal=bool(used_up) or ((status in _FATAL or _tells_never(status, body)) and not again),
            doubtful=not used_up,
            hint=hint,
            too_long=too_long,
        )


def _tells_never(status: int, body: bytes) -> bool:
    """Whether an error with a 400 says that no request to the model succeeds."""
    return status == 400 and any(words in body[:ERROR_READ] for words in _NEVER)


def _listed_cards(body: bytes) -> Cards | None:
    """The entries of a list of models by their names; None if it is none."""
    try:
        return {str(model["id"]): model for model in orjson.loads(body)["data"]} or None
    except (ValueError, LookupError, TypeError):
        return None


def _tls_hint(error: Exception, url: str) -> str:
    """What to look at after a failed handshake; "" if it may succeed later, as after a broken connection."""
    reason = str(error)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason or "HTTP_REQUEST" in reason:
        return f"the server does not speak TLS: write http://{url.partition('://')[2]}"
    if "CERTIFICATE" in reason.upper():
        return "the certificate is not trusted: SSL_CERT_FILE=FILE.pem names a file of trusted certificates"
    return ""
