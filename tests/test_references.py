"""A fence: what counts as right never reaches a model, in any task, under any protocol, by any way."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import pickle
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from evalkit.tasks import INDEX

import evalkit
from evalkit.api import ask_reference
from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions, Record
from evalkit.engine.cell import CellPlan, rendered
from evalkit.engine.plan import Plan, make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.models import open_model
from evalkit.models.base import Model, Request, Response, TokenLogprob
from evalkit.models.fake import GOLD, FakeModel, Hints
from evalkit.samples import JSON, Audio, Image, Message, Sample, Speech
from evalkit.session import execute_plan
from tests.made import sums
from tests.openai_server import OpenAIServer, arithmetic

MARK = "REFERENCE-5e1c"
SMALL = DataOptions(small_sets=True)
SPOKEN = ("language", "spoken")
LANGUAGES = ("from", "into")
NAMES = ("instruction", "document", "summary")
SHOWN = {
    "boolq": ("passage",),
    "drop": ("passage", "earlier"),
    "flores-low": LANGUAGES,
    "kv-retrieval": ("pairs", "words"),
    "kv-retrieval-json": ("pairs",),
    "mbpp": ("tests",),
    "mbppplus": ("tests",),
    "mmmlu": ("subject",),
    "nll-by-position": ("windows",),
    "nq-retrieved": ("passages",),
    "quality": ("article",),
    "tydiqa": ("context",),
    "wikilingua": NAMES,
    "wmt23": LANGUAGES,
    "xlsum": NAMES,
    "xsum": NAMES,
}
"""What prompts may say of `Sample.meta`, by benchmark: what is read, and the names of languages and texts.
The pairs of kv-retrieval are what is searched, and the wanted value is among them."""
PARTS = (Request, Message, Speech, Image, Audio)
"""What a request is made of, besides plain values."""


class Probe:
    """A model that can do everything, says something to everything, and keeps what it was asked."""

    name = "probe"
    capabilities = FakeModel(GOLD).capabilities
    parallel: int | None = None

    def __init__(self) -> None:
        self.asked: list[Request] = []

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "probe"}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        self.asked.append(request)
        token = TokenLogprob(" A", math.log(0.5), {f" {letter}": math.log(0.1) for letter in "ABCD"})
        words = re.findall(r"\s*\S+|\s+$", str(request.prompt)) if request.echo else ()
        echoed = tuple(TokenLogprob(word, math.log(0.5), {}) for word in words)
        return Response(" A", logprobs=(token,) * bool(request.logprobs), prompt_logprobs=echoed)

    async def aclose(self) -> None:
        return None


def forbidden(sample: Sample, protocol: Protocol) -> str:
    raise AssertionError("no model but a fake one is anybody's reason to call this")


def marked(value: JSON) -> JSON:
    """`value` with the mark for every text and number in it."""
    if isinstance(value, dict):
        return {key: marked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner) for inner in value]
    return MARK


def with_marks(cell: CellPlan) -> CellPlan:
    """The cell with a mark for each reference of each sample, and without `gold` and `wrong_responses`."""

    def sample(record: Record) -> Sample:
        plain: Sample = cell.task.sample(record)
        shown = SHOWN.get(cell.task.name, SPOKEN)
        meta = {key: value if key in shown else marked(value) for key, value in plain.meta.items()}
        target = tuple(f"{MARK} {number}" for number in range(len(plain.target)))
        return dataclasses.replace(plain, target=target, meta=meta)

    task = dataclasses.replace(cell.task, sample=sample, gold=forbidden, wrong_responses=forbidden)
    return dataclasses.replace(cell, task=task)


def leaves(value: object, path: str) -> Iterator[str | bytes]:
    """Every text and all bytes that `value` leads to; what may not be in a request is an error."""
    if isinstance(value, str | bytes):
        yield value
    elif isinstance(value, tuple):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    elif type(value) is dict:  # of what the user adds to the body
        for key, inner in value.items():
            yield key
            yield from leaves(inner, f"{path}[{key!r}]")
    elif type(value) in PARTS:
        assert not hasattr(value, "__dict__"), f"{path} can hold anything"
        for field in dataclasses.fields(value):  # type: ignore[arg-type]
            yield from leaves(getattr(value, field.name), f"{path}.{field.name}")
    else:
        assert value is None or type(value) in (int, float, bool), f"{path} is a {type(value).__name__}"


def assert_clean(asked: Sequence[object]) -> None:
    for number, value in enumerate(asked):
        for leaf in leaves(value, f"asked[{number}]"):
            assert MARK.encode() not in (leaf if isinstance(leaf, bytes) else leaf.encode())
        assert MARK.encode() not in pickle.dumps(value)


def run(plan: Plan, path: Path) -> None:
    store = open_run(path, plan)
    try:
        asyncio.run(execute(plan, store, Options(8)))
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(INDEX))
def test_no_reference_is_in_any_request(name: str, tmp_path: Path) -> None:
    for protocol in load_task(name).protocols:
        model = Probe()
        plan = make_plan(model, [f"{name}:{protocol.name}"], data=SMALL, limit=1)
        cells = tuple(map(with_marks, plan.cells))
        for cell, plain in zip(cells, plan.cells, strict=True):
            for (_, ours), (_, theirs) in zip(cell.samples(), plain.samples(), strict=True):
                assert MARK in repr(ours)
                for branch in (protocol.name, *cell.protocol.fallback):
                    asking = cell.task.protocol(branch)
                    assert rendered(cell.task, ours, asking) == rendered(cell.task, theirs, asking)
        run(dataclasses.replace(plan, cells=cells), tmp_path / f"{protocol.name}.db")
        prompts = {rendered(cell.task, one, cell.protocol) for cell in cells for _, one in cell.samples()}
        assert len(model.asked) >= len(prompts)
        if protocol.solver is not ask_reference:  # the likelihood of the reference is what it asks for
            assert_clean(model.asked)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(INDEX.keys() - {"nll-by-position"}))  # which no function can answer
def test_no_reference_is_in_what_a_function_of_the_user_s_is_given(name: str, tmp_path: Path) -> None:
    file = tmp_path / "spy.py"
    file.write_text(
        "import pickle\n"
        "from pathlib import Path\n"
        "def spy(*given, **named):\n"
        "    with Path(__file__).with_suffix('.seen').open('ab') as seen:\n"
        "        pickle.dump((given, tuple(named.items())), seen)\n"
        "    return 'A'\n"
        "spy.capabilities = ('completion', 'audio', 'transcription')\n",
        encoding="utf-8",
    )
    model = open_model(f"python:{file}:spy")
    protocol = next(p for p in load_task(name).protocols if not p.logprobs and not p.fallback)
    plan = make_plan(model, [f"{name}:{protocol.name}"], data=SMALL, limit=2)
    run(dataclasses.replace(plan, cells=tuple(map(with_marks, plan.cells))), tmp_path / "r.db")
    seen = []
    with file.with_suffix(".seen").open("rb") as found:
        while found.peek(1):
            seen.append(pickle.load(found))
    assert len(seen) >= 2
    assert_clean(seen)


def test_the_fence_sees_what_it_is_for() -> None:
    """Of a mark anywhere in a request: in a text, an exemplar, a file's bytes, something foreign."""
    picture = Image(f"\x89PNG {MARK}".encode())
    for prompt in (
        MARK,
        (Message("user", "Q"), Message("assistant", MARK), Message("user", "Q")),
        (Message("user", ("Look: ", picture)),),
        Speech(Audio(MARK.encode())),
    ):
        with pytest.raises(AssertionError):
            assert_clean([Request(prompt, 8)])
    with pytest.raises(AssertionError, match="is a Sample"):
        assert_clean([Request(Sample("1", "Q", ("A",)), 8)])  # type: ignore[arg-type]


# -- hints ---------------------------------------------------------------------------------------------


def test_only_a_fake_model_itself_is_given_hints(tmp_path: Path) -> None:
    """No derived class, and nothing that is made like one."""
    given: list[Hints | None] = []

    class Derived(FakeModel):  # type: ignore[misc]
        async def generate_hinted(self, request: Request, hints: Hints | None, *, draw: int = 0) -> Response:
            given.append(hints)
            return Response("0")

    class Alike(Probe):
        async def generate_hinted(self, request: Request, hints: Hints, *, draw: int = 0) -> Response:
            given.append(hints)
            return Response("0")

    task = sums(tmp_path, 5)
    evalkit.run(Derived(GOLD), task, output=tmp_path / "derived.db")
    evalkit.run(Alike(), task, output=tmp_path / "alike.db")
    assert given == [None] * 5


TASK = """
from evalkit.tasks import INDEX
from pathlib import Path

def called(what):
    def call(sample, protocol):
        with Path(__file__).with_suffix(".called").open("a") as log:
            print(what, sample.id, protocol.name, file=log)
        raise RuntimeError(f"{what} of {sample.id}")
    return call
"""


def calls(folder: Path) -> list[str]:
    log = folder / "sums.called"
    found = log.read_text("utf-8").splitlines() if log.is_file() else []
    log.unlink(missing_ok=True)
    return found


def hurting(folder: Path, *what: str) -> str:
    """Sums of which those functions named in `what` write down that they are called, and raise."""
    task = Path(sums(folder, 5))
    text = task.read_text("utf-8")
    for name in what:
        head, _, tail = text.partition(f"        {name}=")
        text = f"{head}        {name}=called({name!r}),\n{tail.partition(chr(10))[2]}"
    task.write_text(text + TASK, encoding="utf-8")
    return str(task)


def ask(model: Model, task: str, path: Path) -> dict[str, int]:
    table = asyncio.run(execute_plan(make_plan(model, [task]), path))
    return {outcome: count for outcome, count in table.cells[0].outcomes.items() if count}


def test_gold_and_wrong_are_called_for_nobody_else(tmp_path: Path) -> None:
    """Not for an endpoint, a model in a file, a replay, nor for a fake model that says something else."""
    task = hurting(tmp_path, "gold", "wrong_responses")
    with OpenAIServer(arithmetic) as server:
        assert ask(open_model("openai/any", base_url=server.url), task, tmp_path / "r.db") == {"correct": 5}
    assert ask(open_model(f"replay/{tmp_path / 'r.db'}"), task, tmp_path / "again.db") == {"correct": 5}
    (tmp_path / "seven.py").write_text("def seven(prompt):\n    return '7'\n", encoding="utf-8")
    ask(open_model(f"python:{tmp_path / 'seven.py'}:seven"), task, tmp_path / "seven.db")
    for spec in ("fake/echo", "fake/fixed?text=7"):
        ask(open_model(spec), task, tmp_path / f"{spec[5:9]}.db")
    assert calls(tmp_path) == []


def test_only_what_a_fake_model_says_is_worked_out(tmp_path: Path) -> None:
    task = hurting(tmp_path, "wrong_responses")
    assert ask(open_model("fake/gold"), task, tmp_path / "gold.db") == {"correct": 5}
    assert calls(tmp_path) == []
    assert ask(open_model("fake/gold?wrong=1"), task, tmp_path / "wrong.db") == {"failed": 5}
    assert [line.split()[0] for line in calls(tmp_path)] == ["wrong_responses"] * 5


def test_a_judge_is_shown_no_reference_either(tmp_path: Path) -> None:
    """mathvista asks one where its rules find no answer; its prompt has the response and the question."""
    judge, model = Probe(), Probe()
    plan = make_plan(model, ["mathvista"], data=SMALL, judges={"judge": judge})
    plan = dataclasses.replace(plan, cells=tuple(map(with_marks, plan.cells)))
    run(plan, tmp_path / "r.db")
    assert_clean([*judge.asked, *model.asked])
    assert judge.asked
