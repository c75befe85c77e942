"""What benchmarks share whose answers are programs: verdicts, notes of the signature, and wrong programs."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.api import JSON, Program, Protocol, Sandbox, Verdict, unsafe_allowed

WRONG_BODIES = (
    "    raise RuntimeError('wrong')\n",
    "    pass\n",
    "    import sys\n    print('passed')\n    sys.exit(0)\n",
    "    import os\n    os.write(1, b'passed')\n    os._exit(0)\n",
    "    import os\n    for n in range(256):\n        try:\n            os.write(n, b'P' * 99)\n"
    "        except OSError:\n            pass\n    os._exit(0)\n",
    "    class Equal:\n        __eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda *_: True\n"
    "        __hash__ = lambda _: 0\n    return Equal()\n",
    "    import builtins\n    builtins.AssertionError = builtins.abs = lambda *_: 0\n"
    "    return type('', (int,), {'__eq__': lambda *_: True, '__sub__': lambda *_: 0})()\n",
    "    import sys\n    frame = sys._getframe()\n    while frame:\n"
    "        frame.f_globals['check'] = print\n        frame = frame.f_back\n",
)
"""Two that are wrong, and those that try to forge a pass: early exits, writes to every descriptor, objects
equal to all, patches."""


async def verdict_of(sandbox: Sandbox, program: Program, answer: str) -> Verdict:
    """Right if the program, which contains `answer`, passes its tests; the reason is the outcome.

    The detail says where it failed; its `line` is counted from the first line of the answer.
    """
    outcome = await sandbox.run(program)
    reason = f"{outcome.status}: {outcome.detail}".rstrip(": ")
    detail = outcome.failure.as_json() if outcome.failure else {}
    if outcome.failure and outcome.failure.line:
        before = program.source[: max(0, program.source.rfind(answer))].count("\n")
        line = outcome.failure.line - before
        detail = {**detail, "line": line if 0 < line <= answer.count("\n") + 1 else 0}
    return Verdict(outcome.status == "passed", reason, detail=detail)


def sandbox_notes(protocol: Protocol) -> Mapping[str, JSON]:
    """`Task.notes`: says so if programs run without a sandbox."""
    return {"sandbox": "none"} if unsafe_allowed() else {}
