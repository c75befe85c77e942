"""The interface of a backend: requests, responses and models."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, TypeGuard, get_args

import orjson

from evalkit.errors import ProviderError, UsageError
from evalkit.samples import (
    JSON,
    PICTURES,
    Api,
    Audio,
    Image,
    Medium,
    Message,
    Part,
    Prompt,
    Shown,
    Speech,
    Tool,
    ToolCall,
    plain_text,
)

Capability: TypeAlias = (
    Api | Literal["logprobs", "echo", "likelihood", "tools", "prefill", "extra", "lm-eval"] | Medium
)
"""`chat`, `completion`, `transcription`: what it can be asked; `image`, `audio`: what a chat may hold.

`chat`, `completion`, `transcription`: the kinds of requests that it answers; `image`, `audio`: the media that
a chat may contain. `logprobs`: it returns log-probabilities of generated tokens. `echo`: it returns those of
the prompt's own tokens (`Request.echo`). `likelihood`: it computes the likelihoods of whole continuations
itself (`Request.continuations`). `tools`: it accepts tools and calls them. `prefill`: it continues the last
message of a chat if that has the role `assistant`. `extra`: it heeds further parameters (`Request.extra`).
`lm-eval`: it is a model class of lm-eval, which takes the requests of lm-eval's tasks as lm-eval makes them
(`Request.lm_eval`).
"""


def _values(kind: Any) -> tuple[str, ...]:
    """The values of a `Literal`, or of a union of several."""
    return tuple(name for part in get_args(kind) for name in (_values(part) if get_args(part) else (part,)))


CAPABILITIES: tuple[str, ...] = _values(Capability)
MOST_TOKENS = 1 << 40
"""The most tokens of one request that are believed; SQLite can add up those of any run."""
Unit: TypeAlias = Literal["token", "character", "byte"]
Finish: TypeAlias = Literal["stop", "length", "filter", "other"]


@dataclass(frozen=True, slots=True)
class Request:
    """One complete request to a model: equal requests ask the same thing.

    `logprobs`: how many alternatives to return for each generated token; 0 requests no log-probabilities.
    `echo`: return the prompt's own tokens with their log-probabilities, before the generated ones; only for a
    text to continue. With `logprobs` of 0 they have no alternatives, whatever the endpoint returns.
    `continuations`: return only the likelihood of each of these texts after the prompt, which must be a text,
    and generate nothing (`max_tokens` 0). A backend without the capability `likelihood` receives no such
    request: the engine makes one request with `echo` for each text instead.
    `tools`: the tools that the model may call in a chat (`Response.tool_calls`).
    `max_pixels`, `resample`: the most pixels of a picture (0: no limit) and the filter that scales it down.
    evalkit prepares pictures accordingly; a backend sends them unchanged.
    `frames`, `frame_rule`: how many frames of a video are sent as pictures, and which. No backend receives a
    video.
    `seed`: None requests no seed; greedy requests have none.
    `n`: how many draws to return (`Response.more`); more than 1 only for a backend with `takes_n`, which may
    return fewer. All of them then share `seed`.
    `extra`: further parameters by name, such as `top_k`, for a backend with the capability `extra`.
    `lm_eval`: what a task of lm-eval passes to lm-eval's model classes, for a backend with the capability
    `lm-eval`: the settings of a generation, in place of the other fields; with continuations,
    `{"chat": True}` if they follow a chat, or `{"rolling": True}` after an empty prompt for the likelihood of
    a whole text, in windows if it is long.
    A request contains nothing of the sample but its prompt: no backend can see what counts as right.
    """

    prompt: Prompt
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    logprobs: int = 0
    echo: bool = False
    continuations: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    max_pixels: int = 0
    resample: str = "lanczos"
    frames: int = 0
    frame_rule: str = "middle"
    extra: Mapping[str, JSON] = field(default_factory=dict, hash=False)
    lm_eval: Mapping[str, JSON] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.echo and not isinstance(self.prompt, str):
            raise UsageError("echo needs a text to continue: a chat does not return its tokens")
        chat = isinstance(self.prompt, tuple) and "chat" in self.lm_eval
        if self.continuations and (self.echo or not (chat or isinstance(self.prompt, str))):
            raise UsageError("continuations need a text to continue, and cannot be used with echo")
        if not all(self.continuations):
            raise UsageError("a continuation must not be empty")
        if self.tools and not isinstance(self.prompt, tuple):
            raise UsageError("tools need a chat: no other kind of request can offer them to a model")

    @property
    def api(self) -> Api:
        if isinstance(self.prompt, Speech):
            return "transcription"
        return "completion" if isinstance(self.prompt, str) else "chat"

    @property
    def prefill(self) -> bool:
        """Whether the chat ends with a message of the role `assistant`, which the response continues."""
        return isinstance(self.prompt, tuple) and bool(self.prompt) and self.prompt[-1].role == "assistant"

    @property
    def needs(self) -> tuple[Capability, ...]:
        """The capabilities `tools` and `prefill`, as far as the request needs them."""
        if not isinstance(self.prompt, tuple):
            return ()
        turns = self.prompt
        tools = self.tools or any(turn.tool_calls or turn.role == "tool" for turn in turns)
        return (*(("tools",) if tools else ()), *(("prefill",) if self.prefill else ()))

    @property
    def media(self) -> tuple[Shown, ...]:
        """The media files of the prompt, in order."""
        if isinstance(self.prompt, str):
            return ()
        if isinstance(self.prompt, Speech):
            return (self.prompt.audio,)
        return tuple(
            [
                part
                for message in self.prompt
                if not isinstance(message.content, str)
                for part in message.content
                if not isinstance(part, str)
            ]
        )

    def body(self) -> dict[str, JSON]:
        """The request as plain JSON without `seed` and `n`, which is what is stored and hashed."""
        prompt: JSON
        if isinstance(self.prompt, str):
            prompt = self.prompt
        elif isinstance(self.prompt, Speech):
            speech = self.prompt
            prompt = {"audio": speech.audio.key, "translate": speech.translate, "language": speech.language}
        else:
            prompt = [_turn(message) for message in self.prompt]
        body: dict[str, JSON] = {
            "api": self.api,
            "prompt": prompt,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "stop": list(self.stop),
            "logprobs": self.logprobs,
        }
        if self.echo:  # otherwise left out, so that the keys of all other requests do not change
            body["echo"] = True
        if self.continuations:
            body["continuations"] = list(self.continuations)
        if self.extra:
            body["extra"] = dict(self.extra)
        if self.lm_eval:
            body["lm_eval"] = dict(self.lm_eval)
        if self.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
                for tool in self.tools
            ]
        if media := self.media:
            kinds = {medium.kind for medium in media}
            if self.max_pixels and kinds & PICTURES:
                body |= {"max_pixels": self.max_pixels, "resample": self.resample}
            if "video" in kinds:
                body |= {"frames": self.frames, "frame_rule": self.frame_rule}
        return body

    def encoded(self) -> tuple[bytes, bytes]:
        """(key, body): the first 16 bytes of the SHA-256 of the body, and `body()` as canonical JSON.

        Responses are stored under the key and the number of the draw.
        """
        return hashed(self.body())


def hashed(body: Mapping[str, JSON]) -> tuple[bytes, bytes]:
    """(key, body) of a request's body, as `Request.encoded` returns them."""
    encoded = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(encoded).digest()[:16], encoded


def _turn(message: Message) -> dict[str, JSON]:
    turn: dict[str, JSON] = {"role": message.role, "content": _content(message.content)}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"name": call.name, "arguments": call.arguments, "id": call.id} for call in message.tool_calls
        ]
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _content(content: str | tuple[Part, ...]) -> JSON:
    """The content as JSON, with digests in place of media files, which are too large to store in bodies."""
    if isinstance(content, str):
        return content
    return [_part(part) for part in content]


def _part(part: Part) -> JSON:
    if isinstance(part, str):
        return {"text": part}
    return {part.kind: part.key}


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token and its natural-log probability.

    `top`: the alternatives that the server returned, token text → natural-log probability.
    """

    token: str
    logprob: float
    """nan for the first token of a prompt, which has no text before it."""
    top: dict[str, float]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The likelihood of `text` after a prompt, according to a model."""

    text: str
    """The continuation, including the space before it if there is one."""
    logprob: float
    """The natural logarithm of its probability: the sum over its tokens; -inf if the probability is 0."""
    tokens: int | None = None
    """The number of its tokens, if the backend returns it."""
    greedy: bool | None = None
    """Whether each of its tokens was the likeliest, as in greedy decoding; None if unknown."""

    def per(self, unit: Unit, text: str = "") -> float:
        """`logprob` divided by the length in `unit`s; bytes are those of UTF-8.

        `text`: the text whose characters or bytes are counted, if not the continuation. lm-eval counts those
        of the choice without the space before it, for acc_norm (characters) and acc_bytes. Raises
        `UsageError` if the number of tokens is needed and unknown.
        """
        counted = text or self.text
        if unit == "token":
            if not self.tokens:
                raise UsageError(f"the model does not return the number of tokens of {self.text!r}")
            return self.logprob / self.tokens
        return self.logprob / len(counted if unit == "character" else counted.encode())


@dataclass(frozen=True, slots=True)
class Response:
    """The response of a model. If the request has `prefill`, `text` is only the continuation."""

    text: str
    finish: Finish = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    """The duration of the attempt that succeeded."""
    reasoning: str = ""
    """A separate reasoning text, if the endpoint returns one; the answer is never searched in it.

    If the endpoint refused to answer (`finish` is `filter`), it is what was said before or instead.
    """
    logprobs: tuple[TokenLogprob, ...] = ()
    """The generated tokens, if `logprobs` requests them."""
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    """The tokens of the prompt, if `echo` requests them; their joined texts are the prompt."""
    likelihoods: tuple[Likelihood, ...] = ()
    """The likelihoods of the request's `continuations`, in their order."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The calls of the request's `tools` that the model wants, in its order."""
    media: tuple[Image | Audio, ...] = ()
    """Pictures and clips that the model made, in order; a run file stores them whole."""
    signs: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """What the endpoint said of itself, as (kind, value); counted, not stored (`evalkit.engine.evidence`)."""
    tokens: tuple[tuple[str, int], ...] = field(default=(), compare=False)
    """Further numbers of tokens, as (kind, tokens) (`evalkit.models.usage`); added up, not stored."""
    spoken: tuple[tuple[str, float, float], ...] = field(default=(), compare=False)
    """What a clip says when, for the answer's detail: (word or segment, its begin, its end), in seconds."""
    more: tuple[Response, ...] = ()
    """The further draws of a request with `n`, in order; each is stored by itself."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", plain_text(self.text))
        object.__setattr__(self, "reasoning", plain_text(self.reasoning))

    @property
    def draws(self) -> tuple[Response, ...]:
        """The draws of a request with `n`, each without the others."""
        return (dataclasses.replace(self, more=()), *self.more) if self.more else (self,)

    @property
    def truncated(self) -> bool:
        return self.finish == "length"

    @property
    def refused(self) -> bool:
        """Whether the endpoint's filter, or the model in a field of its own, refused to answer."""
        return self.finish == "filter"


class Model(Protocol):
    """A backend: an object that answers requests.

    `name`: as typed, `backend/name`. `identity`: what decides the responses (endpoint, digest of the weights,
    revision), as plain JSON; only models with equal identities may share stored responses.
    `parallel`: how many requests it can handle at once; None means any number.
    """

    name: str
    capabilities: frozenset[Capability]
    parallel: int | None

    @property
    def identity(self) -> dict[str, JSON]: ...

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """Raises `ProviderError`."""
        ...

    async def aclose(self) -> None:
        """Gives back connections, processes and threads; a request after that opens them again."""
        ...


class BatchModel(Model, Protocol):
    """A backend in this process that answers several requests in one call.

    The engine calls it with the waiting requests, at most `batch_size`, one call at a time; `2 * batch_size`
    requests are in flight unless `parallel` sets another number. The engine does not use its `generate`.
    """

    batch_size: int

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        """A response or an error for each request, in order, each as `generate` would return it alone.

        An exception that it raises belongs to no single request: if there are several, each is then asked in
        a call of its own.
        """
        ...


class ByIdModel(Model, Protocol):
    """A backend that answers by the sample's id instead of the prompt, such as texts that exist already.

    The engine calls its `answer_of` in place of `generate`, which it only uses for a judge model. An error of
    one id says nothing of the others, so that however many fail, the run goes on.
    """

    @property
    def ids(self) -> Collection[str]:
        """The ids that it has an answer for: before a run, they are compared with those of the samples."""
        ...

    async def answer_of(self, sample: str, *, draw: int = 0) -> Response:
        """The response for the sample with the id `sample`. Raises `ProviderError`."""
        ...


def answers_by_id(model: object) -> TypeGuard[ByIdModel]:
    """Whether `model` is a `ByIdModel`."""
    return callable(getattr(model, "answer_of", None)) and hasattr(model, "ids")
