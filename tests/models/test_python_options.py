"""Options, an address, draws and seeds for a model in a user's file, and functions that answer together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from textwrap import dedent

import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.base import BatchModel, Model, Request, Response

FILE = """
    from __future__ import annotations
    from evalkit.errors import ProviderError
    from evalkit.models.base import Response

    class Large:
        name, capabilities, parallel, identity = "large", frozenset({"completion"}), 2, {}
        def __init__(self, weights, slots: int = 1, top: float = 0.5, cache: bool = True, base_url=""):
            self.said = f"{weights} {slots!r} {top!r} {cache!r} {base_url}"
        async def generate(self, request, *, draw=0):
            return Response(self.said)
        async def aclose(self):
            pass

    large = Large("w")

    def make(*, size: "int", kind="a"):
        def answer(prompt):
            return f"{prompt} {size!r} {kind}"
        return answer

    def anything(**settings):
        return lambda prompt: f"{sorted(settings.items())}"

    def answer(prompt, draw, seed, *, words: int = 1, base_url=""):
        return " ".join([str(prompt), str(draw), str(seed)] * words) + base_url

    def upper(text):
        return text.upper()

    def together(prompts, draws, seeds, tag=""):
        return [f"{prompt} {draw} {seed}{tag}" for prompt, draw, seed in zip(prompts, draws, seeds)]

    async def awaited(prompts):
        bad = {"a long one": ValueError("too  long"), "odd": 7}
        return [bad.get(prompt, prompt) for prompt in prompts]

    def short(prompts):
        return prompts[:-1]

    def one(prompts):
        return "".join(prompts)

    for function in (answer, upper, together, awaited, short, one):
        function.capabilities = ["completion"]
    together.batch_size = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(dedent(FILE), "utf-8")
    return path


def said(model: Model, request: Request | None = None, draw: int = 0) -> str:
    request = request or Request("Hi", 8)

    async def ask() -> Response:
        try:
            return await model.generate(request, draw=draw)
        finally:
            await model.aclose()

    return asyncio.run(ask()).text


def refusal(spec: str, base_url: str = "") -> str:
    with pytest.raises(UsageError) as refused:
        open_model(spec, base_url=base_url)
    return str(refused.value)


@pytest.mark.parametrize(
    ("named", "answer"),
    [
        ("Large?weights=a%20b", "a b 1 0.5 True "),
        ("Large?weights=x&slots=4&top=1&cache=off", "x 4 1.0 False "),
        ("make?size=3", "Hi 3 a"),
        ("make?size=3&kind=b", "Hi 3 b"),
        ("anything?a=1&b=", "[('a', '1'), ('b', '')]"),
        ("answer", "Hi 2 7"),
        ("answer?words=2", "Hi 2 7 Hi 2 7"),
        ("upper", "HI"),
        ("together", "Hi 2 7"),
        ("together?tag=!", "Hi 2 7!"),
        ("awaited", "Hi"),
    ],
)
def test_options_and_draws_are_arguments(file: Path, named: str, answer: str) -> None:
    model = open_model(f"python:{file}:{named}")
    assert said(model, Request("Hi", 8, 0.5, seed=7), draw=2) == answer
    assert model.name == f"python:{file}:{named}"


def test_what_no_option_says_is_what_it_was(file: Path) -> None:
    assert open_model(f"python:{file}:answer").identity.keys() == {"backend", "file", "attribute"}
    with_one = open_model(f"python:{file}:answer?words=2", base_url="http://127.0.0.1:1/v1")
    assert with_one.identity["attribute"] == "answer"
    assert with_one.identity["options"] == {"words": "2"}
    assert with_one.identity["base_url"] == "http://127.0.0.1:1/v1"


@pytest.mark.parametrize("named", ["Large?weights=w", "answer", "anything"])
def test_an_address_is_an_argument_too(file: Path, named: str) -> None:
    assert "http://127.0.0.1:8/v1" in said(
        open_model(f"python:{file}:{named}", base_url="http://127.0.0.1:8/v1")
    )


@pytest.mark.parametrize("wrong", ["http://me:secret@127.0.0.1/v1", "127.0.0.1:8000", "file:///tmp"])
def test_an_address_that_is_none_or_holds_a_password(file: Path, wrong: str) -> None:
    said = refusal(f"python:{file}:answer", wrong)
    assert said.startswith("--base-url")
    assert "secret" not in said


@pytest.mark.parametrize("named", ["upper", "make?size=3", "together"])
def test_an_address_that_nothing_takes_is_refused(file: Path, named: str) -> None:
    assert refusal(f"python:{file}:{named}", "http://x/v1") == (
        f"--base-url http://x/v1: python:{file}:{named} has no parameter base_url"
    )


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("Large?weigths=x", "unknown option of python:{}:Large 'weigths': did you mean weights?"),
        ("Large?weights=x&slots=two", "python:{}:Large: slots must be an integer, not 'two'"),
        ("Large?weights=x&top=much", "python:{}:Large: top must be a number, not 'much'"),
        ("Large?weights=x&cache=yes", "python:{}:Large: cache must be on or off, not 'yes'"),
        ("Large", "python:{}:Large cannot be made: TypeError: "),
        ("make?kind=b", "python:{}:make?kind=b cannot be called with only a prompt"),
        ("answer?prompt=x", "unknown option of python:{}:answer 'prompt'"),
        ("answer?draw=1", "unknown option of python:{}:answer 'draw'"),
        ("upper?a=1", "unknown option of python:{}:upper 'a': python:{}:upper has no options"),
        ("upper?text=x", "is a str: python:FILE.py:NAME needs a function or a model"),
        (
            "large?weights=x",
            "python:{}:large?weights=x is an object, not a class or function: it accepts no options or",
        ),
    ],
)
def test_options_that_are_none(file: Path, named: str, words: str) -> None:
    assert words.replace("{}", str(file)) in refusal(f"python:{file}:{named}")


def together(model: Model, *prompts: str) -> list[str]:
    assert callable(getattr(model, "generate_batch", None))

    async def ask(model: BatchModel) -> list[str]:
        requests = [Request(prompt, 8, stop=(".",)) for prompt in prompts]
        found = await model.generate_batch(requests, list(range(len(prompts))))
        await model.aclose()
        return [one.text if isinstance(one, Response) else f"! {one}" for one in found]

    return asyncio.run(ask(model))  # type: ignore[arg-type]


def test_a_function_of_prompts_answers_together(file: Path) -> None:
    model = open_model(f"python:{file}:together?tag=.x")
    assert together(model, "a", "b", "c.d") == ["a 0 None", "b 1 None", "c"]
    assert (model.parallel, model.batch_size) == (None, 3)  # type: ignore[attr-defined]
    found = together(open_model(f"python:{file}:awaited"), "a", "a long one", "odd", "b.")
    assert (found[0], found[3]) == ("a", "b")
    assert found[1].endswith(":awaited: ValueError: too long")
    assert found[2].endswith(":awaited returned int, not a text")


@pytest.mark.parametrize(("named", "words"), [("short", "1 answer for 2"), ("one", "str for 2")])
def test_a_function_of_prompts_gives_a_list_of_as_many(file: Path, named: str, words: str) -> None:
    with pytest.raises(ProviderError, match=words):
        together(open_model(f"python:{file}:{named}"), "a", "b")
