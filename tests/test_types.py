"""What mypy makes of tasks/ and reports/, by the names that they have when they are installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MISUSED = """\
from evalkit.reports import reserved
from evalkit.tasks import INDEX, mmlu
from evalkit.tasks.fleurs import fleurs
from evalkit.tasks.speech_recognition import spoken

reserved()["xstest"] + 1  # error: operator
INDEX["gsm8k"] + 1  # error: operator
mmlu.mmlu(shots="5")  # error: call-arg
fleurs(languages=82)  # error: arg-type
fleurs().sized  # error: attr-defined
spoken("French")  # error: arg-type
spoken(mmlu)  # error: arg-type
reveal_type(fleurs().size)
"""


@pytest.mark.slow
def test_a_wrong_use_of_a_benchmark_is_a_type_error(tmp_path: Path) -> None:
    """Were any of these modules unknown to mypy, all that comes from it would be Any, and nothing wrong."""
    file = tmp_path / "misused.py"
    file.write_text(MISUSED)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", str(file)], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    wanted = {
        (str(number), line.partition("# error: ")[2])
        for number, line in enumerate(MISUSED.splitlines(), 1)
        if "# error: " in line
    }
    assert set(re.findall(r"misused\.py:(\d+): error: .* \[([\w-]+)\]", ran.stdout)) == wanted, ran.stdout
    assert 'Revealed type is "int | None"' in ran.stdout.replace("Union[int, None]", "int | None")
    assert ran.stdout.count("error:") == len(wanted)
