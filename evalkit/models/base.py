"""The whole contract of a backend."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, get_args

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

Capability: TypeAlias = Api | Literal["logprobs", "echo", "likelihood", "tools", "prefill"] | Medium
"""`chat`, `completion`, `transcription`: what it can be asked; `image`, `audio`: what a chat may hold.

`logprobs`: of what it generates. `echo`: of a text's own tokens (`Request.echo`). `likelihood`: of whole
continuations, by a way of its own (`Request.continuations`). `tools`: it is told of tools and calls them.
`prefill`: it goes on with the last turn of a chat where that is the assistant's.
"""


def _values(kind: Any) -> tuple[str, ...]:
    """Of a type that is made of several `Literal`s."""
    return tuple(name for part in get_args(kind) for name in (_values(part) if get_args(part) else (part,)))


CAPABILITIES: tuple[str, ...] = _values(Capability)
Unit: TypeAlias = Literal["token", "character", "byte"]
Finish: TypeAlias = Literal["stop", "length", "filter", "other"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a model, complete: equal requests ask the same thing.

    `logprobs`: how many alternatives to return for each generated token; 0 asks for none.
    `echo`: return the prompt's own tokens with their log-probabilities, before what is generated; for a
    text to continue only, and with `logprobs` of at least 1.
    `continuations`: how likely each of these texts is after the prompt, a text, is all that is asked, and
    nothing is generated (`max_tokens` 0). A backend without `likelihood` is never sent such a request:
    the engine makes one with `echo` for each of them.
    `tools`: what a chat's model may call (`Response.tool_calls`).
    `max_pixels`, `resample`: the budget of each picture (0: none) and the filter that meets it; whoever
    prepares pictures for the wire heeds them, a backend sends what it is given.
    `frames`, `frame_rule`: as how many pictures, and which, a video goes over the wire; no backend is given
    a video itself.
    `seed`: None asks for none (greedy requests carry none).
    Nothing in it is or leads to the sample: no backend is shown what counts as right.
    """

    prompt: Prompt
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int = 0
    echo: bool = False
    continuations: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    max_pixels: int = 0
    resample: str = "lanczos"
    frames: int = 0
    frame_rule: str = "middle"

    def __post_init__(self) -> None:
        if self.echo and not (isinstance(self.prompt, str) and self.logprobs):
            raise UsageError("echo goes with logprobs and a text to continue: no chat returns its tokens")
        if self.continuations and (self.echo or not isinstance(self.prompt, str)):
            raise UsageError("continuations go with a text to continue, and without echo")
        if not all(self.continuations):
            raise UsageError("an empty text is no continuation")
        if self.tools and not isinstance(self.prompt, tuple):
            raise UsageError("tools go with a chat: no other route tells a model of them")

    @property
    def api(self) -> Api:
        if isinstance(self.prompt, Speech):
            return "transcription"
        return "completion" if isinstance(self.prompt, str) else "chat"

    @property
    def prefill(self) -> bool:
        """Whether the assistant's turn has begun, and the answer goes on with it."""
        return isinstance(self.prompt, tuple) and bool(self.prompt) and self.prompt[-1].role == "assistant"

    @property
    def needs(self) -> tuple[Capability, ...]:
        """What only some backends do, and this asks for: `tools`, `prefill`."""
        if not isinstance(self.prompt, tuple):
            return ()
        turns = self.prompt
        tools = self.tools or any(turn.tool_calls or turn.role == "tool" for turn in turns)
        return (*(("tools",) if tools else ()), *(("prefill",) if self.prefill else ()))

    @property
    def media(self) -> tuple[Shown, ...]:
        """What the prompt shows and plays, in order."""
        if isinstance(self.prompt, str):
            return ()
        if isinstance(self.prompt, Speech):
            return (self.prompt.audio,)
        return tuple(part for message in self.prompt for part in message.parts if not isinstance(part, str))

    def body(self) -> dict[str, JSON]:
        """Everything that is asked, as plain JSON without the seed: what is stored and hashed."""
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
        if self.echo:  # only then, so that the keys of all other requests stay what they were
            body["echo"] = True
        if self.continuations:
            body["continuations"] = list(self.continuations)
        if self.tools:
            body["tools"] = [
                {"name": one.name, "description": one.description, "parameters": dict(one.parameters)}
                for one in self.tools
            ]
        if media := self.media:
            kinds = {medium.kind for medium in media}
            if self.max_pixels and kinds & PICTURES:
                body |= {"max_pixels": self.max_pixels, "resample": self.resample}
            if "video" in kinds:
                body |= {"frames": self.frames, "frame_rule": self.frame_rule}
        return body

    def encoded(self) -> tuple[bytes, bytes]:
        """(key, body): `body()` as canonical JSON and 16 bytes of its SHA-256.

        The key is what responses are stored under, together with the draw's index.
        """
        body = orjson.dumps(self.body(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(body).digest()[:16], body


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
    """Pictures and clips stand there by their digests: bodies are stored, and files are large."""
    if isinstance(content, str):
        return content
    return [_part(part) for part in content]


def _part(part: Part) -> JSON:
    if isinstance(part, str):
        return {"text": part}
    return {part.kind: part.key}


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token. `top`: alternatives the server returned, token text → natural-log probability."""

    token: str
    logprob: float
    """nan for the first token of a prompt, which nothing comes before."""
    top: dict[str, float]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model holds `text` to be after a prompt."""

    text: str
    """The continuation, with the space before it where it has one."""
    logprob: float
    """Natural logarithm of its probability: the sum over its tokens; -inf where it is 0."""
    tokens: int | None = None
    """How many it was read as, where the backend says."""
    greedy: bool | None = None
    """Whether each of its tokens was the likeliest, as in greedy decoding; None: not known."""

    def per(self, unit: Unit, text: str = "") -> float:
        """`logprob` divided by the length in `unit`s, bytes being those of UTF-8.

        `text`: what characters and bytes are counted of where that is not the continuation. lm-eval counts
        those of the choice without the space that stands before it, for acc_norm (characters) and acc_bytes.
        Raises `UsageError` where the backend did not say how many tokens there are.
        """
        counted = text or self.text
        if unit == "token":
            if not self.tokens:
                raise UsageError(f"the model does not say how many tokens {self.text!r} has")
            return self.logprob / self.tokens
        return self.logprob / len(counted if unit == "character" else counted.encode())


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said. After a turn that the assistant had begun, `text` is what it went on with."""

    text: str
    finish: Finish = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    """Of the attempt that succeeded."""
    reasoning: str = ""
    """A separate reasoning text where the endpoint gives one; never searched for the answer."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of what was generated."""
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    """Of the prompt, where `echo` asked for it; their texts add up to the prompt."""
    likelihoods: tuple[Likelihood, ...] = ()
    """Of the request's `continuations`, in their order."""
    tool_calls: tuple[ToolCall, ...] = ()
    """What it wants to be called, of the request's `tools`, in its order."""
    media: tuple[Image | Audio, ...] = ()
    """Pictures and clips that it made, in order; a run file keeps them whole."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", plain_text(self.text))
        object.__setattr__(self, "reasoning", plain_text(self.reasoning))

    @property
    def truncated(self) -> bool:
        return self.finish == "length"


class Model(Protocol):
    """A backend: something that answers requests.

    `name`: as typed, `backend/name`. `identity`: what decides the answers (endpoint, weights digest,
    revision), plain JSON; two models with equal identities may share answers, no others.
    `parallel`: how many requests it can use at once; None: as many as come.
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

    The engine hands it what waits, `batch_size` requests at most and one call at a time, with
    `2 * batch_size` in flight unless `parallel` says otherwise; `generate` is then only for others.
    """

    batch_size: int

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        """An answer or an error for each, in their order; each as `generate` would give it alone.

        What it raises is no request's own: each of several is then asked in a call of its own.
        """
        ...
