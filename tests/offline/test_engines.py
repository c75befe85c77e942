"""`vllm/…` and `sglang/…` beside `hf/…` on the same small model. tests/stand_ins has their engines."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.errors import ProviderError  # noqa: E402
from evalkit.models import open_model  # noqa: E402
from evalkit.models.base import Request, Response  # noqa: E402
from evalkit.samples import Message  # noqa: E402
from tests.cli.conftest import Cli  # noqa: E402
from tests.hf.asking import good  # noqa: E402
from tests.made import sums  # noqa: E402
from tests.tiny_llama import written  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stand_ins")]  # transformers takes seconds to import
BACKENDS = pytest.mark.parametrize("backend", ["vllm", "sglang"])
PROMPTS = [
    "Ann has 12 apples and finds 36 more. How many?",
    "Ann has 12 apples and finds",
    "Zoë has 7 pears 🍐 and",
    "x",
]
CHAT = (Message("system", "Be brief."), Message("user", "How many?"))
TEXTS = (" 36 more", " apples", "?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models") / "tiny", positions=96)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Several threads take longer over so small a model."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def engine(backend: str) -> Any:
    """The newest engine of a stand-in."""
    name = {"vllm": "vllm.v1.engine.async_llm", "sglang": "sglang.srt.entrypoints.engine"}[backend]
    return sys.modules[name].made[-1]


def answers(
    typed: str, requests: Sequence[Request], loaded: Callable[[], None] = lambda: None
) -> list[Response | ProviderError]:
    """The responses to concurrent requests. `loaded`: is called when the engine is there."""
    model: Any = open_model(typed)

    async def one(request: Request) -> Response | ProviderError:
        try:
            found: Response = await model.generate(request)
        except ProviderError as error:
            return error
        return found

    async def asked() -> list[Response | ProviderError]:
        try:
            await one(Request("x", 1))
            loaded()
            return await asyncio.gather(*map(one, requests))
        finally:
            await model.aclose()

    return asyncio.run(asked())


def bad(found: Response | ProviderError) -> ProviderError:
    assert isinstance(found, ProviderError), found
    return found


@BACKENDS
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_responses_are_those_of_hf(folder: Path, backend: str) -> None:
    requests = [
        *(Request(prompt, 12 + n) for n, prompt in enumerate(PROMPTS)),
        *(Request(prompt, 0, continuations=TEXTS) for prompt in PROMPTS),
        *(Request(prompt, 1, logprobs=count, echo=True) for prompt in PROMPTS for count in (0, 3)),
        *(Request(prompt, 1, logprobs=4) for prompt in PROMPTS),
        *(Request(prompt, 6, logprobs=2) for prompt in PROMPTS),
        Request(CHAT, 8),
        Request((*CHAT, Message("assistant", "Ann has")), 8),
        Request(PROMPTS[0], 2000),
        Request(PROMPTS[0], 5, extra={"top_k": 3}),
    ]
    expected = answers(f"hf/{folder}?dtype=float32", requests)
    found = answers(f"{backend}/{folder}?dtype=float32", requests)
    for one, other in zip(map(good, found), map(good, expected), strict=True):
        same = ("text", "finish", "prompt_tokens", "completion_tokens")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]
        for mine, theirs in zip(one.likelihoods, other.likelihoods, strict=True):
            assert (mine.text, mine.tokens, mine.greedy) == (theirs.text, theirs.tokens, theirs.greedy)
            assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-3)
        pairs = zip(one.logprobs + one.prompt_logprobs, other.logprobs + other.prompt_logprobs, strict=True)
        for left, right in pairs:
            assert left.token == right.token
            assert left.logprob == pytest.approx(right.logprob, abs=1e-3, nan_ok=True)
            assert left.top.keys() == right.top.keys()
            assert list(left.top.values()) == pytest.approx([right.top[name] for name in left.top], abs=1e-3)


@BACKENDS
def test_a_request_joins_those_that_run(folder: Path, backend: str) -> None:
    """A short text that comes later ends before a long one, and is computed beside it."""
    model: Any = open_model(f"{backend}/{folder}?dtype=float32")

    async def asked() -> list[str]:
        order: list[str] = []

        async def one(name: str, request: Request) -> None:
            await model.generate(request)
            order.append(name)

        try:
            await model.generate(Request("x", 1))
            long = asyncio.create_task(one("long", Request(PROMPTS[0], 60, stop=("☃",))))
            while not engine(backend).computer.running:
                await asyncio.sleep(0.001)
            await one("short", Request(PROMPTS[1], 2))
            await long
        finally:
            await model.aclose()
        return order

    assert asyncio.run(asked()) == ["short", "long"]
    assert any(len(names) == 2 for names in engine(backend).computer.together)
    assert not engine(backend).running


@BACKENDS
def test_samples_have_the_seeds_of_their_draws(folder: Path, backend: str) -> None:
    options = "&enable_deterministic_inference=on" if backend == "sglang" else ""
    requests = [
        Request(PROMPTS[0], 9, temperature=1.0, top_p=0.95, seed=n % 10, extra={"top_k": 50})
        for n in range(20)
    ]
    texts = [good(one).text for one in answers(f"{backend}/{folder}?dtype=float32{options}", requests)]
    assert texts[:10] == texts[10:]
    assert len(set(texts)) > 5


@BACKENDS
def test_stops_ends_and_penalties(folder: Path, backend: str) -> None:
    typed = f"{backend}/{folder}?dtype=float32"
    (whole,) = answers(typed, [Request(PROMPTS[0], 40)])
    stop = good(whole).text[9:12]
    stopped, cut, other, single = answers(
        typed,
        [
            Request(PROMPTS[0], 40, stop=(stop,)),
            Request(PROMPTS[0], 2),
            Request(PROMPTS[0], 40, extra={"repetition_penalty": 1.5}),
            Request(PROMPTS[0], 1, extra={"repetition_penalty": 1.5}),
        ],
    )
    assert good(stopped).finish == "stop"
    assert good(whole).text.startswith(good(stopped).text)
    assert stop in good(stopped).text  # evalkit cuts it, as for every backend
    assert good(cut).finish == "length"
    assert good(other).text != good(whole).text
    assert good(other).text.startswith(good(single).text)
    ended = next(
        one
        for one in answers(
            typed, [Request(PROMPTS[0], 400, temperature=2.0, seed=n, logprobs=1) for n in range(40)]
        )
        if good(one).finish == "stop"
    )
    assert "<eos>" not in good(ended).text
    assert good(ended).completion_tokens == len(good(ended).logprobs) + 1


@BACKENDS
def test_one_request_that_fails_fails_alone(folder: Path, backend: str) -> None:
    def loaded() -> None:
        broken = RuntimeError("no kernel for this one")
        computer = engine(backend).computer
        computer.fails = lambda text: broken if text.most == 33 else None

    long = "Ann has 12 apples and finds 36 more. " * 40
    found = answers(
        f"{backend}/{folder}?dtype=float32",
        [
            Request(PROMPTS[0], 33),
            Request(PROMPTS[0], 5, temperature=1.0, extra={"min_p": 5.0}),
            Request(PROMPTS[0], 5, extra={"typical_p": 0.5}),
            Request(long, 5),
            Request(long, 0, continuations=(" x",)),
            Request("", 5),
            Request("Ann ha", 0, continuations=("s 12",)),
            Request(PROMPTS[0], 5),
        ],
        loaded,
    )
    broken, refused, unheeded, *others, fine = found
    assert str(bad(broken)) == f"{backend}/: RuntimeError: no kernel for this one"
    assert not bad(broken).fatal
    assert "min_p must be in [0, 1], got 5.0" in str(bad(refused))
    assert not bad(refused).fatal
    assert (str(bad(unheeded)), bad(unheeded).fatal) == (f"{backend}/ does not heed typical_p", True)
    for one, said in zip(
        others, ("context has 96", "context has 96", "empty prompt", "a token spans"), strict=True
    ):
        assert said in str(bad(one))
        assert bad(one).too_long == ("context" in said)
    assert good(fine).text


def test_vllm_dies(folder: Path) -> None:
    def loaded() -> None:
        from vllm.v1.engine.exceptions import EngineDeadError

        computer = engine("vllm").computer

        def fails(text: Any) -> Exception | None:
            if text.most == 33:
                computer.die(EngineDeadError())
            return text.error  # type: ignore[no-any-return]

        computer.fails = fails

    found = answers(
        f"vllm/{folder}?dtype=float32",
        [Request(PROMPTS[1], 50, stop=("☃",)), Request(PROMPTS[0], 33)],
        loaded,
    )
    for one in found:
        assert str(bad(one)).startswith(
            "vllm/: the engine has ended: EngineDeadError: EngineCore encountered"
        )
        assert bad(one).fatal


def test_sglang_dies(folder: Path) -> None:
    """A process of it that fails sends SIGQUIT to this one, and answers no more."""
    before = signal.getsignal(signal.SIGQUIT)

    def loaded() -> None:
        computer = engine("sglang").computer

        def fails(text: Any) -> Exception | None:
            if text.most == 33:
                os.kill(os.getpid(), signal.SIGQUIT)
            return None

        computer.fails = fails
        computer._step = lambda text: None  # nothing ends

    found = answers(
        f"sglang/{folder}?dtype=float32", [Request(PROMPTS[1], 50), Request(PROMPTS[0], 33)], loaded
    )
    for one in found:
        assert (str(bad(one)), bad(one).fatal) == ("sglang/: a process of the engine has failed", True)
    assert len(engine("sglang").tokenizer_manager.aborted) == 2
    assert signal.getsignal(signal.SIGQUIT) == before


@BACKENDS
def test_a_request_that_is_cancelled_leaves_the_engine(folder: Path, backend: str) -> None:
    model: Any = open_model(f"{backend}/{folder}?dtype=float32")

    async def asked() -> None:
        try:
            await model.generate(Request("x", 1))
            computer = engine(backend).computer
            computer._step = lambda text: None  # nothing ends
            waiting = asyncio.create_task(model.generate(Request(PROMPTS[0], 9)))
            while not computer.running:
                await asyncio.sleep(0.001)
            waiting.cancel()
            while computer.running:
                await asyncio.sleep(0.001)
        finally:
            await model.aclose()

    asyncio.run(asked())


@BACKENDS
def test_what_cannot_be_loaded_ends_in_one_line(folder: Path, tmp_path: Path, backend: str) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"no weights")
    (found,) = answers(f"{backend}/{broken}?dtype=float32", [Request("x", 2)])
    assert bad(found).fatal
    assert str(found).startswith(f"{backend}/broken cannot be loaded: ")
    assert "\n" not in str(found)


@BACKENDS
def test_templates_and_bos(folder: Path, tmp_path: Path, backend: str) -> None:
    template = tmp_path / "other.jinja"
    template.write_text("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}")
    requests = [Request(CHAT, 4), Request("Ann", 4), Request("", 4)]
    options = f"dtype=float32&bos=on&template={template}"
    expected = [good(one) for one in answers(f"hf/{folder}?{options}", requests)]
    found = [good(one) for one in answers(f"{backend}/{folder}?{options}", requests)]
    assert [(one.text, one.prompt_tokens) for one in found] == [
        (one.text, one.prompt_tokens) for one in expected
    ]
    base = written(tmp_path / "base", template="")
    (refused,) = answers(f"{backend}/{base}?dtype=float32", [Request(CHAT, 4)])
    assert bad(refused).fatal
    assert "the model has no chat template" in str(refused)


@BACKENDS
def test_a_run_from_the_command_line(folder: Path, tmp_path: Path, cli: Cli, backend: str) -> None:
    model = f"{written(tmp_path / 'long', positions=8192)}?dtype=float32"
    for number, given in enumerate(
        (["mmlu:5-shot", "--set", "likelihood=prompt"], ["gsm8k:0-shot-chat", "--set", "max_tokens=8"])
    ):
        command = ("run", "-t", *given, "--limit", 4, "--data", "builtin")
        done = cli(*command, "-m", f"{backend}/{model}", "-o", tmp_path / f"{number}.db")
        assert done.code == 0, done.err
        again = cli(*command, "-m", f"{backend}/{model}", "-o", tmp_path / f"{number}.db")
        assert again.out == done.out
    shown = cli(
        "run", "-m", f"{backend}/{model}", "-t", "vqav2", "--data", "builtin", "-o", tmp_path / "no.db"
    )
    assert shown.code == 2
    assert "image" in shown.err
    task = sums(tmp_path)
    wrong = cli("run", "-m", f"{backend}/./none", "-t", task, "-o", tmp_path / "no.db")
    assert (wrong.code, "there is no such folder" in wrong.err) == (2, True)
    assert not (tmp_path / "no.db").exists()
