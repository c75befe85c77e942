"""Golden cases of solvers and readers: the requests of solvers, and the answers of readers."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import Reading
from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.errors import ProviderError
from evalkit.models.base import Likelihood, Response, TokenLogprob
from evalkit.samples import JSON, Answer, Final, Prompt, Sample
from tools.golden.calls import Call, Case, each

DRAWS = ("a", "b", "cut a", "", "cut b")
"""The responses of draws: an answer, an answer that is cut off at `max_tokens`, or an empty text."""
SAMPLE = Sample("own", "Which one?", ("A",), choices=("one", "two", "three"))
SOLVERS = (
    "ask_once", "ask_with_fallback", "ask_likelihoods", "ask_continuations", "ask_reference",
    "boolq.ask_words",
)  # fmt: skip
READERS = (
    "each_draw", "first_draw", "majority_vote", "choose_letter", "route_by_agreement", "boolq.likelier_word",
)  # fmt: skip
WHOLE_TEXTS = ("tea", "a cup of tea", "th\u00e9 \u8336", "")
"""Choices of several lengths in characters and in bytes."""
WINDOWED: tuple[tuple[str, list[list[int]]], ...] = (
    ("One two three four.", [[0, 19, 0]]),
    ("One two three four five six", [[0, 13, 0], [7, 23, 13], [18, 27, 23]]),
    ("Th\u00e9 \u8336 \U0001f642 th\u00e9 \u8336", [[0, 5, 0], [3, 13, 5]]),
    ("aaaaaaaaaaaa", [[0, 8, 0], [4, 12, 8]]),
    ("x", [[0, 1, 0]]),
    ("One two three", [[0, 5, 0], [3, 13, 5]]),
)
"""Texts with windows: one, three, other scripts, two equal ones, a single token, a cut inside a word."""
TOKENS: tuple[Mapping[str, float], ...] = (
    {"A": -1.0, "B": -0.5, "C": -2.0},
    {" A": -1.0, " B": -1.0, " C": -1.0},
    {"A": -0.1, " C": -3.0},
    {"B": -2.0, "x": -0.5},
    {"x": -0.5},
    {" C": -0.2, "\u0120B": -0.1, "\u2581A": -3.0},
    {"A": -9.0, "x": -0.001, "y": -9.5},
)


@dataclass(slots=True)
class Script:
    """A solver's context that answers by a script and records the requests."""

    protocol: Protocol
    said: Sequence[str] = ()
    token: Mapping[str, float] = field(default_factory=dict)
    asked: list[JSON] = field(default_factory=list)
    sample: Sample = SAMPLE
    prompt: Prompt = "Q"

    async def ask(self, prompt: Prompt, *, draw: int = 0, **_: object) -> Response:
        self.asked.append([str(prompt), draw])
        text = self.said[draw] if self.said else ""
        if text == "waits":
            await asyncio.Event().wait()
        if text == "fails":
            raise ProviderError("no answer")
        return _response(text, self.token)

    async def continuations(self, prompt: str, texts: Sequence[str]) -> tuple[Likelihood, ...]:
        self.asked.append([prompt, *texts])
        return ()

    async def tokens(self, text: str, *, alternatives: int = 1) -> tuple[TokenLogprob, ...]:
        self.asked.append([text, alternatives])
        if self.said:
            raise ProviderError(f"it {self.said[0]}", too_long=self.said == ("too long",))
        return (TokenLogprob(text, -1.0, {}),) * bool(self.token)

    async def under(self, protocol: str) -> Transcript:
        self.asked.append(protocol)
        return Transcript()


def cases(name: str, function: Callable[..., object]) -> Iterator[Case]:
    """Yields the cases of a solver or reader: ties, missing and cut-off answers; likelihoods of tokens."""
    if name in SOLVERS:
        yield from _solving(name, function)
    elif name == "ask_prompt_tokens":
        yield from _asking_tokens(function)
    elif name == "by_position":
        yield from _summing(function)
    elif name == "choose_continuation":
        yield from _choosing(function)
    elif name == "greedy_reference":
        yield from _preferring(function)
    elif name in READERS:
        yield from _reading(name, function)


def _solving(name: str, solver: Callable[..., object]) -> Iterator[Case]:
    for protocol in _protocols((None,)):
        scripts: list[tuple[str, Sequence[str], Mapping[str, float]]]
        scripts = [("said", ("a",) * 4, {"A": -1.0}), ("no log-probabilities", ("a",) * 4, {})]
        if protocol.draws == 2 and name != "ask_likelihoods":
            scripts.append(("one fails while another waits", ("waits", "fails"), {}))
        for shown, said, token in scripts:
            key = [protocol.draws, protocol.likelihood, shown]
            yield each((Call(_solve, (solver, protocol, said, token)),), key)


async def _solve(
    solver: Callable[..., Awaitable[None]],
    protocol: Protocol,
    said: Sequence[str],
    token: Mapping[str, float],
    sample: Sample = SAMPLE,
    prompt: Prompt = "Q",
) -> object:
    script = Script(protocol, said, token, sample=sample, prompt=prompt)
    await solver(script)
    return sorted(script.asked, key=str)


def _asking_tokens(solver: Callable[..., object]) -> Iterator[Case]:
    protocol = Protocol(name="own", api="completion", needs=("echo",))
    said: tuple[tuple[Sequence[str], Mapping[str, float]], ...]
    said = ((), {"A": -1.0}), ((), {}), (("too long",), {}), (("fails",), {})
    for text, asked in WINDOWED:
        for words, token in said:
            call = Call(_solve_or_say, (solver, protocol, words, token, _windowed(text, asked), text))
            yield each((call,), [text, asked, list(words), bool(token)])


async def _solve_or_say(solver: Callable[..., Awaitable[None]], *given: Any) -> object:
    """What `_solve` returns, or what the error says."""
    try:
        return await _solve(solver, *given)
    except ProviderError as error:
        return [str(error), error.too_long]


def _windowed(text: str, asked: Sequence[Sequence[int]]) -> Sample:
    listed: JSON = [[*one] for one in asked]
    return dataclasses.replace(SAMPLE, input=text, meta={"windows": listed})


def _summing(reader: Callable[..., object]) -> Iterator[Case]:
    """Yields tokens that spell the windows or not, split characters, and values that are no probability."""
    protocol = Protocol(name="own", api="completion", needs=("echo",))
    for text, asked in WINDOWED:
        parts = list(dict.fromkeys(text[start:end] for start, end, _ in asked))
        for shown, pieces in (("words", r"\s*\S+|\s+$"), ("characters", r"(?s)."), ("pairs", r"(?s)..?")):
            for first, odd in itertools.product(
                (math.nan, -0.5), (None, math.nan, -9999.0, 0.02, 0.01, 0.001)
            ):
                turns = []
                for part in parts:
                    texts = re.findall(pieces, part)
                    values = [first, *(-0.25 * (at % 7) for at in range(1, len(texts)))]
                    if odd is not None:
                        values[-1] = odd
                    tokens = [TokenLogprob(one, value, {}) for one, value in zip(texts, values, strict=True)]
                    if shown == "pairs":  # a character in pieces: its last token has the text
                        tokens.insert(1, TokenLogprob("", -1.5, {}))
                    turns.append(Turn(Response("", prompt_logprobs=tuple(tokens))))
                reading = Reading(Transcript(tuple(turns)), _windowed(text, asked), protocol, _extract)
                yield each((Call(reader, (reading,)),), [text, asked, shown, str(first), str(odd)])
        right = [
            Response("", prompt_logprobs=(TokenLogprob(part, -1.0, {}),)) if len(part) > 1 else Response("")
            for part in parts
        ]
        refused = Response("", finish="filter")
        for shown, said in (
            ("whole", right), ("refused", [refused] * len(parts)), ("first refused", [refused, *right[1:]]),
            ("none", [Response("")] * len(parts)), ("one more", [*right, Response("")]),
            ("one less", right[1:]),
        ):  # fmt: skip
            transcript = Transcript(tuple(map(Turn, said)))
            reading = Reading(transcript, _windowed(text, asked), protocol, _extract)
            yield each((Call(reader, (reading,)),), [text, asked, shown])


def _reading(name: str, reader: Callable[..., object]) -> Iterator[Case]:
    thresholds = (None, 0.0, 0.5, 0.75, 1.0) if name == "route_by_agreement" else (None,)
    for protocol in _protocols(thresholds):
        for shown, responses in _SAID[name]() if name in _SAID else _votes(protocol.draws):
            key = [protocol.threshold, protocol.api, protocol.likelihood, shown]
            yield each((Call(_read, (reader, protocol, responses)),), key)


def _read(reader: Callable[..., object], protocol: Protocol, responses: Sequence[Response]) -> object:
    # Earlier turns of a draw and results of tools are not answers.
    turns: list[Turn] = [Turn(Response("a"), draw) for draw in range(len(responses))]
    turns += [Turn(response, draw) for draw, response in enumerate(responses)]
    turns += [Turn(Response("b"), draw, "tool") for draw in range(len(responses))]
    greedy = Answer((Final("greedy", truncated=True),), {"own": 1})
    transcript = Transcript(tuple(turns))
    return reader(Reading(transcript, SAMPLE, protocol, _extract, {"greedy": greedy}))


def _extract(text: str, sample: Sample) -> str | None:
    return text or None


def _protocols(thresholds: Sequence[float | None]) -> Iterator[Protocol]:
    for draws, threshold in itertools.product((1, 2, 3, 4), thresholds):
        yield Protocol(
            name="own", draws=draws, temperature=0.7, threshold=threshold, fallback=("greedy", "other"),
            logprobs=3,
        )  # fmt: skip
    given: dict[str, Any] = {"name": "own", "fallback": ("greedy",), "api": "completion", "logprobs": 2}
    for likelihood in ("next-token", "prompt"):
        yield Protocol(**given, likelihood=likelihood)


def _choosing(reader: Callable[..., object]) -> Iterator[Case]:
    sample = dataclasses.replace(SAMPLE, choices=WHOLE_TEXTS)
    protocol = Protocol(name="own", api="completion", likelihood="prompt")
    for scores in (
        (-3.0, -11.0, -6.0, -9.0), (-4.0, -11.0, -6.0, -0.5), (-6.0, -24.0, -10.0, -1.0),
        (-9.0, -9.0, -9.0, -9.0),
        (-3.0, -12.0, -5.0, 0.0), (0.0, 0.0, 0.0, 0.0), (-3.0, -3.0, -3.0),
    ):  # fmt: skip
        found = tuple(Likelihood(f" {text}", one) for text, one in zip(WHOLE_TEXTS, scores, strict=False))
        for response in (Response("", likelihoods=found), Response("", finish="filter")):
            reading = Reading(Transcript((Turn(response, 0),)), sample, protocol, _extract)
            yield each((Call(reader, (reading,)),), [response.finish, *scores])


def _preferring(reader: Callable[..., object]) -> Iterator[Case]:
    protocol = Protocol(name="own", api="completion", likelihood="prompt")
    for greedy, logprob, refused in itertools.product((True, False, None), (-2.5, 0.0), (False, True)):
        found = (Likelihood(" A", logprob, 2, greedy),)
        response = Response("", finish="filter" if refused else "stop", likelihoods=found)
        reading = Reading(Transcript((Turn(response, 0),)), SAMPLE, protocol, _extract)
        yield each((Call(reader, (reading,)),), [response.finish, greedy, logprob])


def _votes(draws: int) -> Iterator[tuple[JSON, Sequence[Response]]]:
    for said in itertools.product(DRAWS[: 5 if draws < 3 else 4 if draws == 3 else 3], repeat=draws):
        yield list(said), [_response(text, {}) for text in said]


def _letters() -> Iterator[tuple[JSON, Sequence[Response]]]:
    for token in TOKENS:
        yield dict(token), [_response("", token)]
        likelihoods = tuple(Likelihood(f" {name}", token.get(f" {name}", -5.0)) for name in "ABC")
        yield ["continuations", dict(token)], [Response("", likelihoods=likelihoods)]
    yield "no log-probabilities", [Response("A")]


def _words() -> Iterator[tuple[JSON, Sequence[Response]]]:
    for scores in ((-1.0, -2.0), (-2.0, -1.0), (-1.0, -1.0), (-0.5, -0.25, -1.0), ()):
        likelihoods = tuple(Likelihood("", score) for score in scores)
        yield list(scores), [Response("", likelihoods=likelihoods)]


_SAID = {"choose_letter": _letters, "boolq.likelier_word": _words}


def _response(text: str, token: Mapping[str, float]) -> Response:
    best = max(token, key=lambda key: token[key], default="")
    logprobs = (TokenLogprob(best, token[best], dict(token)),) if token else ()
    finish = "length" if text.startswith("cut ") else "stop"
    return Response(text.removeprefix("cut "), finish=finish, logprobs=logprobs)  # type: ignore[arg-type]
