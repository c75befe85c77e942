"""The whole contract of a backend."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import orjson

from evalkit.errors import UsageError
from evalkit.samples import JSON, Audio, Image, Medium, Part, Prompt, Shown, Speech, plain_text

Capability: TypeAlias = Literal["chat", "completion", "transcription", "logprobs"] | Medium
Finish: TypeAlias = Literal["stop", "length", "filter", "other"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a model, complete: equal requests ask the same thing.

    `logprobs`: how many alternatives to return for each generated token; 0 asks for none.
    `echo`: return the prompt's own tokens with their log-probabilities, before what is generated; for a
    text to continue only, and with `logprobs` of at least 1.
    `tail`: with `echo`, how many of the prompt's last characters are of interest; what is known of the
    tokens before them is not kept. Never sent and never hashed.
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
    tail: int = field(default=0, compare=False)
    max_pixels: int = 0
    resample: str = "lanczos"
    frames: int = 0
    frame_rule: str = "middle"

    def __post_init__(self) -> None:
        if self.echo and not (isinstance(self.prompt, str) and self.logprobs):
            raise UsageError("echo goes with logprobs and a text to continue: no chat returns its tokens")

    @property
    def api(self) -> Literal["chat", "completion", "transcription"]:
        if isinstance(self.prompt, Speech):
            return "transcription"
        return "completion" if isinstance(self.prompt, str) else "chat"

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
            prompt = [{"role": m.role, "content": _content(m.content)} for m in self.prompt]
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
        kinds = {medium.kind for medium in self.media}
        if self.max_pixels and kinds & {"image", "video"}:
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
class Response:
    """What a model said."""

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
    """Of the prompt, where `echo` asked for it; their texts add up to the prompt, or to its end."""
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

    async def aclose(self) -> None: ...
