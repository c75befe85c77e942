"""A model class of lm-eval sees the same requests from evalkit as from lm-eval's own command, and the numbers
of lm-eval's tasks are the same, sample by sample: of a Llama on the CPU, and of an endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import evalkit
from bench.agreement import compared
from evalkit.errors import UsageError
from evalkit.lmeval.index import package_folder
from evalkit.models import open_model
from evalkit.runfile.store import Store
from tests import noted_class
from tests.conformance.test_lm_eval_tasks import FOLDERS, TASKS, data  # noqa: F401 — a fixture
from tests.harness_server import HarnessServer
from tests.tiny_llama import written

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("data")]

CHAT = {"chat": "on"}, {"apply_chat_template": True, "fewshot_as_multiturn": True}
BRIEF = (
    {"chat": "on", "system": "Be brief.", "multiturn": "off"},
    {"apply_chat_template": True, "system_instruction": "Be brief.", "fewshot_as_multiturn": False},
)
PLAIN: tuple[Mapping[str, str], Mapping[str, Any]] = ({}, {})


def by_lm_eval(model: Any, tasks: Sequence[str], **settings: Any) -> Any:
    """The results of lm-eval's own evaluation, from the data sets in the working directory."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    folders = [package_folder() / name for name in FOLDERS]
    kind, arguments = model if isinstance(model, tuple) else (model, None)
    return simple_evaluate(
        model=kind,
        model_args=arguments,
        tasks=[*tasks],
        bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=False, include_path=folders),
        **settings,
    )


def by_evalkit(model: Any, tasks: Sequence[str], output: Path, **more: Any) -> Any:
    names = ",".join(f"lm-eval:{task}" for task in tasks)
    return evalkit.run(model, names, data=Path.cwd(), output=output, **more)


def asked(noted: Any) -> set[str]:
    """The distinct requests that the class got, with the blanks at the end of a context moved."""
    found = set()
    for kind, arguments in noted.calls:
        for context, *rest in arguments:
            if kind == "loglikelihood" and context.rstrip():
                end = len(context.rstrip())
                context, rest = context[:end], [context[end:] + rest[0]]
            if kind == "generate_until":
                rest = [{"max_gen_toks": 256} | {**rest[0], "until": sorted({*rest[0]["until"]})}]
            found.add(json.dumps([kind, context, *rest], sort_keys=True))
    return found


@pytest.mark.parametrize(
    ("tasks", "values", "settings"),
    [
        (TASKS, 143 + 7 + 13 + 20, PLAIN),
        (("gsm8k", "mmlu_anatomy", "winogrande", "drop"), 44, CHAT),
        (("gsm8k", "hellaswag"), 30, BRIEF),
    ],
    ids=["text", "chat", "brief chat"],
)
def test_a_class_sees_what_its_own_command_asks(
    tmp_path: Path,
    tasks: tuple[str, ...],
    values: int,
    settings: tuple[Mapping[str, str], Mapping[str, Any]],
) -> None:
    mine, theirs = settings
    model = open_model(f"lm-eval/{noted_class.NAME}?pretrained=any")
    by_evalkit(model, tasks, tmp_path / "run.db", settings=mine)
    own = noted_class.Noted("any")
    results = by_lm_eval(own, tasks, **theirs)
    noted: Any = model
    assert asked(noted._calls._model) == asked(own)
    count, wrong = compared(tmp_path / "run.db", results)
    assert not wrong
    assert count == values


def test_settings_change_the_request_as_gen_kwargs_do(tmp_path: Path) -> None:
    model = open_model(f"lm-eval/{noted_class.NAME}?pretrained=any")
    by_evalkit(
        model, ["gsm8k"], tmp_path / "run.db",
        settings={"temperature": "0.7", "top_p": "0.9", "max_tokens": "9", "stop": "end", "top_k": "4"},
    )  # fmt: skip
    changes = {"temperature": 0.7, "do_sample": True, "top_p": 0.9, "max_gen_toks": 9, "until": ["end"]}
    own = noted_class.Noted("any")
    by_lm_eval(own, ["gsm8k"], gen_kwargs={**changes, "top_k": 4})
    noted: Any = model
    assert asked(noted._calls._model) == asked(own)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("llama"), positions=2048)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("tasks", "limit", "settings"),
    [
        (("hellaswag", "arc_easy", "winogrande", "lambada_openai", "wikitext", "mrpc"), None, PLAIN),
        (("hellaswag", "mmlu_anatomy", "winogrande"), None, CHAT),
        (("gsm8k",), 2, PLAIN),
        (("gsm8k",), 2, BRIEF),
    ],
    ids=["likelihoods", "likelihoods in a chat", "generation", "generation in a chat"],
)
def test_the_numbers_of_a_llama_are_lm_evals(
    llama: Path,
    tmp_path: Path,
    tasks: tuple[str, ...],
    limit: int | None,
    settings: tuple[Mapping[str, str], Mapping[str, Any]],
) -> None:
    mine, theirs = settings
    arguments = {"pretrained": str(llama), "device": "cpu", "dtype": "float32", "batch_size": 4}
    typed = ",".join(f"{key}={value}" for key, value in arguments.items())
    by_evalkit(f"lm-eval/hf?{typed}", tasks, tmp_path / "run.db", settings=mine, limit=limit)
    found = by_lm_eval(("hf", arguments), tasks, limit=limit, **theirs)
    count, wrong = compared(tmp_path / "run.db", found)
    assert not [one for one in wrong if not _close(one)]
    assert count >= 2 * len(tasks)
    texts = {sample["resps"][0][0] for task in tasks for sample in found["samples"][task]}
    with Store.open(tmp_path / "run.db") as store:
        rows = store.connection.execute("SELECT text FROM draw WHERE likelihoods IS NULL").fetchall()
    if rows:
        assert {text for (text,) in rows} == texts


def _close(difference: str) -> bool:
    """Whether two numbers differ only as sums in another batch do."""
    mine, theirs = map(float, difference.rsplit(": ", 1)[1].split())
    return abs(mine - theirs) <= 1e-5 * max(1.0, abs(theirs))


@pytest.mark.parametrize("at_once", [1, 8])
def test_the_numbers_of_an_endpoint_are_lm_evals(tmp_path: Path, at_once: int) -> None:
    """By lm-eval's own classes for endpoints, with and without their own concurrency."""
    tasks = ("gsm8k", "arc_easy", "wikitext", "hellaswag")
    with HarnessServer() as server:
        for route, kind, names, (mine, theirs) in (
            ("completions", "local-completions", tasks, PLAIN),
            ("chat/completions", "local-chat-completions", tasks[:1], CHAT),
        ):
            arguments = {"model": "made-up", "base_url": f"{server.url}/{route}", "max_length": 100000}
            arguments["num_concurrent"] = at_once
            typed = ",".join(f"{key}={value}" for key, value in arguments.items())
            by_evalkit(f"lm-eval/{kind}?{typed}", names, tmp_path / f"{kind}.db", settings=mine)
            found = by_lm_eval((kind, arguments), names, **theirs)
            count, wrong = compared(tmp_path / f"{kind}.db", found)
            assert not wrong
            assert count >= 10


def test_a_server_that_is_gone_gives_failed_samples_and_no_answers(tmp_path: Path) -> None:
    with HarnessServer() as server:
        url = server.url
    typed = f"lm-eval/local-chat-completions?model=made-up,base_url={url}/chat/completions,max_retries=1"
    by_evalkit(typed, ["gsm8k"], tmp_path / "run.db", settings=CHAT[0], retries=0, limit=3)
    with Store.open(tmp_path / "run.db") as store:
        (cell,) = store.cells()
        assert {str(key): n for key, n in store.outcomes(cell).items() if n} == {"failed": 3}
        messages = [row[0] for row in store.connection.execute("SELECT message FROM error")]
    assert len(messages) >= 3
    assert all("ConnectionError" in message for message in messages)


@pytest.mark.filterwarnings("default")
def test_draws_differ_and_a_resumed_run_finds_its_answers(llama: Path, tmp_path: Path) -> None:
    typed = f"lm-eval/hf?pretrained={llama},device=cpu,dtype=float32"
    settings = {"temperature": "1.5", "draws": "4", "max_tokens": "6"}
    for _ in range(2):
        by_evalkit(typed, ["gsm8k"], tmp_path / "run.db", settings=settings, limit=2)
    with Store.open(tmp_path / "run.db") as store:
        rows = store.connection.execute("SELECT request, draw, text FROM draw").fetchall()
    assert sorted((request, draw) for request, draw, _ in rows) == [(r, d) for r in (1, 2) for d in range(4)]
    assert len({text for _, _, text in rows}) >= 7


def test_likelihoods_after_a_chat_need_a_class_of_lm_eval(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="compares likelihoods, and a chat endpoint returns none"):
        by_evalkit("fake/gold", ["arc_easy"], tmp_path / "run.db", settings=CHAT[0])
