"""`lm-eval/TYPE?pretrained=…,dtype=…`: any model class of lm-eval as a backend.

Concurrent requests are gathered (`evalkit.models.batches`) and handed to the class in large calls, as lm-eval
hands it all requests of a task; the class sorts them, forms its own batches and truncates long prompts, as in
lm-eval's own command. It returns texts and likelihoods and nothing else: no number of tokens, no reason why a
response ended, no log-probabilities of single tokens.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

from evalkit.errors import ProviderError, UsageError, counted, one_line
from evalkit.models.base import Finish, Likelihood, Request, Response
from evalkit.models.batches import Batches
from evalkit.models.lm_eval_class import USAGE, Made, made, quiet
from evalkit.models.parameters import LIMITS
from evalkit.models.registry import Named
from evalkit.samples import JSON, Message, Prompt

GENERATE, LIKELIHOOD, ROLLING = "generate_until", "loglikelihood", "loglikelihood_rolling"
"""The methods of a class, which are lm-eval's types of requests."""
_CLASS_BATCHES = 16
"""How many of the class's own batches one call may have: it sorts them by length, to pad little."""
_FEWEST, _MOST = 64, 1024
"""The bounds of the requests of one call. Their responses are stored when it has ended."""
_IMAGE = "<image>"
"""What stands for a picture in a text (`DEFAULT_IMAGE_PLACEHOLDER` of lm-eval's models/hf_vlms.py)."""


class _Key(NamedTuple):
    """What the requests of one call have in common. `shown`: whether they show pictures."""

    kind: str
    settings: str
    shown: bool = False


class LmEvalModel:
    """A model of lm-eval. See the module."""

    def __init__(self, found: Made) -> None:
        self.name, self.capabilities = found.name, found.capabilities
        self._identity = found.identity
        self._calls = Calls(found)
        self.gathers = most_of(found.model)
        """The most requests of one call; the engine keeps twice as many in flight."""
        self.parallel: int | None = 2 * self.gathers
        self._batches = Batches[_Key, Request, Response](
            self._calls.answered, most=self.gathers, length=_length, name=f"lm-eval/{found.kind}"
        )

    @property
    def identity(self) -> dict[str, JSON]:
        return self._identity

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """Raises `ProviderError`."""
        if request.echo or request.logprobs:
            raise ProviderError(
                f"{self.name}: lm-eval's model classes return no log-probabilities of single tokens",
                fatal=True,
            )
        return await self._batches.ask(self._calls.key(request), request)

    async def aclose(self) -> None:
        await self._batches.aclose()


def most_of(model: Any) -> int:
    """The most requests for one call: 16 of the class's own batches, at least 64 and at most 1024.

    A class without a number, as with `batch_size=auto`, gets 1024.
    """
    size = getattr(model, "batch_size", None)
    if not isinstance(size, int):
        size = getattr(model, "_batch_size", None)
    if not isinstance(size, int):
        return _MOST
    return max(_FEWEST, min(_MOST, _CLASS_BATCHES * size * getattr(model, "_concurrent", 1)))


def _length(request: Request) -> int:
    """The characters of a request, by which a batch is sorted."""
    texts = [request.prompt] if isinstance(request.prompt, str) else [turn.text for turn in _turns(request)]
    return sum(map(len, texts)) + max(map(len, request.continuations), default=0)


def _turns(request: Request) -> tuple[Message, ...]:
    assert isinstance(request.prompt, tuple)  # its capabilities have no transcription
    return request.prompt


class Calls:
    """Turns requests into lm-eval's instances, and what the class returns for them into responses."""

    def __init__(self, found: Made) -> None:
        self._model, self._sends, self._name = found.model, found.sends, found.name

    def key(self, request: Request) -> _Key:
        """What requests of one call have in common: the method of the class, and the settings."""
        if request.continuations:
            return _Key(ROLLING if request.lm_eval.get("rolling") else LIKELIHOOD, "")
        settings = json.dumps(self._settings(request), sort_keys=True, ensure_ascii=False)
        return _Key(GENERATE, settings, bool(request.media))

    def _settings(self, request: Request) -> dict[str, JSON]:
        """lm-eval's `gen_kwargs` for a request.

        A sampled request to an endpoint has the seed of its draw, because lm-eval's classes send one and the
        same seed (1234) with every request, for which a server gives one and the same answer.
        """
        settings: dict[str, JSON]
        if request.lm_eval:
            settings = {**request.lm_eval, **request.extra}
        else:
            settings = {
                "until": [*request.stop],
                "max_gen_toks": request.max_tokens,
                "do_sample": request.temperature > 0,
                "temperature": request.temperature,
                **({"top_p": request.top_p} if request.top_p != 1 else {}),
                **request.extra,
            }
        if self._sends and request.seed is not None:
            settings["seed"] = request.seed
        return settings

    def answered(self, key: _Key, requests: Sequence[Request]) -> list[Response | Exception]:
        """A response or an error for each request, in order. Runs in the thread of the batches.

        If a call fails, each half of it is called again, so that a request that the class cannot handle
        fails alone, and a call for which the memory was too small succeeds in parts. A server that did not
        answer is not asked again in parts.
        """
        start = time.perf_counter()
        found: list[Response | Exception] = []
        try:
            asked = [self._asked(key, request) for request in requests]
            results = self._called(key, [one for each in asked for one in each])
        except (Exception, SystemExit) as error:  # noqa: BLE001 — a class may raise anything
            failure = self._failure(error)
            if len(requests) == 1 or failure.retryable or failure.fatal:
                return [failure] * len(requests)
            half = len(requests) // 2
            return [*self.answered(key, requests[:half]), *self.answered(key, requests[half:])]
        seconds = time.perf_counter() - start
        for request, each in zip(requests, asked, strict=True):
            own, results = results[: len(each)], results[len(each) :]
            found.append(self._response(key, request, own, seconds))
        return found

    def _asked(self, key: _Key, request: Request) -> list[tuple[Any, ...]]:
        """The arguments of lm-eval's instances for a request: one, or one for each continuation."""
        if key.kind == GENERATE:
            text = self._text(request.prompt, prefill=request.prefill)
            shown = [{"visual": self._pictures(request)}] if key.shown else []
            return [(text, json.loads(key.settings), *shown)]
        context = self._text(request.prompt, prefill=request.prefill)
        if key.kind == ROLLING:
            return [(text,) for text in request.continuations]
        return [(context, text) for text in request.continuations]

    def _text(self, prompt: Prompt, *, prefill: bool) -> Any:
        """The text of a prompt; of a chat by the class's own template, as with `--apply_chat_template`."""
        if isinstance(prompt, str):
            return prompt
        assert isinstance(prompt, tuple)
        messages = [
            {
                "role": turn.role,
                "content": "".join(part if isinstance(part, str) else _IMAGE for part in turn.parts),
            }
            for turn in prompt
        ]
        return self._model.apply_chat_template(messages, add_generation_prompt=not prefill)

    def _pictures(self, request: Request) -> list[Any]:
        """The pictures of a chat, in order, as Pillow's. Raises `ProviderError` if the class takes fewer."""
        from PIL import Image as Pictures

        most = getattr(self._model, "max_images", None)
        if isinstance(most, int) and len(request.media) > most:
            raise ProviderError(
                f"{self._name} takes {most} pictures, and the prompt has {len(request.media)}: "
                "add max_images="
            )
        return [Pictures.open(BytesIO(one.data)).convert("RGB") for one in request.media]

    def _called(self, key: _Key, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        from lm_eval.api.instance import Instance

        kind: Any = key.kind
        instances = [
            Instance(request_type=kind, doc={}, arguments=one, idx=0, metadata=("", number, 1))
            for number, one in enumerate(arguments)
        ]
        with quiet(type(self._model)):
            found = [*getattr(self._model, key.kind)(instances)]
        if len(found) != len(instances):
            gave = f"{counted(len(found), 'result')} for {counted(len(instances), 'request')}"
            raise ProviderError(f"{self._name} gave {gave}")
        return found

    def _response(
        self, key: _Key, request: Request, results: Sequence[Any], seconds: float
    ) -> Response | ProviderError:
        if key.kind == GENERATE:
            (text,) = results
            if not isinstance(text, str):
                return ProviderError(f"{self._name} returned {type(text).__name__}, not a text")
            return Response(text, self._finish(text, key), seconds=seconds)
        found: list[Likelihood] = []
        for text, result in zip(request.continuations, results, strict=True):
            value, greedy = (result, None) if key.kind == ROLLING else result
            if value != value:
                return ProviderError(f"{self._name} returned no number as the likelihood of {text[:40]!r}")
            found.append(Likelihood(text, float(value), greedy=None if greedy is None else bool(greedy)))
        return Response("", seconds=seconds, likelihoods=tuple(found))

    def _finish(self, text: str, key: _Key) -> Finish:
        """Why a response ended, which lm-eval's classes do not say: at the token limit if it is that long.

        Its tokens are counted with the class's tokenizer. Without one, the reason is `other`.
        """
        settings = json.loads(key.settings)
        limit = next((settings[name] for name in LIMITS if settings.get(name)), 0)
        if self._sends or not limit or not hasattr(self._model, "tok_encode"):
            return "other"
        with contextlib.suppress(Exception):
            tokens = self._model.tok_encode(text, add_special_tokens=False)
            return "length" if len(tokens) >= limit else "stop"
        return "other"

    def _failure(self, error: BaseException) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        if isinstance(error, NotImplementedError):
            return ProviderError(f"{self._name} cannot do this: {error}", fatal=True)
        words = one_line(error, 400)
        if not self._sends:
            return ProviderError(f"{self._name}: {words}")
        status = int(
            getattr(error, "status", 0) or getattr(getattr(error, "response", None), "status_code", 0)
        )
        return ProviderError(
            f"{self._name}: {words}",
            retryable=status in (408, 429) or status >= 500 or (not status and isinstance(error, OSError)),
            throttled=status in (429, 503) or isinstance(error, TimeoutError),
            fatal=status in (401, 403, 404),
        )


def open_lm_eval(named: Named) -> LmEvalModel:
    """Opens `lm-eval/TYPE?pretrained=…,dtype=…` and loads the model. Raises `UsageError`."""
    if named.name.startswith("?"):
        raise UsageError(f"{named.typed!r} names no class of lm-eval: write {USAGE}")
    return LmEvalModel(made(named.name))
