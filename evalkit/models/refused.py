"""Parameters that an endpoint refuses: found in its words, left out or renamed from then on, and said.

OpenAI's reasoning models take no temperature but their default, no stop sequences, and another name of
`max_tokens`, behind whatever address they are reached; other servers know no `seed`, or no `top_p` of 1.
Such a request is sent again without the parameter if the protocol can do without it. Otherwise no request
can succeed, and the error says what to change.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evalkit.errors import ProviderError
from evalkit.models.base import Request
from evalkit.models.http import Refusal
from evalkit.models.templates import folded, has_system, says_no_system
from evalkit.models.too_long import says_too_long
from evalkit.samples import JSON, Message

NO_SEED = ("seed", "the endpoint takes no seed: its draws cannot be repeated")
"""The departure of a request with a seed that is sent without one."""
ONE_SEED = ("n", "several draws came from one request (n), under the seed of the first of them")
"""The departure of a request for several draws: otherwise each draw has a seed of its own."""
BLANK_STOPS = ("stop", "the endpoint takes no blank stop sequences: evalkit cut the responses itself")
SYSTEM_FOLDED = ("system", "the model's template has no system message: it stood before the user's text")
_STATUS = {400, 422}
_TEMPLATE_STATUS = {400, 422, 500}
"""llama.cpp's server and older ones of vLLM answer an error of the template with a 500."""
_VALUED = ("temperature", "top_p")
_ABOUT_SAMPLING = ("temperature", "top_p", "stop", "seed")
_READ = 4096
_SHOWN = 400
"""The characters of a message that are read; some servers repeat the request after it."""
_MAX_TOKENS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_KNOWN = (*_MAX_TOKENS, "temperature", "top_p", "stop", "seed", "top_logprobs", "logprobs", "stream_options")
_COMPLAINT = re.compile(
    r"support|recogni[sz]ed|unknown|unexpected|permitted|allowed|available|deprecated|removed|extraneous"
    r"|forbidden|invalid|must|cannot|can't|may not|\bonly\b|default|at most|maximum|\btake[ns]?\b|accept"
    r"|range|refuse|ignore|\bno value\b|too (many|long)|should|reject|fixed|disabled|property|drop_params"
    r"|not (be )?(set|used|implemented)"
)
"""Phrases, in lower case, that a message uses about a parameter."""
_NOT_TAKEN = re.compile(
    r"(not|n't|un|never|no longer|cannot be|nor) ?(be )?(support|recogni[sz]|known|permit|allow|available"
    r"|accept|expected|tak|implement|us(ed|able)|set\b)|extra(neous| inputs)|forbidden|deprecated|removed"
    r"|refuse|reject|drop_params|disabled|does not exist|is ignored"
)
"""The same, for a parameter that is refused with any value."""
_CODES = {"unsupported_parameter", "unknown_parameter", "extra_forbidden", "unsupported_value"}
_NUMBER = re.compile(r"(?<![\w.\[-])\d+(?![\w\]]|\.\d|-\w)")
_STREAM = re.compile(r"\bstream(s|ed|ing|able)?\b|non-?stream")
_BOTH = re.compile(r"\bboth\b|only one|together|at the same time|mutually|either")


class Adapted:
    """What one endpoint was found not to take, and payloads without it. It learns as refusals come."""

    def __init__(self, streams: bool = True) -> None:
        """`streams`: whether to ask for a stream where the endpoint wants that, in OpenAI's way."""
        self._may_stream = streams
        self._renamed: dict[str, str] = {}
        self._dropped: set[str] = set()
        self._values: set[tuple[str, JSON]] = set()
        """(parameter, value) that is refused where others may be taken."""
        self._stops: int | None = None
        self._streams = self._folds = False

    def payload(self, payload: Mapping[str, JSON]) -> dict[str, JSON]:
        """The payload as the endpoint takes it."""
        sent: dict[str, JSON] = {}
        for name, value in payload.items():
            if name in self._dropped or (name in _VALUED and (name, value) in self._values):
                continue
            if name == "stop" and self._stops is not None and isinstance(value, list):
                value = value[: self._stops]
                if not value:
                    continue
            if name == "messages" and self._folds:
                value = folded(value)
            sent[self._renamed.get(name, name)] = value
        if self._streams:
            sent["stream"] = True
            if "stream_options" not in self._dropped:
                sent["stream_options"] = {"include_usage": True}
        return sent

    @property
    def departs(self) -> bool:
        """Whether any request may be sent otherwise than it says."""
        return bool(self._values or self._dropped or self._folds) or self._stops is not None

    def departures(self, request: Request) -> Iterator[tuple[str, str]]:
        """Yields (parameter, words) for each way in which a request is sent otherwise than it says."""
        if ("temperature", request.temperature) in self._values:
            words = f"the endpoint does not take temperature {request.temperature:g}: asked at its default"
            yield "temperature", words
        if request.temperature and ("top_p" in self._dropped or ("top_p", request.top_p) in self._values):
            yield "top_p", f"the endpoint does not take top_p {request.top_p:g}: asked at its default"
        if request.seed is not None and "seed" in self._dropped:
            yield NO_SEED
        if self._folds and has_system({"messages": _roles(request)}):
            yield SYSTEM_FOLDED
        if self._stops is not None and len(request.stop) > self._stops:
            yield stops_cut(self._stops)

    def learn(self, refusal: Refusal, sent: Mapping[str, JSON], request: Request) -> None:
        """Notes what a refusal of `sent`, which `payload` returned, says about its parameters.

        Raises `ProviderError`, with what to change, for a parameter that the protocol cannot do without.
        """
        if refusal.status in _TEMPLATE_STATUS and has_system(sent) and says_no_system(refusal.body):
            self._folds = True
            return
        crashed = b"unexpected keyword argument" in refusal.body  # of servers in Python, with a 500
        if not (refusal.status in _STATUS or crashed) or says_too_long(refusal.body):
            return
        said = Said(refusal.body)
        if request.echo and "echo" in said.text:
            return  # without its tokens, a prompt that is repeated is of no use
        known = {*sent} & {*_KNOWN, *request.extra}
        name = next(said.names(known), "")
        if (
            self._may_stream
            and "stream" not in sent
            and _STREAM.search(said.text)
            and name not in _ABOUT_SAMPLING
        ):
            self._streams = True
        elif name:
            self._refuse(name, said, sent, request, refusal)

    def _refuse(
        self, name: str, said: Said, sent: Mapping[str, JSON], request: Request, refusal: Refusal
    ) -> None:
        value = sent.get(name)
        if name in _MAX_TOKENS:
            other = _MAX_TOKENS[name]
            if (said.not_taken or other in said.text) and other not in self._renamed:
                self._renamed[name] = other
            elif isinstance(value, int) and (most := said.most_below(value)):
                raise _needed("max_tokens", str(value), f"--set max_tokens={most}", refusal)
        elif name == "stop":
            self._limit_stops(said, len(value) if isinstance(value, list) else 0)
        elif name in _VALUED:
            if value != 1 and request.temperature:  # 1 is the default of both, and what no value means
                raise _needed(name, f"{value:g}", f"--set {name}=1", refusal)
            self._values.add((name, value))
        elif name in ("logprobs", "top_logprobs"):
            if said.not_taken and not said.numbers:
                fix = "a protocol that does not choose by likelihood"
                raise _needed(name, "", fix, refusal)
        elif name in request.extra:
            if said.not_taken:
                raise _needed(name, "", f"the command without --set {name} (or extra.{name})", refusal)
        else:  # seed, stream_options
            self._dropped.add(name)

    def _limit_stops(self, said: Said, count: int) -> None:
        """Sends as many stop sequences as the message says the endpoint takes, or none."""
        fewer = [number for number in said.numbers if 0 < number < count]
        most = max(fewer, default=0)
        self._stops = most if self._stops is None else min(most, self._stops)


def stops_cut(most: int) -> tuple[str, str]:
    """The departure of a request with more stop sequences than the endpoint takes."""
    many = f"at most {most} stop sequences" if most else "no stop sequences"
    return "stop", f"the endpoint takes {many}: evalkit cut the responses itself"


class Said:
    """The message of a refusal, in lower case, and the parameters that it names."""

    def __init__(self, body: bytes) -> None:
        text = body[:_READ].decode("utf-8", "replace")
        try:
            document: Any = json.loads(body)
        except (ValueError, RecursionError):
            document = {}
        self._fields = [*_fields(document)]
        messages = [
            value for key, value in self._fields if key in ("message", "msg", "detail", "error", "raw")
        ]
        self.text = " ".join(messages or [text]).lower()[:_SHOWN]
        self._codes = {value for key, value in self._fields if key in ("code", "type")}
        self.not_taken = bool(_NOT_TAKEN.search(self.text)) or bool(self._codes & _CODES)
        self.numbers = [int(number) for number in _NUMBER.findall(self.text)]

    def most_below(self, asked: int) -> int:
        """The largest number of at least two digits below `asked`, such as 8192 of "[1, 8192]"; else 0."""
        numbers = map(int, re.findall(r"\d{2,9}", re.sub(r"(?<=\d),(?=\d{3}\b)", "", self.text)))
        return max((number for number in numbers if number < asked), default=0)

    def names(self, sent: Iterable[str]) -> Iterator[str]:
        """Yields the parameters of `sent` that the refusal is about, the most likely one first."""
        known = {*sent}
        structured = [value for key, value in self._fields if key in ("param", "loc", "parameter", "field")]
        for value in structured:
            name = re.split(r"[\[\s]", value.rpartition(".")[2] or value)[0].strip("'\"`")
            if name in known and (name in _KNOWN or self.not_taken):
                yield name
        if not _COMPLAINT.search(self.text):
            return
        found = {name: at for name in known if (at := _mentioned(name, self.text)) >= 0}
        names = sorted(found, key=lambda name: found[name])
        if {"temperature", "top_p"} <= {*names} and _BOTH.search(self.text):
            yield "top_p"  # Anthropic's newer models take one of the two
        yield from names


def _roles(request: Request) -> list[JSON]:
    turns = request.prompt if isinstance(request.prompt, tuple) else ()
    return [{"role": turn.role} for turn in turns if isinstance(turn, Message)]


def _mentioned(name: str, text: str) -> int:
    """The position at which a message names a parameter, or -1.

    Names such as `stop` are also ordinary words, so they count only with a mark.
    """
    word = re.escape(name)
    marked = rf"['\"`\[]{word}\b|{word}['\"`]|(parameters?|arguments?|fields?|property|key|model):? {word}\b"
    if name == "stop":
        marked += r"|\bstop[ _](sequence|string|word|parameter|param|token)"
    elif name in _KNOWN or "_" in name:
        marked += rf"|(?<![\w.]){word}(?!\w)"
    match = re.search(marked, text)
    return -1 if match is None else match.start()


def _fields(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields (key, text) of every text in an error's document; a list of places as its last one."""
    if isinstance(value, str):
        yield key, value
        if key == "raw" and value.lstrip().startswith("{"):  # OpenRouter repeats its provider's error
            with contextlib.suppress(ValueError, RecursionError):
                yield from _fields(json.loads(value))
    elif isinstance(value, dict):
        for inner, item in value.items():
            if inner != "input":  # pydantic repeats what it was given
                yield from _fields(item, inner)
    elif isinstance(value, list):
        texts = [item for item in value if isinstance(item, str)]
        for item in texts[-1:] if key == "loc" else value:
            yield from _fields(item, key)


def _needed(name: str, value: str, fix: str, refusal: Refusal) -> ProviderError:
    what = f"{name} {value}".strip()
    return ProviderError(
        f"the endpoint does not take {what}, which the protocol asks for: use {fix} ({refusal})", fatal=True
    )
