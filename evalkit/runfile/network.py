"""Tells which folders are on a file system that several machines share."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""The mounts that this process sees (proc_pid_mountinfo(5)). Only Linux has it."""
_NETWORK = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "cvfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "virtiofs",
    "wekafs",
})  # fmt: skip
_LOCAL_FUSE = frozenset({
    "fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.lxcfs", "fuse.mergerfs",
})  # fmt: skip
"""File systems in a user's process that only this machine sees; others may be anything, such as sshfs."""
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_file_system(folder: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that has `folder`, such as `nfs4`, if it is a network's; else "".

    `mounts`: a file like /proc/self/mountinfo. Without one, every file system counts as local.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
        place = folder.resolve()
    except OSError:
        return ""
    found, kind = Path("/"), ""
    for line in lines:
        before, mark, after = line.partition(" - ")
        fields = before.split(" ")
        if not mark or len(fields) < 5:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # A later mount on the same place hides the earlier one.
        if place.is_relative_to(point) and len(point.parts) >= len(found.parts):
            found, kind = point, after.split(" ")[0]
    fuse = kind.startswith("fuse") and kind not in _LOCAL_FUSE and kind != "fuseblk"
    return kind if kind in _NETWORK or fuse else ""
