"""Reads and scores transcripts with lm-eval's code: its filters make the answers, its task scores them.

An answer is the text that a filter left of the response. What is no text is written as one that
`from_text` reads back: likelihoods as `-1.25* -3.5` (in the order of the requests, with * where greedy
decoding gives the continuation), anything else as JSON behind a mark.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.benchmark.readable import unread
from evalkit.benchmark.task import Verdict
from evalkit.errors import ScorerError
from evalkit.identity.declared import ATTRIBUTE, Declared, versioned
from evalkit.lmeval.loading import plain
from evalkit.lmeval.requests import GENERATE, ROLLING, answered
from evalkit.samples import Answer, Final, Sample

if TYPE_CHECKING:
    from evalkit.benchmark.readers import Reading
    from evalkit.lmeval.loaded import Loaded

_MARK = "lm-eval: "


def as_text(results: Sequence[Any]) -> str:
    """The results of a sample's requests under one filter, as the text of an answer."""
    if len(results) == 1 and isinstance(results[0], str) and not results[0].startswith(_MARK):
        return results[0]
    if all(_is_likelihood(one) for one in results):
        return " ".join(f"{float(value)!r}{'*' * greedy}" for value, greedy in map(_pair, results))
    try:
        return _MARK + json.dumps([plain(one) for one in results], ensure_ascii=False)
    except TypeError as error:
        raise ScorerError(f"a filter's result cannot be stored: {error}") from None


def from_text(text: str, kinds: Sequence[str]) -> list[Any]:
    """The results that `as_text` wrote. `kinds`: the kinds of the sample's requests."""
    if text.startswith(_MARK):
        found: list[Any] = json.loads(text.removeprefix(_MARK))
        return found
    if GENERATE in kinds:
        return [text]
    values = [(float(word.removesuffix("*")), word.endswith("*")) for word in text.split()]
    if ROLLING in kinds:
        return [value for value, _ in values]
    return [*values]


def _is_likelihood(one: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == 2 and isinstance(one[0], float) and isinstance(one[1], bool)
    return isinstance(one, float)


def _pair(one: Any) -> tuple[float, bool]:
    return one if isinstance(one, tuple) else (one, False)


@versioned("lm_eval_filters", 1, packages=("lm_eval",))
class Filters:
    """The reader: applies the task's filters to the responses of one sample.

    The first filter's result is the answer, and those of the others are branches by the filter's name.
    """

    def __init__(self, loaded: Loaded, prefix: str) -> None:
        self._loaded, self._prefix = loaded, prefix
        given = ", ".join(filter(None, (loaded.identity, prefix)))
        setattr(self, ATTRIBUTE, Declared("lm_eval_filters", 1, ("lm_eval",), given))

    def __call__(self, reading: Reading) -> Answer:
        sample, transcript = reading.sample, reading.transcript
        responses = [turn.response for turn in transcript.turns]
        if any(response.refused for response in responses):
            refused = (Final(None, refused=True),)
            return Answer(refused, {}, dict.fromkeys(self._loaded.filters[1:], refused))
        if unread(responses):
            none = (Final(None, any(response.truncated for response in responses)),)
            return Answer(none, {}, dict.fromkeys(self._loaded.filters[1:], none))
        draws: dict[int, list[Any]] = {}
        for turn in transcript.turns:
            draws.setdefault(turn.draw, []).append(turn.response)
        found: dict[int, list[Any]] = {}
        greedy = self._loaded.member(sample).greedy
        for draw in sorted(draws):
            for place, result in answered(sample, draws[draw], self._prefix, greedy=greedy):
                found.setdefault(place, []).append(result)
        results = self._loaded.filtered(sample, [found[place] for place in sorted(found)])
        generated = (one for one in responses if one.text and not one.prompt_logprobs)
        truncated = any(one.truncated for one in generated)
        finals = {name: (Final(as_text(one), truncated),) for name, one in results.items()}
        return Answer(finals.pop(self._loaded.filters[0]), {}, finals)


@versioned("lm_eval_scores", 1, packages=("lm_eval",))
class Scores:
    """The scorer: the values that lm-eval's task gives an answer, as `Verdict.values` by metric.

    A value that is a sequence of numbers has several entries, `f1[0]`, `f1[1]`. The verdict is that of the
    first metric that is 1 or 0, or between.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        setattr(self, ATTRIBUTE, Declared("lm_eval_scores", 1, ("lm_eval",), loaded.identity))

    def __call__(self, answer: str, sample: Sample) -> Verdict:
        found = self._loaded.scored(answer, sample)
        values: dict[str, float] = {}
        for name, value in found.items():
            numbers = numbers_of(value)
            if numbers is None:
                continue
            if not isinstance(value, tuple | list):
                values[name] = numbers[0]
            else:
                values |= {f"{name}[{i}]": number for i, number in enumerate(numbers)}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        first = finite.get(self._loaded.headline)
        if first is None or not 0 <= first <= 1:
            return Verdict(True, "", None, finite)
        credit = None if first in (0.0, 1.0) else first
        return Verdict(first >= 0.5, f"{self._loaded.headline} {first:g}", credit, finite)


def numbers_of(value: Any) -> tuple[float, ...] | None:
    """The numbers of a metric's value: one, or those of a flat sequence; None if it has anything else."""
    if isinstance(value, tuple | list):
        inner = [numbers_of(one) for one in value]
        if not inner or any(one is None or len(one) != 1 for one in inner):
            return None
        return tuple(one[0] for one in inner if one is not None)
    listed = getattr(value, "tolist", None)
    value = listed() if callable(listed) else value
    return (float(value),) if isinstance(value, bool | int | float) else None


def values_of(results: Mapping[Any, Any]) -> dict[str, Any]:
    """A task's results with the names of its metrics as texts."""
    return {str(getattr(name, "__name__", name)): value for name, value in results.items()}
