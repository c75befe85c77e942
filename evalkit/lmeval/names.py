"""Names of lm-eval's tasks on the command line, and where each is found.

- `lm-eval:gsm8k`: a task, group or tag that the installed lm-eval has;
- `lm-eval:./mine.yaml`: a task or group in a file;
- `lm-eval:./folder:my_task`: a task, group or tag of the YAML files below a folder (lm-eval's
  `--include_path`), whose groups may also name tasks of lm-eval;
- `lm-eval:openllm/arc_challenge`, `lm-eval:./mine.yaml#my_task`: a member of a group, as the group asks it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from evalkit.benchmark.names import LM_EVAL
from evalkit.errors import UsageError

YAML = (".yaml", ".yml")
_NAMED = re.compile(r"^(?:task|group):[ \t]*['\"]?([\w.-]+)", re.MULTILINE)

_COLON = re.compile(r"(?<!:):(?!:)")
"""The colon after a folder; lm-eval names a group that is defined inside another one `outer::inner`."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a name refers to.

    `root`: the name of a task, group or tag, or the path of a YAML file. `member`: a member of the group
    `root`; "" for all of it. `folder`: the user's folder of YAML files, None if the name is lm-eval's own.
    """

    root: str
    member: str = ""
    folder: Path | None = None

    @property
    def file(self) -> Path | None:
        """The YAML file that `root` names, if it does."""
        return Path(self.root) if self.root.endswith(YAML) else None

    @property
    def own(self) -> bool:
        """Whether it is the user's and not lm-eval's."""
        return self.folder is not None or self.file is not None

    def name(self, member: str = "") -> str:
        """The name that refers to this place, or to its member `member`."""
        where = f"{self.folder}:" if self.folder is not None else ""
        inside = member or self.member
        mark = "#" if self.file else "/"
        return f"{LM_EVAL}{where}{self.root}{mark if inside else ''}{inside}"

    @property
    def short(self) -> str:
        """The name for tables: without folders."""
        root = self.root
        if self.file is not None:
            named = _NAMED.search(self.file.read_text("utf-8", "replace"))
            root = named[1] if named else self.file.stem
        return f"{LM_EVAL}{root}" + (f"/{self.member}" if self.member else "")


def parsed(name: str) -> Place:
    """The place of a name that begins with `lm-eval:`. Raises `UsageError` for a missing file or folder."""
    rest = name.removeprefix(LM_EVAL)
    path, _, member = rest.partition("#")
    if path.endswith(YAML):
        if not Path(path).is_file():
            raise UsageError(f"{name}: no file {path!r} in {Path.cwd()}")
        return Place(str(Path(path).resolve()), member)
    folder, *named = _COLON.split(rest, maxsplit=1)
    if not named:
        if Path(rest).is_dir() and ("/" in rest or rest in (".", "..")):
            raise UsageError(f"{name} is a folder: name one of its tasks, such as {name.rstrip('/')}:my_task")
        root, _, member = rest.partition("/")
        if not root or rest.startswith((".", "/")):
            raise UsageError(f"{name}: no file or folder of this name in {Path.cwd()}")
        return Place(root, member)
    if not Path(folder).is_dir():
        raise UsageError(f"{name}: no folder {folder!r} in {Path.cwd()}")
    root, _, member = named[0].partition("/")
    return Place(root, member, Path(folder).resolve())
