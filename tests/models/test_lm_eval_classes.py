"""lm-eval's model classes as backends: what reaches the class, what comes back, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pictures

import evalkit
from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.models.lm_eval import LmEvalModel, most_of
from evalkit.models.lm_eval_class import parsed
from evalkit.runfile.store import Store
from evalkit.samples import Image, Message
from tests import noted_class
from tests.quiz import quiz


def opened(query: str = "pretrained=any", kind: str = noted_class.NAME) -> tuple[LmEvalModel, Any]:
    model = open_model(f"lm-eval/{kind}?{query}" if query else f"lm-eval/{kind}")
    assert isinstance(model, LmEvalModel)
    return model, model._calls._model


def answers(model: LmEvalModel, *requests: Request) -> list[Response | BaseException]:
    async def ask() -> list[Response | BaseException]:
        found = await asyncio.gather(*map(model.generate, requests), return_exceptions=True)
        await model.aclose()
        return found

    return asyncio.run(ask())


def test_a_class_gets_each_kind_as_from_lm_evals_own_command(capsys: pytest.CaptureFixture[str]) -> None:
    model, noted = opened()
    chat = (Message("system", "Be brief."), Message("user", "Hi"))
    found = answers(
        model,
        Request("Ada has 3", 9, stop=("\n",)),
        Request("Ada has 12", 9, stop=("\n",)),
        Request("Bo has", 5, temperature=0.5, top_p=0.9, seed=7, extra={"top_k": 3}),
        Request(chat, 2),
        Request((*chat, Message("assistant", "So")), 2),
        Request("Q:", 0, continuations=(" a", " bcd")),
        Request(chat, 0, continuations=("a",), lm_eval={"chat": True}),
        Request("", 0, continuations=("a whole text",), lm_eval={"rolling": True}),
        Request("", 0, continuations=("a text",)),
        Request("Cy", 1, lm_eval={"until": ["."], "max_new_tokens": 4, "do_sample": False, "temperature": 1}),
    )
    end = "<eos>"  # the class's own
    plain = {"until": [end], "max_gen_toks": 2, "do_sample": False, "temperature": 0.0}
    nine = plain | {"until": ["\n", end], "max_gen_toks": 9}
    warm = {"max_gen_toks": 5, "do_sample": True, "temperature": 0.5, "top_p": 0.9, "top_k": 3}
    own = {"until": [".", end], "max_new_tokens": 4, "do_sample": False, "temperature": 1}
    system = "<s>Be brief.<u>Hi"
    assert noted.calls == [
        ("generate_until", [("Ada has 12", nine), ("Ada has 3", nine)]),
        ("generate_until", [("Bo has", {"until": [end], **warm})]),
        ("generate_until", [(f"{system}<a>So", plain), (f"{system}<a>", plain)]),
        (
            "loglikelihood",
            [(f"{system}<a>", "a"), ("Q:", " a"), ("Q:", " bcd"), ("", "a text")],
        ),
        ("loglikelihood_rolling", [("a whole text",)]),
        ("generate_until", [("Cy", own)]),
    ]
    texts = [one.text if isinstance(one, Response) else one for one in found]
    assert texts == ["Ada", "Ada", "Bo ", "<s>", "<s>", "", "", "", "", "Cy"]
    finishes = [one.finish for one in found if isinstance(one, Response)]
    assert finishes[:5] == ["stop", "stop", "stop", "length", "length"], "as many tokens as were allowed"
    pair, _, whole, alone = ([(n.logprob, n.greedy) for n in one.likelihoods] for one in found[5:9])  # type: ignore[union-attr]
    assert (pair, whole, alone) == ([(-2.02, False), (-2.04, True)], [(-12.0, None)], [(-0.06, True)])
    assert len(noted.threads) == 1
    assert capsys.readouterr().out == ""


def test_the_draws_of_an_endpoint_have_seeds_of_their_own() -> None:
    model, noted = opened(kind="TemplateAPI")
    requests = [Request("Ada", 4, temperature=0.5, seed=seed) for seed in (7, 8)]
    found = answers(model, *requests, Request("Ada", 4))
    assert [one[1].get("seed") for _, arguments in noted.calls for one in arguments] == [7, 8, None]
    assert [one.finish for one in found if isinstance(one, Response)] == ["other"] * 3, "the class says none"


def test_many_requests_are_few_calls_longest_first() -> None:
    model, noted = opened("pretrained=any,batch_size=8")
    assert (model.gathers, model.parallel) == (128, 256)
    answers(model, *(Request("x" * (1 + number * 37 % 200), 4) for number in range(200)))
    lengths = [[len(context) for context, _ in arguments] for _, arguments in noted.calls]
    assert [len(one) for one in lengths] == [128, 72]
    assert all(one == sorted(one, reverse=True) for one in lengths)


def test_the_size_of_a_call_follows_the_classs_own_batches() -> None:
    table = {("auto", None): 1024, (1, None): 64, (8, None): 128, (500, None): 1024, (2, 20): 640}
    for (size, at_once), most in table.items():
        attributes = {"batch_size": size} | ({} if at_once is None else {"_concurrent": at_once})
        assert most_of(type("Any", (), attributes)()) == most
    assert most_of(type("Api", (), {"_batch_size": 4, "_concurrent": 8})()) == 512
    assert most_of(object()) == 1024


def test_what_a_class_cannot_digest_fails_alone() -> None:
    model, noted = opened("pretrained=any,most=4")
    found = answers(model, *(Request(f"{n} {'poison' * (n == 5)}", 4) for n in range(12)))
    failed = [(place, str(one)) for place, one in enumerate(found) if isinstance(one, ProviderError)]
    assert failed == [(5, "lm-eval/noted?pretrained=any,most=4: RuntimeError: cannot digest this")]
    assert [one.text for one in found if isinstance(one, Response)][:2] == ["0 ", "1 "]
    assert max(len(arguments) for _, arguments in noted.calls) == 12, "first all together"
    for request, words in (
        (Request("[none]", 4), "returned NoneType, not a text"),
        (Request("[few]", 4), "gave 0 results for 1 request"),
        (Request("[nan]", 0, continuations=("a",)), "returned no number as the likelihood of 'a'"),
        (Request("a", 1, echo=True), "no log-probabilities of single tokens"),
        (Request("a", 1, logprobs=2), "no log-probabilities of single tokens"),
    ):
        (error,) = answers(model, request)
        assert isinstance(error, ProviderError)
        assert words in str(error)


def test_a_class_without_likelihoods_or_a_template_is_not_asked_for_them() -> None:
    model, _ = opened("", "noted-texts")
    assert model.capabilities == {"completion", "extra", "lm-eval"}
    assert opened()[0].capabilities == model.capabilities | {"chat", "prefill", "likelihood"}
    (error,) = answers(model, Request("a", 0, continuations=("b",)))
    assert isinstance(error, ProviderError)
    assert error.fatal
    assert str(error) == "lm-eval/noted-texts cannot do this: no logits"


def test_a_class_that_is_shown_pictures_gets_them_with_their_places() -> None:
    model, noted = opened(kind="noted-pictures")
    assert "image" in model.capabilities
    red, blue = (Image.of(Pictures.new("RGB", (3, 2), colour)) for colour in ("red", "blue"))
    shown = (Message("user", ("Is ", red, " or ", blue, " warmer?")),)
    text, both, three = answers(
        model, Request("Q", 4), Request(shown, 4), Request((*shown, Message("user", (red,))), 4)
    )
    assert isinstance(text, Response)
    assert isinstance(both, Response)
    assert "takes 2 pictures, and the prompt has 3: add max_images=" in str(three)
    (_, ((plain, _),)), (_, ((context, _, more),)) = noted.calls
    assert (plain, context) == ("Q", "<u>Is <image> or <image> warmer?<a>")
    assert [one.getpixel((0, 0)) for one in more["visual"]] == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("note?pretrained=x", "unknown model class of lm-eval 'note': did you mean noted"),
        ("?pretrained=x", "names no class of lm-eval: write lm-eval/TYPE?pretrained=PATH,dtype=…"),
        ("noted", "lm-eval/noted needs pretrained: write lm-eval/noted?pretrained=…"),
        ("noted?pretrained", "lm-eval/noted: 'pretrained' is no argument: write lm-eval/TYPE?"),
        ("noted?pretrained=a,pretrained=b", "lm-eval/noted: pretrained is given twice"),
        ("noted?pretrained=a&batch_sise=2", "of lm-eval/noted 'batch_sise': did you mean batch_size"),
        ("noted?pretrained=a,max_gen_toks=9", "leave max_gen_toks out, and use --set max_tokens=N"),
        ("noted?{no", "lm-eval/noted: the arguments are no JSON object"),
        ("noted?pretrained=broken", "Noted cannot be made with these arguments (OSError: no such model)"),
        ("vllm?pretrained=x", "lm-eval/vllm needs the package 'vllm': pip install 'lm-eval[vllm]'"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_refused_in_one_line(typed: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_model(f"lm-eval/{typed}")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_arguments_are_read_as_lm_eval_reads_them() -> None:
    typed = "hf?pretrained=a/b,dtype=float16&batch_size=4,trust_remote_code=True,max_length=none,x='7',y=1e-3"
    values = {"pretrained": "a/b", "dtype": "float16", "batch_size": 4, "trust_remote_code": True}
    assert parsed(typed) == ("hf", {**values, "max_length": None, "x": "7", "y": 0.001})
    assert parsed('hf?{"chat_template_args": {"a": [1, 2]}}') == ("hf", {"chat_template_args": {"a": [1, 2]}})
    assert parsed("hf") == ("hf", {})
    assert parsed("hf?base_url=http://h/v1?a=b") == ("hf", {"base_url": "http://h/v1?a=b"})


def test_the_identity_has_what_decides_the_numbers_and_no_secret(tmp_path: Path) -> None:
    weights = tmp_path / "model"
    weights.mkdir()
    (weights / "config.json").write_text("{}", "utf-8")
    model, _ = opened(f"pretrained={weights},batch_size=2")
    before = model.identity
    assert str(tmp_path) not in str(before)
    assert {key: before[key] for key in ("backend", "type", "packages")} == {
        "backend": "lm-eval", "type": "noted", "packages": {},
    }  # fmt: skip
    assert before["lm_eval"]
    (weights / "config.json").write_text("{ }", "utf-8")
    assert opened(f"pretrained={weights},batch_size=2")[0].identity != before
    for secret in ("auth_token=abc", "api_key=abc", "header=abc", "hf_token=abc"):
        found, _ = opened(secret + ",pretrained=a", "noted-open")
        assert found.name == f"lm-eval/noted-open?{secret.partition('=')[0]}=***,pretrained=a"
        assert "abc" not in str(found.identity)
    found, _ = opened("pretrained=a,base_url=http://me:abc@h/v1,num_concurrent=4,batch_size=2", "TemplateAPI")
    assert found.identity["base_url"] == "http://h/v1"
    assert found.identity["arguments"] == {"pretrained": "a"}, "the endpoint forms its own batches"
    assert "abc" not in found.name


def test_a_run_gathers_its_samples_and_one_that_fails_fails_alone(tmp_path: Path) -> None:
    model, noted = opened("pretrained=any,poison=test 77:,batch_size=8")
    table = evalkit.run(model, f"{quiz(tmp_path, test=100)}:quiz:said", output=tmp_path / "run.db")
    assert (table.cells[0].n, table.cells[0].outcomes["failed"]) == (99, 1)
    sizes = [len(arguments) for _, arguments in noted.calls]
    assert sizes[0] == 100, "all samples in one call; it failed, so the others are its halves"
    assert sizes[1:3] == [50, 25] or sizes[1:3] == [50, 50]
    with Store.open(tmp_path / "run.db") as store:
        (message,) = store.connection.execute("SELECT message FROM error").fetchone()
    assert message.endswith("RuntimeError: cannot digest this")
