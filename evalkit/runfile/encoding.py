"""Converts values to and from their form in a run file: plain JSON, responses, and a sample's columns."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import operator
import struct
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, get_args

import orjson

from evalkit.benchmark.signature import digest
from evalkit.errors import BoundaryError, ProviderError, SampleError, ScorerError, UsageError, one_line
from evalkit.keys import redacted
from evalkit.models.base import MOST_TOKENS, Finish, Likelihood, Request, Response, TokenLogprob
from evalkit.runfile.packed_tokens import FEWEST_PACKED, is_packed, pack, unpack
from evalkit.runfile.records import Row
from evalkit.runfile.stored_json import texts
from evalkit.samples import JSON, Audio, Image, Sample, ToolCall, plain_text


def dump(value: object, where: str = "a value") -> str:
    """Returns `value` as JSON. Raises `ValueError` with the place of a value that JSON does not support.

    NumPy's numbers and arrays become plain ones, NaN and infinities become null, and unpaired surrogates
    U+FFFD. `where`: the name of the value in errors.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        pass  # a NumPy value, an unpaired surrogate, an integer over 64 bits, or a key that is not a text
    try:
        return plain_text(json.dumps(_plain(value, where), ensure_ascii=False))
    except RecursionError:
        raise ValueError(f"{where} contains itself, or is nested too deeply") from None


def _plain(value: object, where: str) -> JSON:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key, where): _plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{where}[{i}]") for i, inner in enumerate(value)]
    listed = getattr(value, "tolist", None)  # NumPy's scalars and arrays, and similar types
    if callable(listed):
        return _plain(listed(), where)
    try:
        found: JSON = orjson.loads(orjson.dumps(value))  # dates, enumerations, dataclasses
    except TypeError:
        raise ValueError(f"{where} is of type {type(value).__name__}, which JSON does not support") from None
    return found


def _key(key: object, where: str) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, int | float | None):
        return str(key)
    listed = getattr(key, "tolist", None)
    if callable(listed):
        return _key(listed(), where)
    raise ValueError(f"{where} has a key of type {type(key).__name__}, which JSON does not support")


MOST_GENERATED = 256 << 20
"""Maximum number of bytes of the pictures and clips of one response."""

_FINISHES = frozenset(get_args(Finish))


def checked(response: object, request: Request) -> Response:
    """Returns a backend's response to `request`, with plain numbers, also of its further draws.

    Raises `ProviderError` if it cannot be stored, or if its likelihoods are not those of the continuations.
    """
    found = _checked(response, request)
    if not found.more:
        return found
    return dataclasses.replace(found, more=tuple(_checked(one, request) for one in found.more))


def _checked(response: object, request: Request) -> Response:
    if not isinstance(response, Response):
        raise ProviderError(f"the model must return a Response, not {type(response).__name__}")
    counts = response.prompt_tokens, response.completion_tokens
    if any(type(count) not in (int, NoneType) for count in counts) or type(response.seconds) is not float:
        try:
            counts = _count(counts[0]), _count(counts[1])
            seconds = float(response.seconds)
        except (TypeError, ValueError) as error:
            raise ProviderError(f"token counts and seconds must be numbers: {error}") from None
        response = dataclasses.replace(
            response, prompt_tokens=counts[0], completion_tokens=counts[1], seconds=seconds
        )
    for count in counts:
        if count is not None and not 0 <= count <= MOST_TOKENS:
            raise ProviderError(f"the model returned {count} as a token count")
    if not math.isfinite(response.seconds) or response.finish not in _FINISHES:
        raise ProviderError(f"the model returned seconds={response.seconds!r}, finish={response.finish!r}")
    asked = request.continuations
    if (asked or response.likelihoods) and tuple(one.text for one in response.likelihoods) != asked:
        raise ProviderError(
            f"the model returned likelihoods of {[one.text for one in response.likelihoods]}, "
            f"not of {list(asked)}"
        )
    if response.tool_calls and not all(isinstance(call, ToolCall) for call in response.tool_calls):
        raise ProviderError("the model returned tool_calls that are not a ToolCall")
    if response.likelihoods:
        response = dataclasses.replace(response, likelihoods=tuple(map(_likelihood, response.likelihoods)))
    if request.echo and not request.logprobs:  # the endpoint may return alternatives all the same
        bare = tuple(TokenLogprob(token.token, token.logprob, {}) for token in response.prompt_logprobs)
        response = dataclasses.replace(response, prompt_logprobs=bare)
    if response.media:
        _check_media(response.media)
    return _without_keys(_timed(response))


def _without_keys(response: Response) -> Response:
    """The response with the names of keys in their place, so that what is scored is what is stored.

    Its tokens and its spoken words, which would spell the key, are left out then.
    """
    calls = tuple(
        dataclasses.replace(call, name=redacted(call.name), arguments=redacted(call.arguments))
        for call in response.tool_calls
    )
    said = redacted(response.text), redacted(response.reasoning)
    if (*said, calls) == (response.text, response.reasoning, response.tool_calls):
        return response
    return dataclasses.replace(
        response, text=said[0], reasoning=said[1], tool_calls=calls, logprobs=(), spoken=()
    )


def _likelihood(found: Likelihood) -> Likelihood:
    try:
        logprob = float(found.logprob)
        tokens = _count(found.tokens)
    except (TypeError, ValueError, AttributeError) as error:
        raise ProviderError(f"a likelihood's logprob and tokens must be numbers: {error}") from None
    if math.isnan(logprob) or logprob == math.inf:
        raise ProviderError(f"the model returned {logprob} as the log-probability of {found.text!r}")
    greedy = None if found.greedy is None else bool(found.greedy)
    return Likelihood(found.text, logprob, tokens, greedy)


def _timed(response: Response) -> Response:
    """The response with plain words and times; without, if a time is not finite, for they are only shown."""
    if not response.spoken:
        return response
    try:
        pieces = tuple((plain_text(text), float(begin), float(end)) for text, begin, end in response.spoken)
    except (TypeError, ValueError, AttributeError) as error:
        raise ProviderError(f"what is spoken must be tuples of a text and two times: {error}") from None
    finite = all(math.isfinite(time) for _, *times in pieces for time in times)
    return dataclasses.replace(response, spoken=pieces if finite else ())


def _check_media(media: object) -> None:
    if not isinstance(media, tuple) or not all(isinstance(one, Image | Audio) for one in media):
        raise ProviderError("the model returned media that is not a tuple of Image and Audio")
    if not all(one.data for one in media):
        raise ProviderError("the model returned a picture or clip without data")
    if sum(one.size for one in media) > MOST_GENERATED:
        raise ProviderError(f"the model returned pictures and clips of more than {MOST_GENERATED:,} bytes")


def _count(count: int | None) -> int | None:
    return None if count is None else operator.index(count)


RESPONSE = (
    "text, finish, prompt_tokens, completion_tokens, seconds, reasoning, logprobs, prompt_logprobs, "
    "likelihoods, tool_calls"
)
"""The columns of table `draw` that `response_of` takes."""


def response_of(columns: Sequence[Any]) -> Response:
    """Returns the response in the columns `RESPONSE`. Raises `UsageError` for JSON of another form."""
    try:
        return _response_of(columns)
    except (TypeError, ValueError, LookupError) as error:
        raise UsageError(
            f"a response in the run file was edited, and cannot be read: {one_line(error, 200)}"
        ) from None


def _response_of(columns: Sequence[Any]) -> Response:
    text, finish, prompt_tokens, completion_tokens, seconds, reasoning, *listed = columns
    tokens, prompt, likelihoods, calls = listed
    for count in (prompt_tokens, completion_tokens):
        if count is not None and not 0 <= count <= MOST_TOKENS:
            raise ValueError(f"{count} as a token count")
    return Response(
        text,
        finish,
        prompt_tokens,
        completion_tokens,
        seconds,
        reasoning,
        _tokens(tokens),
        _tokens(prompt),
        _likelihoods(likelihoods),
        tuple(ToolCall(*call) for call in orjson.loads(calls)) if calls else (),
    )


def listed_columns(response: Response) -> tuple[str | None, ...]:
    """Returns the columns logprobs, prompt_logprobs, likelihoods and tool_calls of table `draw`."""
    if not (response.logprobs or response.prompt_logprobs or response.likelihoods or response.tool_calls):
        return None, None, None, None  # the usual case
    likelihoods = [[one.text, one.logprob, one.tokens, one.greedy] for one in response.likelihoods]
    tokens = _tokens_column(response.logprobs), _prompt_column(response.prompt_logprobs)
    calls = [[call.name, call.arguments, call.id] for call in response.tool_calls]
    return *tokens, dump(likelihoods) if likelihoods else None, dump(calls) if calls else None


def _tokens_column(tokens: tuple[TokenLogprob, ...]) -> str | None:
    return dump([[t.token, t.logprob, dict(t.top)] for t in tokens]) if tokens else None


def _prompt_column(tokens: tuple[TokenLogprob, ...]) -> str | None:
    """The tokens of a prompt; packed if they are many and have no alternatives, as those of a whole text."""
    if len(tokens) < FEWEST_PACKED or any(token.top for token in tokens):
        return _tokens_column(tokens)
    return pack(tokens)


def _tokens(text: str | None) -> tuple[TokenLogprob, ...]:
    if not text:
        return ()
    if is_packed(text):
        return unpack(text)
    found = orjson.loads(text)
    # A prompt's first token has the logprob NaN, which JSON stores as null.
    return tuple(TokenLogprob(token, math.nan if lp is None else lp, top) for token, lp, top in found)


def _likelihoods(text: str | None) -> tuple[Likelihood, ...]:
    if not text:
        return ()
    found = orjson.loads(text)
    # An impossible text has the logprob -inf, which JSON stores as null.
    return tuple(Likelihood(one, -math.inf if lp is None else lp, *more) for one, lp, *more in found)


_RECENT: dict[int, tuple[Sample, tuple[str, ...]]] = {}
"""Columns of samples in flight, which are needed before a sample's first request and again to store it.

Samples with media are not kept here, so that their files are freed together with the sample.
"""
_IN_FLIGHT = 1024


def sample_columns(sample: Sample) -> tuple[str, ...]:
    """Returns the columns id, input, target, choices, grp, tags, cluster, meta and media of table `sample`.

    Raises `SampleError`, which names the field, if a field cannot be stored.
    """
    known = _RECENT.get(id(sample))
    if known is not None and known[0] is sample:
        return known[1]
    columns = _sample_columns(sample)
    if not sample.media:
        if len(_RECENT) >= _IN_FLIGHT:
            _RECENT.clear()
        _RECENT[id(sample)] = (sample, columns)
    return columns


def _sample_columns(sample: Sample) -> tuple[str, ...]:
    if not isinstance(sample.meta, (dict, Mapping)):  # the usual class first: asking an ABC takes longer
        raise SampleError(f"meta must be a dict, not {type(sample.meta).__name__}")
    try:
        meta = dump(dict(sample.meta), "meta")
    except ValueError as error:
        raise SampleError(str(error)) from None
    return (
        _text(sample.id, "id"),
        _text(sample.input, "input"),
        _texts(sample.target, "target"),
        _texts(sample.choices, "choices"),
        _text(sample.group, "group"),
        _texts(sample.tags, "tags"),
        _text(sample.cluster, "cluster"),
        meta,
        dump([medium.key for medium in sample.media]) if sample.media else "[]",
    )


def question_digest(sample: Sample) -> bytes:
    """Returns a 16-byte digest of the question and of everything that decides whether an answer is right.

    It includes `meta`, which holds tests, tolerances and languages. It omits tags and clusters, which change
    breakdowns and intervals but no verdict.
    """
    name, text, target, choices, group, _, _, meta, media = sample_columns(sample)
    if len(sample.meta) > 1:  # the order of the keys does not matter
        meta = orjson.dumps(orjson.loads(meta), option=orjson.OPT_SORT_KEYS).decode()
    return digest([name, text, target, choices, group, meta, media])


def answer_column(answer: object) -> str:
    """Returns an answer as JSON. Raises `ScorerError`, which names the value, if it cannot be stored."""
    try:
        return dump(answer, "the answer")
    except ValueError as error:
        raise ScorerError(str(error)) from None


def row_columns(row: Row) -> tuple[str | int | bytes, ...]:
    """Returns the columns of table `sample` after `cell`. Raises `SampleError` or `ScorerError`."""
    columns, answer = sample_columns(row.sample), answer_column(row.answer)
    statistics = struct.pack(f"<{len(row.statistics)}d", *row.statistics)
    result = (row.question, row.asked, row.outcome, row.boundary, plain_text(row.error), answer, statistics)
    return (row.position, *columns, *result)


def unread(position: int, error: BoundaryError) -> Row:
    """Returns the row of a record that gives no sample. If the record is fixed, a sample replaces the row."""
    sample = Sample(id=unread_id(position), input="", target=())
    return Row(sample, position, bytes(16), bytes(16), "failed", boundary=error.boundary, error=str(error))


def unread_id(position: int) -> str:
    return f"record {position}"


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise SampleError(f"{where} must be a text, not {type(value).__name__}")
    if not value.isascii() and plain_text(value) != value:
        raise SampleError(f"{where} has an unpaired surrogate, which can be neither sent nor stored")
    return value


def _texts(values: object, where: str) -> str:
    if type(values) is tuple and not values:  # the usual case for choices and tags
        return "[]"
    if isinstance(values, str):
        raise SampleError(f"{where} must be a tuple of texts, not one text")
    if not isinstance(values, (tuple, Sequence)):
        raise SampleError(f"{where} must be a tuple of texts, not {type(values).__name__}")
    return dump([_text(value, f"{where}[{i}]") for i, value in enumerate(values)])


@functools.lru_cache(maxsize=4096)
def tags_of(text: str) -> tuple[str, ...]:
    """The tags of a sample as its row has them; many samples have the same."""
    return tuple(texts(text))
