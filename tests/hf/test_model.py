"""`hf/…` beside transformers and lm-eval on the same small model."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.errors import ProviderError, UsageError  # noqa: E402
from evalkit.models import open_model  # noqa: E402
from evalkit.models.base import Request, Response  # noqa: E402
from evalkit.samples import Message  # noqa: E402
from tests.cli.conftest import Cli, cli  # noqa: E402
from tests.hf.asking import answers, good  # noqa: E402
from tests.tiny_llama import written  # noqa: E402

__all__ = ["cli"]

pytestmark = pytest.mark.slow  # transformers takes seconds to import
PROMPTS = [
    "Ann has 12 apples and finds 36 more. How many?",
    "Ann has 12 apples and finds",
    "Zoë has 7 pears 🍐 and",
    "Ann has 12 apples and finds 36 more. How many? Ann has 12 apples",
    "x",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def pair(folder: Path) -> tuple[Any, Any]:
    """(model, tokenizer) as transformers loads them."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def test_texts_are_those_of_transformers_one_by_one(folder: Path, pair: tuple[Any, Any]) -> None:
    model, tokenizer = pair
    found = answers(folder, [Request(prompt, 12 + n) for n, prompt in enumerate(PROMPTS)], "&rows=3")
    for number, (prompt, one) in enumerate(zip(PROMPTS, found, strict=True)):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            out = model.generate(ids, max_new_tokens=12 + number, do_sample=False, pad_token_id=2)
        assert good(one).text == tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert good(one).prompt_tokens == ids.shape[1]


def test_a_sample_depends_on_its_seed_and_not_on_its_batch(folder: Path) -> None:
    mixed = [
        Request(PROMPTS[n % 5], 9, temperature=0.7 * (n % 3), top_p=0.9, seed=n, extra={"top_k": 50})
        for n in range(9)
    ]
    together = [good(one).text for one in answers(folder, mixed)]
    alone = [good(answers(folder, [one])[0]).text for one in mixed[:5]]
    assert together[:5] == alone
    again = [Request(PROMPTS[0], 9, temperature=1.0, seed=seed) for seed in range(20)]
    assert len({good(one).text for one in answers(folder, again)}) > 10


def test_samples_follow_the_models_distribution(folder: Path, pair: tuple[Any, Any]) -> None:
    model, tokenizer = pair
    with torch.no_grad():
        logits = model(tokenizer(PROMPTS[0], return_tensors="pt").input_ids).logits[0, -1]
    for temperature, top_k, top_p in ((1.0, 0, 1.0), (0.5, 3, 1.0), (1.5, 0, 0.5)):
        given = {"top_k": top_k} if top_k else {}
        requests = [
            Request(PROMPTS[0], 1, temperature=temperature, top_p=top_p, seed=seed, extra=given)
            for seed in range(600)
        ]
        expected = (logits / temperature).softmax(-1)
        kept = expected.sort(descending=True)
        allowed = kept.indices[(kept.values.cumsum(0) - kept.values < top_p)][: top_k or None].tolist()
        texts = [good(one).text for one in answers(folder, requests, "&rows=200&batch=600")]
        shares: dict[str, float] = {}
        for token in allowed:
            text = tokenizer.decode([token], skip_special_tokens=True)
            shares[text] = shares.get(text, 0.0) + float(expected[token] / expected[allowed].sum())
        assert set(texts) <= set(shares)
        for text, share in shares.items():
            assert abs(texts.count(text) / 600 - share) < 4 * math.sqrt(share * (1 - share) / 600) + 0.01


def test_stops_and_ends(folder: Path, pair: tuple[Any, Any]) -> None:
    whole = good(answers(folder, [Request(PROMPTS[0], 40)])[0])
    stop = whole.text[9:12]
    found = good(answers(folder, [Request(PROMPTS[0], 40, stop=(stop,)), Request(PROMPTS[1], 40)])[0])
    assert found.finish == "stop"
    assert whole.text.startswith(found.text)
    assert stop in found.text  # evalkit cuts it, as for every backend
    assert whole.finish in ("length", "stop")
    assert good(answers(folder, [Request(PROMPTS[0], 2)])[0]).finish == "length"


def test_log_probabilities_of_generated_tokens(folder: Path, pair: tuple[Any, Any]) -> None:
    model, tokenizer = pair
    several, single = (
        good(one)
        for one in answers(folder, [Request(PROMPTS[0], 5, logprobs=3), Request(PROMPTS[0], 1, logprobs=4)])
    )
    ids = tokenizer(PROMPTS[0], return_tensors="pt").input_ids
    with torch.no_grad():
        known = model(ids).logits[0, -1].log_softmax(-1)
    for one, count in ((several, 3), (single, 4)):
        token = one.logprobs[0]
        assert token.logprob == pytest.approx(float(known.max()), abs=1e-4)
        likeliest = known.topk(count).values.tolist()
        assert all(min(abs(value - one) for one in likeliest) < 1e-4 for value in token.top.values())
        assert len(token.top) == len({tokenizer.decode([one]) for one in known.topk(count).indices.tolist()})
    assert single.text == several.logprobs[0].token
    assert "".join(token.token for token in several.logprobs) == several.text


def test_likelihoods_and_echo(folder: Path, pair: tuple[Any, Any]) -> None:
    model, tokenizer = pair
    texts = (" 36 more", " apples", " pears and", "?")
    found = [
        good(one) for one in answers(folder, [Request(prompt, 0, continuations=texts) for prompt in PROMPTS])
    ]
    for prompt, one in zip(PROMPTS, found, strict=True):
        before = len(tokenizer(prompt).input_ids)
        for text, likelihood in zip(texts, one.likelihoods, strict=True):
            ids = tokenizer(prompt + text, return_tensors="pt").input_ids
            with torch.no_grad():
                known = model(ids).logits[0].log_softmax(-1)
            own = [float(known[at - 1, ids[0, at]]) for at in range(before, ids.shape[1])]
            assert (likelihood.text, likelihood.tokens) == (text, len(own))
            assert likelihood.logprob == pytest.approx(sum(own), abs=1e-3)
            assert likelihood.greedy == all(
                int(known[at - 1].argmax()) == ids[0, at] for at in range(before, ids.shape[1])
            )
    for prompt, echoed in zip(
        PROMPTS, answers(folder, [Request(p, 1, logprobs=2, echo=True) for p in PROMPTS]), strict=True
    ):
        tokens = good(echoed).prompt_logprobs
        assert "".join(token.token for token in tokens) == prompt
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            known = model(ids).logits[0].log_softmax(-1)
        first = tokens[-ids.shape[1] + 1 :] if ids.shape[1] > 1 else ()
        assert [token.logprob for token in first] == pytest.approx(
            [float(known[at - 1, ids[0, at]]) for at in range(1, ids.shape[1])], abs=1e-4
        )


def test_a_token_that_spans_the_border_fails_only_its_request(folder: Path, pair: tuple[Any, Any]) -> None:
    word = max((pair[1].decode([one]) for one in pair[1](PROMPTS[0]).input_ids), key=len).strip()
    bad, fine = answers(
        folder,
        [
            Request(f"Ann {word[:2]}", 0, continuations=(f"{word[2:]} and",)),
            Request("Ann has", 0, continuations=(" 12",)),
        ],
    )
    assert isinstance(bad, ProviderError)
    assert "spans the end of the prompt" in str(bad)
    assert good(fine).likelihoods


def test_chats(folder: Path, pair: tuple[Any, Any], tmp_path: Path) -> None:
    _, tokenizer = pair
    chat = (Message("system", "Be brief."), Message("user", "How many?"))
    begun = (*chat, Message("assistant", "Ann has"))
    found = [good(one) for one in answers(folder, [Request(chat, 4), Request(begun, 4)])]
    rendered = "<|system|>Be brief.<eos><|user|>How many?<eos><|assistant|>"
    assert found[0].prompt_tokens == len(tokenizer(rendered, add_special_tokens=False).input_ids)
    assert found[1].prompt_tokens == len(
        tokenizer(
            "<|system|>Be brief.<eos><|user|>How many?<eos><|assistant|>Ann has", add_special_tokens=False
        ).input_ids
    )
    strict = tmp_path / "strict.jinja"
    strict.write_text(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    (folded,) = answers(folder, [Request(chat, 4)], f"&template={strict}")
    assert good(folded).prompt_tokens == len(
        tokenizer("[user]Be brief.\n\nHow many?", add_special_tokens=False).input_ids
    )
    base = written(tmp_path / "base", template="")
    (refused,) = answers(base, [Request(chat, 4)])
    assert isinstance(refused, ProviderError)
    assert refused.fatal
    assert "no chat template" in str(refused)


def test_the_context_is_not_left(folder: Path, tmp_path: Path) -> None:
    small = written(tmp_path / "small", positions=24)
    long, short = answers(
        small, [Request("Ann has 12 apples and finds 36 more. " * 9, 5), Request("Ann", 500)]
    )
    assert isinstance(long, ProviderError)
    assert long.too_long
    assert good(short).finish in ("length", "stop")
    (scored,) = answers(
        small, [Request("Ann has 12 apples and finds 36 more. " * 9, 0, continuations=(" x",))]
    )
    assert isinstance(scored, ProviderError)
    assert scored.too_long


def test_bos(folder: Path, pair: tuple[Any, Any]) -> None:
    _, tokenizer = pair
    plain = len(tokenizer("Ann", add_special_tokens=False).input_ids)
    for text, options, added in (
        ("Ann", "", 0),
        ("Ann", "&bos=on", 1),
        ("<bos>Ann", "&bos=on", 1),
        ("Ann", "&bos=off", 0),
    ):
        assert good(answers(folder, [Request(text, 2)], options)[0]).prompt_tokens == plain + added
    (empty,) = answers(folder, [Request("", 2)])
    assert isinstance(empty, ProviderError)
    assert good(answers(folder, [Request("", 2)], "&bos=on")[0]).prompt_tokens == 1
    with_bos, without = answers(folder, [Request("", 0, continuations=(" Ann",))], "&bos=on") + answers(
        folder, [Request("", 0, continuations=(" Ann",))]
    )
    assert good(with_bos).likelihoods
    assert isinstance(without, ProviderError)


def test_a_parameter_that_is_not_heeded_is_refused(folder: Path) -> None:
    for request in (Request("x", 5, extra={"min_p": 0.1}), Request("x", 1, extra={"min_p": 0.1})):
        (found,) = answers(folder, [request])
        assert isinstance(found, ProviderError)
        assert found.fatal
        assert "does not heed min_p" in str(found)


def test_memory_that_runs_out_halves_what_is_computed_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from evalkit.hf.flow import Flow
    from evalkit.hf.passes import Passes

    plainly, passes_compute = Flow.run, Passes.compute

    def little(self: Any) -> Any:
        if self._slots.count > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plainly(self)

    def few(self: Any, wanted: Any) -> Any:
        if self.most > 6000:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return passes_compute(self, wanted)

    requests = [Request(prompt, 6) for prompt in PROMPTS] + [
        Request(p, 0, continuations=(" x",)) for p in PROMPTS
    ]
    expected = answers(folder, requests)
    monkeypatch.setattr(Flow, "run", little)
    monkeypatch.setattr(Passes, "compute", few)
    found = answers(folder, requests)
    assert [good(one).text for one in found] == [good(one).text for one in expected]
    assert "out of memory: 2 answers at once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("hf/./none", "there is no such folder"),
        ("hf/none.gguf", "there is no such folder or GGUF file"),
        ("hf/{}?dtype=int3", "dtype must be one of auto, float32"),
        ("hf/{}?bits=3", "bits must be 4 or 8"),
        ("hf/{}?rows=0", "rows must be at least 1"),
        ("hf/{}?template=no.jinja", "there is no 'no.jinja'"),
        ("hf/{}?revision=main", "revision is for models of the Hub"),
        ("hf/{}?nonsense=1", "nonsense"),
        ("hf/{}/..", "has no config.json"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened(folder: Path, typed: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_model(typed.format(folder))


def test_weights_that_cannot_be_read_end_the_run_in_one_line(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ProviderError, match="cannot be loaded") as raised:
        answers(broken, [Request("x", 2)])
    assert raised.value.fatal
    assert "\n" not in str(raised.value)


def test_the_identity_is_what_decides_the_responses(folder: Path, tmp_path: Path) -> None:
    def identity(typed: str) -> str:
        return json.dumps(open_model(typed).identity, sort_keys=True)

    plain = identity(f"hf/{folder}?dtype=float32")
    assert identity(f"hf/{folder}?dtype=float32&rows=7&batch=9&tokens=99&device=cpu") == plain
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert identity(f"hf/{copy}?dtype=float32") == plain
    for other in (
        "dtype=bfloat16",
        "dtype=float32&attention=eager",
        "dtype=float32&bos=on",
        "dtype=float32&compile=on",
    ):
        assert identity(f"hf/{folder}?{other}") != plain
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert identity(f"hf/{copy}?dtype=float32") != plain


def test_a_model_with_an_attention_of_its_own_is_generated_from_in_padded_batches(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from evalkit.hf.passes import Passes

    requests = [
        *(Request(prompt, 6 + n, logprobs=2) for n, prompt in enumerate(PROMPTS)),
        *(Request(prompt, 9, temperature=0.8, top_p=0.8, seed=n) for n, prompt in enumerate(PROMPTS)),
    ]
    stop = good(answers(folder, [Request(PROMPTS[0], 40)])[0]).text[3:5]
    requests.append(Request(PROMPTS[0], 40, stop=(stop,)))
    expected = [good(one) for one in answers(folder, requests)]

    def plain(self: Any) -> str:
        self.shared = False
        return "it has an attention of its own"

    monkeypatch.setattr(Passes, "check", plain)
    found = [good(one) for one in answers(folder, requests, "&rows=3")]
    assert "because it has an attention of its own" in capsys.readouterr().err
    for left, right in zip(expected[:-1], found[:-1], strict=True):
        assert (left.text, left.finish, left.completion_tokens) == (
            right.text,
            right.finish,
            right.completion_tokens,
        )
        assert [token.token for token in left.logprobs] == [token.token for token in right.logprobs]
        assert [token.logprob for token in left.logprobs] == pytest.approx(
            [t.logprob for t in right.logprobs], abs=1e-4
        )
    assert found[-1].finish == expected[-1].finish == "stop"
    assert stop in found[-1].text


def test_more_texts_than_slots(folder: Path, pair: tuple[Any, Any]) -> None:
    """Those that wait take the places of those that ended, and equal prompts are read once."""
    requests = [Request(PROMPTS[n % 5], 3 + 5 * (n % 4), seed=n, temperature=n % 2) for n in range(40)]
    few = [good(one).text for one in answers(folder, requests, "&rows=7")]
    assert few == [good(one).text for one in answers(folder, requests)]


def test_a_run_from_the_command_line(folder: Path, tmp_path: Path, cli: Cli) -> None:
    model = f"hf/{written(tmp_path / 'long', positions=8192)}?dtype=float32"
    for number, given in enumerate(
        (["mmlu:5-shot", "--set", "likelihood=prompt"], ["hellaswag"], ["gsm8k:0-shot-chat"])
    ):
        command = ("run", "-m", model, "-t", *given, "--limit", 6, "-o", tmp_path / f"{number}.db")
        done = cli(*command, "--data", "builtin")
        assert done.code == 0, done.err
        assert cli(*command, "--data", "builtin").out == done.out
    wrong = cli("run", "-m", "hf/./none", "-t", "gsm8k", "-o", tmp_path / "no.db", "--data", "builtin")
    assert (wrong.code, "there is no such folder" in wrong.err) == (2, True)
    assert not (tmp_path / "no.db").exists()


def test_a_gguf_file_is_the_model_that_llama_cpp_runs() -> None:
    """llama.cpp also rounds activations, so that longer texts may part."""
    from evalkit.models.weights import SMOLLM2, fetch

    prompt = "The capital of France is"
    texts = (" London", " Paris", " a")
    model = open_model(f"hf/{fetch(SMOLLM2)}?dtype=float32")
    chat = (Message("user", "What is the capital of France? Answer in one word."),)

    async def asked() -> tuple[Response, Response]:
        try:
            likely = await model.generate(Request(prompt, 0, continuations=texts))
            return likely, await model.generate(Request(chat, 12))
        finally:
            await model.aclose()

    likely, said = asyncio.run(asked())
    assert max(likely.likelihoods, key=lambda one: one.logprob).text == " Paris"
    assert [one.tokens for one in likely.likelihoods] == [1, 1, 1]
    assert "Paris" in said.text
    assert said.finish == "stop"
