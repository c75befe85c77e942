"""From Python: what `run` takes and returns, in scripts, in notebooks and inside event loops."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import linecache
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

import evalkit
from evalkit import api
from evalkit.api import Accuracy, Generated, Message, ModelScorer, Protocol, Record, Sample, Task, Verdict
from evalkit.engine.chosen import choose
from evalkit.engine.rescore import rescore
from evalkit.models.python_given import as_model, model_of, name_of
from evalkit.report.export import rows
from tests.openai_server import OpenAIServer, arithmetic

ROOT = Path(__file__).parent.parent
OFF = 0


def adds(prompt: str) -> str:
    return f"The answer is {sum(map(int, re.findall('[0-9]+', prompt))) + OFF}"


async def adds_messages(prompt: tuple[Message, ...]) -> str:
    return adds(prompt[-1].text)


def adds_all(prompts: list[str]) -> list[str]:
    return [adds(prompt) for prompt in prompts]


class Adder:
    def __init__(self, off: int = 0) -> None:
        self.off = off

    def __call__(self, prompt: str) -> str:
        return f"The answer is {sum(map(int, re.findall('[0-9]+', prompt))) + self.off}"


def sums(chance: Random) -> list[Record]:
    return [{"id": str(i), "a": chance.randrange(50), "b": chance.randrange(50)} for i in range(6)]


def read(record: Record) -> Sample:
    a, b = int(str(record["a"])), int(str(record["b"]))
    return Sample(id=str(record["id"]), input=f"What is {a} + {b}?", target=(str(a + b),))


def last(text: str, sample: Sample) -> str | None:
    return next(reversed(re.findall("[0-9]+", text)), None)


def right(answer: str, sample: Sample) -> Verdict:
    return Verdict(answer in sample.target)


@evalkit.task("sums")
def task_of_sums(slack: str = "0") -> Task:
    """Sums of two numbers."""
    return Task(
        data=Generated(int(slack), sums),
        sample=read,
        prompt=lambda sample, protocol: (Message("system", "Add."), Message("user", sample.input)),
        answer=last,
        scorer=right,
        metrics=(Accuracy(),),
        protocols=(Protocol(name="short", max_tokens=32), Protocol(name="long", max_tokens=64)),
        gold=lambda sample, protocol: sample.target[0],
    )


ANSWERS = (last, lambda text, sample: text)


# -- what is public ------------------------------------------------------------------------------------


def test_run_and_evaluate_take_the_same_and_say_what_it_means() -> None:
    run, evaluate = inspect.signature(evalkit.run), inspect.signature(evalkit.evaluate)
    assert run.parameters == evaluate.parameters
    for name, parameter in run.parameters.items():
        assert parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        for function in (evalkit.run, evalkit.evaluate):
            told = re.search(rf"^    {name}: (.*?)(?=^    \w+:|\n\n)", function.__doc__ or "", re.M | re.S)
            assert told, name
            assert "Default:" in told[1] or parameter.default is parameter.empty, name


@pytest.mark.parametrize("module", [evalkit, api])
def test_all_lists_what_is_public(module: Any) -> None:
    assert all(hasattr(module, name) for name in module.__all__)
    assert not [name for name in module.__all__ if name.startswith("_") and name != "__version__"]
    there = {name for name, value in vars(module).items() if not name.startswith("_")}
    there -= {name for name in there if inspect.ismodule(getattr(module, name))}
    assert there <= {*module.__all__, "TYPE_CHECKING"}


def test_store_opens_by_a_text_and_closes_with_its_block(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    evalkit.run(adds, task_of_sums, output=path)
    with evalkit.Store.open(str(path)) as store:
        (cell,) = store.cells()
        assert len(list(store.samples(cell))) == 6
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        store.cells()
    with pytest.raises(RuntimeError, match="on purpose"), evalkit.Store.open(path) as other:
        raise RuntimeError("on purpose")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        other.cells()


# -- models --------------------------------------------------------------------------------------------


async def adds_all_later(prompts: list[str]) -> tuple[str, ...]:
    return tuple(map(adds, prompts))


class AddsAll:
    def __call__(self, prompts: list[str]) -> list[str]:
        return adds_all(prompts)


class Contract:
    """An object with the contract, and nothing of evalkit's in its bases."""

    name, parallel, identity = "contract", 2, {"version": 1}
    capabilities = frozenset({"chat"})

    async def generate(self, request: api.Request, *, draw: int = 0) -> api.Response:
        return api.Response(adds(request.prompt[-1].text))  # type: ignore[union-attr, index]

    async def aclose(self) -> None: ...


class ContractOfBatches(Contract):
    batch_size = 4

    async def generate_batch(
        self, requests: list[api.Request], draws: list[int]
    ) -> list[api.Response | api.ProviderError]:
        assert 1 <= len(requests) == len(draws) <= self.batch_size
        return [await self.generate(request) for request in requests]


@pytest.mark.parametrize(
    "model",
    [adds, adds_messages, adds_all, adds_all_later, AddsAll(), Adder(), Adder]
    + [lambda prompt: adds(prompt[1].text), lambda prompt: adds_messages(prompt)]
    + [functools.partial(adds_messages), Contract(), ContractOfBatches(), Contract],
)
def test_whatever_answers_prompts_is_a_model(model: Any, tmp_path: Path) -> None:
    table = evalkit.run(model, task_of_sums, output=tmp_path / "run.db")
    assert (table.cells[0].value, table.cells[0].n, table.failed) == (100.0, 6, 0)


@pytest.mark.parametrize(
    ("given", "name"),
    [("fake/gold", "fake/gold"), (adds, "python:adds"), (lambda prompt: "", "python:lambda")]
    + [(Adder(), "python:Adder"), (as_model(adds, name="mine"), "mine")],
)
def test_a_model_has_a_name(given: Any, name: str) -> None:
    assert name_of(given) == model_of(given).name == name


def test_a_run_is_gone_on_with_by_the_same_code_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.db"
    evalkit.run(adds, task_of_sums, output=path)
    assert evalkit.run(adds, task_of_sums, output=path).cells[0].value == 100.0
    monkeypatch.setattr(sys.modules[__name__], "OFF", 1)
    with pytest.raises(evalkit.UsageError, match="model code: own#"):
        evalkit.run(adds, task_of_sums, output=path)
    one, two = (model_of(Adder(off)).identity for off in (0, 1))
    assert one != two
    assert one == model_of(Adder(0)).identity


def test_what_decides_the_answers_may_be_said(tmp_path: Path) -> None:
    said = as_model(adds, name="mine", identity={"weights": 3})
    assert said.identity == {"backend": "python", "given": {"weights": 3}, "prompt": "text"}
    assert evalkit.run(said, task_of_sums, output=tmp_path / "run.db").cells[0].model == "mine"
    model = evalkit.open_model("fake/gold")
    assert as_model(model) is model
    assert as_model(model, name="gold").identity["own"] == model.identity


def typed(source: str, file: str) -> dict[str, Any]:
    """What a prompt makes of `source`: without a file, and kept where the prompt keeps it."""
    there: dict[str, Any] = {"__name__": "__main__", "re": re}
    exec(compile(source, file, "exec"), there)
    if file.startswith("<ipython"):
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return there


CELL = """
def shouts(prompt: str) -> str:
    return "ANSWER".lower()

class Shouts:
    def word(self):
        return "ANSWER"
    def __call__(self, prompt: str) -> str:
        return self.word()
"""


@pytest.mark.parametrize("name", ["shouts", "Shouts"])
def test_what_a_notebook_has_is_known_by_its_source(name: str) -> None:
    first, same, other = (
        model_of(typed(text, f"<ipython-input-{number}-{name}>")[name]).identity
        for number, text in enumerate((CELL, f"\n\n{CELL}", CELL.replace("ANSWER", "REPLY")))
    )
    assert first == same != other


@pytest.mark.parametrize("file", ["<string>", "<stdin>", "<made up>"])
@pytest.mark.parametrize("name", ["shouts", "Shouts"])
def test_what_nobody_kept_is_refused_with_the_fix(file: str, name: str, tmp_path: Path) -> None:
    model = typed(CELL, file)[name]
    with pytest.raises(evalkit.UsageError, match=r"no source file .*as_model\(…, identity="):
        evalkit.run(model, task_of_sums, output=tmp_path / "run.db")
    table = evalkit.run(as_model(model, identity={}), task_of_sums, output=tmp_path / "run.db")
    assert table.cells[0].value == 0.0


def test_a_conversation_is_no_text(tmp_path: Path) -> None:
    turns = (Message("user", "1 + 1?"), Message("assistant", "2"), Message("user", "2 + 2?"))
    talk = replace(choose(task_of_sums, {}).task, prompt=lambda sample, protocol: turns)
    with pytest.raises(evalkit.Stopped, match=r"annotated as str.*run\.db; the same call"):
        evalkit.run(adds, talk, output=tmp_path / "run.db")
    assert evalkit.run(adds_messages, talk, output=tmp_path / "2.db").failed == 0
    assert model_of(adds).capabilities == {"chat"}


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (42, {}, "42 is not a model: give a name, a function"),
        (adds, {"base_url": "http://127.0.0.1:1/v1"}, "no parameter base_url"),
        (as_model(adds), {"base_url": "http://127.0.0.1:1/v1"}, "already made"),
        (adds, {"concurrency": 0}, "concurrency must be at least 1"),
        (adds, {"judge": 42}, "42 is not a model"),
        (adds, {"judge": adds}, "--judge python:adds: none of sums uses such a judge"),
    ],
)
def test_what_is_no_model_is_refused_in_words(model: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(evalkit.UsageError, match=re.escape(words)):
        evalkit.run(model, task_of_sums, **settings)


async def yields(prompt: str) -> AsyncIterator[str]:
    yield "2"


def yields_all(prompts: list[str]) -> Iterator[str]:
    yield from prompts


class Yields:
    async def __call__(self, prompt: str) -> AsyncIterator[str]:
        yield "2"


@pytest.mark.parametrize("model", [yields, yields_all, Yields(), functools.partial(yields)])
def test_an_answer_in_pieces_is_refused_before_the_first_request(model: Any) -> None:
    with pytest.raises(evalkit.UsageError, match=r"yields its answer piece by piece: return the whole of it"):
        evalkit.run(model, task_of_sums)


def fails(prompt: str) -> str:
    raise KeyError("no such weight")


def too_few(prompts: list[str]) -> list[str]:
    return adds_all(prompts)[:-1]


def a_text(prompts: list[str]) -> str:
    return "2"


def some_fail(prompts: list[str]) -> list[str | Exception]:
    return [ValueError("too long") if "+ 3" in prompt else adds(prompt) for prompt in prompts]


@pytest.mark.parametrize(
    ("model", "failed", "words"),
    [
        (fails, 6, "python:fails: KeyError: 'no such weight'"),
        (lambda prompt: 2, 6, "python:lambda returned int, not a text"),
        (too_few, 6, "python:too_few returned 0 answers for 1 prompt, not a list with one text for each"),
        (a_text, 6, "python:a_text returned str for 1 prompt, not a list with one text for each"),
        (some_fail, 3, "python:some_fail: ValueError: too long"),
    ],
)
def test_what_is_no_answer_fails_its_samples_in_words(
    model: Any, failed: int, words: str, tmp_path: Path
) -> None:
    table = evalkit.run(model, task_of_sums, output=tmp_path / "run.db", retries=0)
    assert table.failed == failed
    assert table.cells[0].causes[0].message == words


@pytest.mark.parametrize("base", [Contract, ContractOfBatches])
def test_a_method_that_is_not_async_ends_the_run(base: Any, tmp_path: Path) -> None:
    class Plain(base):  # type: ignore[misc]
        def generate(self, request: api.Request, *, draw: int = 0) -> api.Response:
            return api.Response("2")

        if base is ContractOfBatches:

            def generate_batch(self, requests: list[api.Request], draws: list[int]) -> list[api.Response]:
                return [api.Response("2")] * len(requests)

    with pytest.raises(evalkit.Stopped, match="it has a method that must be `async def`"):
        evalkit.run(as_model(cast("Any", Plain()), name="plain"), task_of_sums, output=tmp_path / "run.db")


def test_an_object_that_lacks_a_member_is_no_model() -> None:
    class Half:
        async def generate(self, request: object) -> None: ...

    with pytest.raises(evalkit.UsageError, match="it has no name, capabilities, parallel, identity, aclose"):
        evalkit.run(Half(), task_of_sums)  # type: ignore[arg-type]


def test_a_model_answers_again_after_a_run_closed_it(tmp_path: Path) -> None:
    with OpenAIServer(arithmetic) as server:
        for model in (evalkit.open_model("openai/any", base_url=server.url), as_model(adds)):
            for number in range(2):
                path = tmp_path / f"{model.name.replace('/', '-')}{number}.db"
                assert evalkit.run(model, task_of_sums, output=path).failed == 0


async def graded(answer: str, sample: Sample, context: api.JudgeContext) -> Verdict:
    said = await context.ask((Message("user", f"Is {answer} right?"),), lambda text: text, role="grader")
    return Verdict(said == "yes")


def test_judge_models_are_functions_too(tmp_path: Path) -> None:
    task = replace(choose(task_of_sums, {}).task, scorer=ModelScorer(score=graded, roles=("grader",)))
    judges: list[Any] = [{"grader": lambda prompt: "yes"}, lambda prompt: "yes"]
    for number, judge in enumerate(judges):
        table = evalkit.run(adds, task, judge=judge, output=tmp_path / f"{number}.db")
        assert table.cells[0].value == 100.0
        assert "own#" in str(table.cells[0].signature.parts["scorer"])


# -- tasks ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_tasks_are_names_values_and_functions(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    given = ["gsm8k:0-shot-chat", evalkit.load_task("humaneval"), task_of_sums, (task_of_sums, "long")]
    table = evalkit.run("fake/gold", given, data="builtin", limit=2, output=path)  # type: ignore[arg-type]
    headlines = dict.fromkeys((cell.task, cell.protocol, cell.value) for cell in table.cells)
    assert [*headlines] == [
        ("gsm8k", "0-shot-chat", 100.0),
        ("humaneval", "0-shot", 100.0),
        ("sums", "short", 100.0),
        ("sums", "long", 100.0),
    ]
    with evalkit.Store.open(path) as store:
        sources = [cell.spec.source for cell in store.cells()]
    assert sources == ["gsm8k", "humaneval", *2 * [f"{__file__}:sums"]]


def test_a_task_of_a_file_is_read_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "kept.py"
    file.write_text(
        "from evalkit.api import load_task, task\nimport dataclasses\n"
        "@task('kept')\ndef kept():\n    return dataclasses.replace(load_task('gsm8k'), size=None)\n"
    )
    by_value, by_name = (choose(one, {}) for one in (evalkit.load_task(str(file)), f"{file}:kept"))
    assert by_value.source == by_name.source == f"{file.resolve()}:kept"


def test_a_changed_task_is_another_one() -> None:
    task = evalkit.load_task("gsm8k")
    assert task.source == "gsm8k"
    assert replace(task, scorer=right).source == ""
    assert choose(typed(CELL + TYPED, "<ipython-input-9-x>")["typed"], {}).source == ""


def test_a_task_in_no_file_is_read_without_it_and_not_rescored(tmp_path: Path) -> None:
    task, path = typed(CELL + TYPED, "<ipython-input-8-x>")["typed"], tmp_path / "run.db"
    table = evalkit.run("fake/gold", task, data="builtin", limit=2, output=path)
    with evalkit.Store.open(path) as store:
        assert evalkit.build_table([store]) == table
    with pytest.raises(evalkit.UsageError, match="the code of typed is not found: it was given from Python"):
        next(rescore(path, tmp_path / "again.db"))


TYPED = """
import evalkit, dataclasses
@evalkit.task("typed")
def typed():
    return dataclasses.replace(evalkit.load_task("gsm8k"), size=None)
"""


def test_settings_fill_a_functions_options_and_may_be_numbers(tmp_path: Path) -> None:
    table = evalkit.run(
        "fake/gold", task_of_sums, settings={"slack": 3, "max_tokens": 9}, output=tmp_path / "run.db"
    )
    assert table.cells[0].protocol == "short[max_tokens=9,slack=3]"
    assert table.cells[0].spec.options == {"slack": "3"}


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], "no task is named"),
        (7, "7 is not a task"),
        (
            right,
            "right is not a task, nor the name of a task: "
            "mark the function that builds it with @evalkit.task",
        ),
        ((task_of_sums, "lang"), "protocol of sums 'lang'"),
        (replace(choose(task_of_sums, {}).task, name=""), "a Task needs a name"),
        (
            [task_of_sums, replace(choose(task_of_sums, {}).task, answer=lambda text, sample: text)],
            "are both named sums:short",
        ),
        (
            [replace(choose(task_of_sums, {}).task, max_shots=n, answer=ANSWERS[n]) for n in (0, 1)],
            "two different tasks are both named sums:short",
        ),
    ],
)
def test_what_is_no_task_is_refused_in_words(tasks: Any, words: str) -> None:
    with pytest.raises(evalkit.UsageError, match=re.escape(words)):
        evalkit.run("fake/gold", tasks)


# -- event loops ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_run_works_inside_a_running_loop(tmp_path: Path) -> None:
    async def cell(url: str) -> list[evalkit.Table]:
        here = asyncio.get_running_loop()
        one, *others = (tmp_path / f"{number}.db" for number in range(3))
        tables = [evalkit.run("openai/any", "gsm8k:8-shot-cot", base_url=url, data="builtin", output=one)]
        for path in others:
            tables += [evalkit.run("fake/gold", ["humaneval", "math"], data="builtin", limit=2, output=path)]
        assert asyncio.get_running_loop() is here
        await asyncio.sleep(0)
        return [*tables, await evalkit.evaluate(adds_messages, task_of_sums, output=tmp_path / "4.db")]

    with OpenAIServer(arithmetic) as server:
        asked, first, again, awaited = asyncio.run(cell(server.url))
        assert (asked.cells[0].n, asked.failed) == (16, 0)
    assert [cell.value for cell in first.cells] == [cell.value for cell in again.cells]
    assert {cell.value for cell in first.cells} == {100.0}
    assert awaited.cells[0].value == 100.0
    with pytest.raises(evalkit.UsageError, match="42 is not a model"):  # as it is raised without a loop
        asyncio.run(raising())


async def raising() -> None:
    evalkit.run(42, task_of_sums)  # type: ignore[arg-type]


def interrupting(after: int) -> Callable[[str], str]:
    """A model that sends Ctrl-C at its call number `after`."""
    calls = itertools.count(1)

    def answer(prompt: str) -> str:
        if next(calls) == after:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        return adds(prompt)

    return answer


def test_an_interrupted_run_in_a_loop_stores_and_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "run.db"

    async def cell() -> None:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as a notebook has it
        try:
            with pytest.raises(KeyboardInterrupt):
                evalkit.run(as_model(interrupting(4), identity={}), task_of_sums, output=path)
        finally:
            signal.signal(signal.SIGINT, before)

    asyncio.run(cell())
    with evalkit.Store.open(path) as store:
        (stored,) = store.cells()
        assert 0 < sum(store.outcomes(stored).values()) < 6
    table = evalkit.run(as_model(interrupting(0), identity={}), task_of_sums, output=path)
    assert table.cells[0].value == 100.0


def test_progress_tells_the_end_of_each_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks: list[Any] = [task_of_sums, (task_of_sums, "long")]
    evalkit.run(adds, tasks, progress=True, output=tmp_path / "run.db")
    told = capsys.readouterr().err
    assert re.findall(r"^(sums:\w+): (samples|6) ?", told, re.M) == [
        (f"sums:{name}", words) for name in ("short", "long") for words in ("samples", "6")
    ]
    evalkit.run(adds, tasks, output=tmp_path / "silent.db")
    assert not capsys.readouterr().err


# -- what comes back -----------------------------------------------------------------------------------


def documented(method: Callable[..., object]) -> list[str]:
    """Columns in the order in which a docstring describes them."""
    lines = re.findall(r"^        (\w+(?:, \w+)*): ", method.__doc__ or "", re.M)
    return [name for line in lines for name in line.split(", ")]


def in_the_page(heading: str) -> set[str]:
    page = (ROOT / "docs/python.md").read_text("utf-8")
    (table,) = re.findall(rf"^\| {heading} \| \|\n\|---\|---\|\n((?:\|.*\n)+)", page, re.M)
    return {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_frames_have_the_columns_that_are_documented(tmp_path: Path) -> None:
    table = evalkit.run("fake/gold?wrong=0.5", "gsm8k:8-shot-cot", data="builtin", output=tmp_path / "run.db")
    figures, samples = table.to_pandas(), table.samples()
    for frame, method, heading in (
        (figures, evalkit.Table.to_pandas, "of a figure"),
        (samples, evalkit.Table.samples, "of a sample"),
    ):
        assert {*frame.columns} == {*documented(method)} == in_the_page(heading)
        assert len(documented(method)) == len(frame.columns)
    cell = table.cells[0]
    assert [*figures.task] == ["gsm8k", "gsm8k"]
    assert (figures.value[0], figures.low[0], figures.high[0], figures.n[0]) == (
        cell.value,
        cell.low,
        cell.high,
        cell.n,
    )
    assert (figures.correct[0], figures.wrong[0]) == (cell.outcomes["correct"], cell.outcomes["wrong"])
    assert figures.signature[0] == cell.signature.line()
    with evalkit.Store.open(table.paths[0]) as store:
        assert samples.to_dict("records") == [*rows([store])]
    assert (samples.outcome == "wrong").sum() == figures.wrong[0]


def test_figures_that_there_are_not_are_nan(tmp_path: Path) -> None:
    table = evalkit.run("fake/gold?errors=1", task_of_sums, retries=0, output=tmp_path / "run.db")
    frame = table.to_pandas()
    assert frame[["value", "low", "high"]].isna().all(axis=None)
    assert frame.failed[0] == 6


def test_a_table_says_where_it_is_from_and_shows_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = evalkit.run(adds, task_of_sums)
    (path,) = table.paths
    assert path.parent == tmp_path / "runs"
    assert path.name.startswith("python-adds_sums_")
    monkeypatch.chdir("/")
    assert len(table.samples()) == 6
    assert "100 %" in repr(table)
    assert "| sums:short | python:adds | accuracy | 100 % |" in table._repr_markdown_()
    path.unlink()
    with pytest.raises(evalkit.UsageError, match="no run file"):
        table.samples()


@pytest.mark.slow
def test_pandas_is_imported_only_when_it_is_used(tmp_path: Path) -> None:
    code = (
        "import sys, evalkit\nfrom tests.test_python_api import adds, task_of_sums\n"
        f"t = evalkit.run(adds, task_of_sums, output={str(tmp_path / 'run.db')!r})\n"
        "assert 'pandas' not in sys.modules\n"
        "t.to_pandas()\n"
        "assert 'pandas' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_a_script_from_nowhere_works_without_source_for_a_named_model(tmp_path: Path) -> None:
    code = "import evalkit\ntry: evalkit.run(lambda p: '7', 'gsm8k:0-shot-chat', data='samples', limit=1)\n"
    code += "except evalkit.UsageError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("python:lambda: no source file for module '__main__'")
    assert not [*tmp_path.iterdir()]
