"""BLEURT: names, what is refused and when, self-checks, and its figures in runs of the benchmarks."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evalkit.benchmark.task import load_task
from evalkit.data import DataOptions
from evalkit.errors import UsageError
from evalkit.identity.declared import code_identity
from evalkit.report.comparable import differs
from evalkit.report.paper import load_paper
from evalkit.samples import Sample, Verdict
from evalkit.scoring import bleurt
from evalkit.scoring.bleurt import PAIRS, PUBLISHED, Bleurt, Published
from evalkit.scoring.bleurt_model import Loaded, load, score
from evalkit.session import run
from tests.bleurt_checkpoints import CONFIGS, TABLE, checked, weights, written
from tests.cli.test_hub import evalkit
from tests.hub_server import HubServer

MOST = TABLE["pieces"]["max_tokens"]


def refused(given: object, precision: str = "float32") -> str:
    with pytest.raises(UsageError) as raised:
        Bleurt(str(given), precision).needs()
    return str(raised.value)


def test_a_checkpoint_is_known_by_its_name(tmp_path: Path) -> None:
    names = {given: Bleurt(given).name for given in (*PUBLISHED, "lucadiliello/BLEURT-20", "bleurt-20-d3")}
    assert names == {
        "BLEURT-20": "bleurt_20", "BLEURT-20-D12": "bleurt_20_d12", "BLEURT-20-D6": "bleurt_20_d6",
        "BLEURT-20-D3": "bleurt_20_d3", "bleurt-base-128": "bleurt_base_128",
        "bleurt-large-128": "bleurt_large_128", "bleurt-large-512": "bleurt_large_512",
        "lucadiliello/BLEURT-20": "bleurt_20", "bleurt-20-d3": "bleurt_20_d3",
    }  # fmt: skip
    for folder, name in {
        "BLEURT-20": "bleurt_20",
        "bleurt_20_D12": "bleurt_20_d12",
        "My BLEURT.v2": "own_my_bleurt_v2",
        "models--lucadiliello--BLEURT-20-D6/snapshots/0a1b": "bleurt_20_d6",
        "models--me--mine/snapshots/0a1b": "own_mine",
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        assert Bleurt(str(tmp_path / folder)).name == name
    for given in ("BLEURT-21", "./BLEURT-20", "/none/BLEURT-20", "a/b/BLEURT-20", "~/none/BLEURT-20", "../x"):
        with pytest.raises(
            UsageError, match="there is no such folder, and the checkpoints on the Hub are BL"
        ):
            Bleurt(given)


def test_what_is_missing_is_refused_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "saved_model.pb").touch()
    assert "there is no config.json in" in (said := refused(folder))
    assert "it is TensorFlow's form" in said
    written(folder)
    assert "no scores are published for a checkpoint of the name mine" in refused(folder)
    for text, words in (
        ("[]", "does not have the form"),
        ("{", "does not have the form"),
        ('{"pairs": [{"reference": "a", "score": 1}]}', "does not have the form"),
        ('{"pairs": []}', "at least one pair"),
        ('{"pairs": [{"reference": "a", "candidate": "a", "score": NaN}]}', "finite scores"),
    ):
        (folder / bleurt.CHECK).write_text(text, "utf-8")
        assert words in refused(folder), text
    Bleurt(str(checked(folder))).needs()
    for name, words in (
        ("spm.model", "there is no spm.model or sent_piece.model or"),
        ("model.safetensors", "there is no model.safetensors or pytorch_model.bin"),
    ):
        (folder / name).unlink()
        assert words in refused(folder)
    assert refused(folder, "float16") == "bleurt_precision must be one of float32, bfloat16, not 'float16'"
    monkeypatch.setattr(bleurt, "installed", lambda package: "" if package == "torch" else "1")
    assert refused(folder) == (
        "BLEURT needs packages that are not installed (torch): pip install 'evalkit[bleurt]'"
    )


def test_the_hub_is_asked_only_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(repository: str, *, cached: bool) -> Path:
        assert repository == "me/bleurt-20-d3"
        if cached:
            raise FileNotFoundError
        raise OSError("no such repository")

    monkeypatch.setattr(bleurt, "_fetched", fetched)
    monkeypatch.setattr(bleurt, "reach", lambda: ("https://hub.invalid cannot be reached", ""))
    assert refused("me/bleurt-20-d3") == (
        "bleurt=me/bleurt-20-d3: the weights are not in the cache, and https://hub.invalid cannot be "
        "reached; give a folder that has them"
    )
    monkeypatch.setattr(bleurt, "reach", lambda: ("", ""))
    assert "me/bleurt-20-d3 cannot be downloaded (no such repository)" in refused("me/bleurt-20-d3")


def test_an_identity_has_the_name_the_weights_and_the_precision(tmp_path: Path) -> None:
    def identity(path: Path, precision: str = "float32") -> str:
        return code_identity(Bleurt(str(path), precision))

    one = identity(checked(written(tmp_path / "a" / "one")))
    assert one.startswith("bleurt@1{sentencepiece ")
    assert "(model=own_one,weights=sha256:" in one
    assert one == identity(checked(written(tmp_path / "b" / "one")))
    assert one != identity(checked(written(tmp_path / "c" / "one", seed=8)))
    assert identity(tmp_path / "a" / "one", "bfloat16") == one.replace(")", ",precision=bfloat16)")
    assert ",tokens=48)" in one
    same = identity(written(tmp_path / "BLEURT-20"))
    assert "(model=bleurt_20,weights=sha256:" in same
    assert ",tokens=" not in same
    (tmp_path / "BLEURT-20" / "model.safetensors").unlink()
    assert "(model=bleurt_20,weights=none)" in identity(tmp_path / "BLEURT-20")
    assert "bleurt@1{tokenizers " in identity(written(tmp_path / "bleurt-base-128", "words"))
    assert "(model=bleurt_20_d3,weights=none)" in code_identity(Bleurt("BLEURT-20-D3"))


def test_benchmarks_have_it_as_their_headline_only_if_a_checkpoint_is_given(tmp_path: Path) -> None:
    folder = str(written(tmp_path / "BLEURT-20-D12"))
    for name in ("wmt23", "wikilingua"):
        plain, with_it = load_task(name), load_task(name, {"bleurt": folder})
        first, *others = with_it.metrics
        assert first.name == "BLEURT (bleurt_20_d12, macro)"
        assert tuple(others) == plain.metrics
        assert with_it.scorer == plain.scorer or code_identity(with_it.scorer) == code_identity(plain.scorer)
        assert with_it.variants[-1].name == "bleurt_20_d12"
        assert not any(variant.name.startswith("bleurt") for variant in plain.variants)
        with pytest.raises(UsageError, match="add --set bleurt=FOLDER or bleurt=BLEURT-20"):
            load_task(name, {"bleurt_precision": "bfloat16"})
    (tmp_path / "BLEURT-20-D12" / "spm.model").unlink()
    with pytest.raises(UsageError, match=r"there is no spm\.model"):
        load_task("wmt23", {"bleurt": folder}).needs()


def compared(metric: str, protocol: str, **overrides: str) -> Any:
    spec = SimpleNamespace(
        protocol=SimpleNamespace(name=protocol, overrides=overrides), model_extractor="", data={}
    )
    parts: Mapping[str, object] = {"shots": 1, "reader": "each_draw@1"}
    return SimpleNamespace(
        metric=metric, spec=spec, protocol=protocol, signature=SimpleNamespace(parts=parts)
    )


def test_printed_figures_are_marked_beside_all_but_the_recommended_checkpoint() -> None:
    rows = [row for table in load_paper("gemini-1.0").tables for row in table.rows if row.metric == "BLEURT"]
    assert {row.task for row in rows} == {"wmt23", "wikilingua"}
    assert len(rows) == 7
    for row in rows:
        protocol = {"wmt23": "1-shot", "wikilingua": "5-shot"}[row.task]
        figure = next(figure for figure in row.figures.values() if protocol in figure.match)

        def marked(
            metric: str, row: Any = row, protocol: str = protocol, figure: Any = figure, **given: str
        ) -> str:
            return differs(compared(metric, protocol, **given), row, figure)

        assert marked("BLEURT (bleurt_20, macro)", bleurt="/models/BLEURT-20") == ""
        assert marked("BLEURT (bleurt_20, macro)", bleurt="BLEURT-20") == ""
        for name in (*(Bleurt(name).name for name in PUBLISHED if name != "BLEURT-20"), "own_bleurt_20"):
            metric = f"BLEURT ({name}, macro)"
            assert marked(metric, bleurt="x") == f"{metric} here, BLEURT there"
        plain = {"wmt23": "chrF2 (macro)", "wikilingua": "rougeL (macro)"}[row.task]
        assert marked(plain) == f"{plain} here, BLEURT there"
        assert "bleurt_precision=bfloat16 here" in marked(
            "BLEURT (bleurt_20, macro)", bleurt="x", bleurt_precision="bfloat16"
        )


# -- with the model


def own_scores(folder: Path, pairs: list[tuple[str, str]]) -> list[float]:
    return score(load(str(folder), "float32", 512, []), pairs)


@pytest.mark.slow
def test_a_checkpoint_that_is_not_what_it_should_be_is_not_loaded(tmp_path: Path) -> None:
    """Wrong scores, other weights than its config tells, and code in place of weights."""
    cases = TABLE["pieces"]["cases"][:2]
    expected = [(case["reference"], case["candidate"], case["score"]) for case in cases]
    folder = written(tmp_path / "good", prefix="bert.")
    assert isinstance(load(str(folder), "float32", MOST, expected), Loaded)
    for off, words in (
        (0.0009, ""),
        (0.0011, "failed its self-check in float32"),
        (-0.0011, "failed its self-c"),
    ):
        moved = [(reference, candidate, value + off) for reference, candidate, value in expected]
        for precision in ("float32", "bfloat16"):
            if words:
                with pytest.raises(ValueError, match=words):
                    load(str(folder), precision, MOST, moved)
            else:
                load(str(folder), precision, MOST, moved)
    published = [(*pair, value) for pair, value in zip(PAIRS, PUBLISHED["BLEURT-20"].scores, strict=True)]
    with pytest.raises(ValueError, match=r"self-check .* in place of 0\.99905 for the reference 'a bird"):
        load(str(folder), "float32", 512, published)
    with pytest.raises(ValueError, match="it has 512 positions, too few for pairs of 513 tokens"):
        load(str(folder), "float32", 513, [])
    for change, words in (
        ({"num_hidden_layers": 4}, r"other weights than config\.json tells: encoder\.layer\.3"),
        ({"embedding_size": None}, "other weights"),
        ({"vocab_size": 321}, r"embeddings\.word_embeddings\.weight"),
        ({"hidden_act": "relu"}, "hidden_act 'relu' is none of gelu"),
    ):
        config = {**CONFIGS["pieces"], **change}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        with pytest.raises(ValueError, match=words):
            load(str(folder), "float32", MOST, [])
    (folder / "config.json").write_text(json.dumps({"vocab_size": 3}), "utf-8")
    with pytest.raises(ValueError, match="the config lacks max_position_embeddings"):
        load(str(folder), "float32", MOST, [])

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "touched",)

    hostile = written(tmp_path / "hostile")
    (hostile / "model.safetensors").unlink()
    (hostile / "pytorch_model.bin").write_bytes(pickle.dumps({"bleurt.pooler.dense.bias": Hostile()}, 2))
    with pytest.raises(pickle.UnpicklingError):
        load(str(hostile), "float32", MOST, [])
    assert not (tmp_path / "touched").exists()


@pytest.mark.slow
def test_long_texts_and_both_activations(tmp_path: Path) -> None:
    folder = written(tmp_path / "mine")
    text = "the ferry leaves at noon "
    long, longer = own_scores(folder, [(text * 400, text * 300), (text * 900 + "x", text * 800 + "y")])
    assert long == pytest.approx(longer, abs=1e-6)
    exact = own_scores(folder, [(text, "noon")])
    written(folder, config={**CONFIGS["pieces"], "hidden_act": "gelu_new"})
    (near,) = own_scores(folder, [(text, "noon")])
    assert near == pytest.approx(exact[0], abs=2e-3)
    assert near != exact[0]
    assert set(weights(CONFIGS["words"])) < set(weights(CONFIGS["pieces"]))


@pytest.mark.slow
def test_a_worker_scores_by_the_best_reference(tmp_path: Path) -> None:
    cases = TABLE["pieces"]["cases"]
    scorer = Bleurt(str(checked(written(tmp_path / "mine"))))
    several = Sample("s", "", (cases[0]["reference"], "caf\u00e9"))

    async def ask() -> list[Verdict]:
        samples = [(case["candidate"], Sample("s", "", (case["reference"],))) for case in cases]
        samples.append(("cafe\u0301", several))
        return list(await asyncio.gather(*(scorer(*each) for each in samples)))

    *found, best = asyncio.run(ask())
    scorer.close()
    assert [verdict.values["bleurt"] for verdict in found] == pytest.approx(
        [case["score"] for case in cases], abs=5e-6
    )
    assert [verdict.correct for verdict in found[:3]] == [True, False, False]
    assert best.correct
    pairs = [("cafe\u0301", reference) for reference in several.target]
    assert best.values["bleurt"] == pytest.approx(
        max(score(load(str(tmp_path / "mine"), "float32", MOST, []), pairs)), abs=1e-6
    )


@pytest.mark.slow
def test_the_figures_of_a_run_are_the_means_over_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "BLEURT-20")
    first, second = own_scores(folder, [(candidate, reference) for reference, candidate in PAIRS])
    monkeypatch.setitem(PUBLISHED, "BLEURT-20", Published((first, second)))
    settings = {"bleurt": str(folder), "pairs": "en-de,he-en"}
    table = run("fake/gold", ["wmt23"], data="builtin", output=tmp_path / "r.db", settings=settings)
    plain = run(
        "fake/gold", ["wmt23"], data="builtin", output=tmp_path / "p.db", settings={"pairs": "en-de,he-en"}
    )
    cells = {cell.metric: cell for cell in table.cells}
    assert list(cells) == ["BLEURT (bleurt_20, macro)", "chrF2 (macro)", "BLEU (macro)"]
    for cell in plain.cells:  # what is without BLEURT is the same beside it
        assert cell.signature.parts == cells[cell.metric].signature.parts
    texts: dict[str, list[str]] = {}
    task = load_task("wmt23", {"pairs": "en-de,he-en"})
    for record in task.data.open(DataOptions(small_sets=True)):
        sample = task.sample(record)
        texts.setdefault(sample.group, []).append(sample.target[0])
    means = [
        100 * sum(own_scores(folder, [(text, text) for text in group])) / len(group)
        for group in texts.values()
    ]
    cell = cells["BLEURT (bleurt_20, macro)"]
    assert cell.value == pytest.approx(sum(means) / len(means), abs=1e-3)
    assert cell.low is not None
    assert set(cell.groups) >= {"en-de", "he-en", "from English", "into English"}
    assert "bleurt@1" in str(cell.signature.parts["scorer"])


@pytest.mark.slow
def test_weights_come_from_the_hub_once_and_fail_their_self_check(tmp_path: Path) -> None:
    folder = written(tmp_path / "BLEURT-20")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    command = ("run", "-m", "fake/gold", "-t", "wikilingua", "--data", "builtin", "--set", "languages=en")
    command = (*command, "--set", "bleurt=BLEURT-20", "-o", tmp_path / "r.db")  # type: ignore[assignment]
    with HubServer() as hub:
        hub.publish("lucadiliello/BLEURT-20", {**files, "pytorch_model.bin": b"large", "README.md": b""})
        for url in (hub.url, "http://127.0.0.1:9"):
            ran = evalkit(tmp_path / "home", url, *command)
            assert ran.code == 2, ran.err
            assert "bleurt_20@" in ran.err
            assert "failed its self-check in float32: 0.9" in ran.err
        asked = {one.path.rpartition("/")[2] for one in hub.asked if one.method == "GET"}
        assert asked >= {"config.json", "spm.model"}
        assert "pytorch_model.bin" not in asked


@pytest.mark.slow
def test_torch_is_in_the_worker_alone(tmp_path: Path) -> None:
    folder = checked(written(tmp_path / "mine"))
    code = (
        "import sys, evalkit\n"
        f"settings = {{'bleurt': {str(folder)!r}, 'languages': 'en'}}\n"
        "table = evalkit.run('fake/gold', 'wikilingua', data='builtin', settings=settings)\n"
        "assert not {'torch', 'sentencepiece', 'tokenizers', 'safetensors'} & set(sys.modules)\n"
        "print(*(cell.metric for cell in table.cells[:3]), sep='|')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "BLEURT (own_mine, macro)|rougeL (macro)|rougeL"
