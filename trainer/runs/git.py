"""The commit that is checked out, found without running anything that a repository names.

A repository's own configuration names commands: `core.fsmonitor`, which `git status` starts, the
filters that it runs on files, and what fetches the objects that a partial clone lacks. Somebody
else may have written it, so git is asked in two steps. `git rev-parse` finds the commit and reads
no file of the work tree. `git status` is then told of a repository of our own, with that commit,
the same index, the same objects and an empty configuration.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SECONDS = 10
"""How long git may take."""
COMPARISON = (
    "core.filemode", "core.autocrlf", "core.eol", "core.symlinks", "core.ignorecase",
    "core.precomposeunicode", "core.trustctime", "core.checkstat",
)  # fmt: skip
"""The settings that tell how files compare with what was committed; none of them is a command."""
INERT = (
    *("--no-optional-locks", "--no-pager", "--literal-pathspecs"),
    *("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"),
    *("-c", "protocol.allow=never"),
)
"""Options by which git starts no other program."""


def git(folder: Path) -> dict[str, Any] | None:
    """The commit checked out in the repository of `folder`, and whether tracked files differ.

    Files that a filter of git rewrites, such as those of Git LFS, differ once they are touched.
    None outside of a repository, in one that git takes for another user's, and without git.
    """
    program = _program()
    if program is None:
        return None
    try:
        asked = (
            "rev-parse",
            "HEAD",
            "--show-toplevel",
            "--git-path",
            "index",
            "--git-path",
            "objects",
        )
        found = _output([program, *INERT, "-C", str(folder), *asked], _environment({}))
        commit, top, index, objects = found.splitlines()
        settings = _settings(program, folder)
        changed = _changed(program, commit, Path(top), folder / index, folder / objects, settings)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": changed}


def _program() -> str | None:
    """Git, by its absolute path; a `PATH` may name the folder one stands in."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which("git", path=os.pathsep.join(filter(os.path.isabs, folders)) or os.devnull)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment without what has git do otherwise than its files say."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", **more}


def _settings(program: str, folder: Path) -> list[str]:
    """The repository's own way to compare files, as options."""
    pattern = f"^({'|'.join(COMPARISON)})$".replace(".", r"\.")
    command = [program, *INERT, "-C", str(folder), "config", "--null", "--get-regexp", pattern]
    try:
        entries = _output(command, _environment({})).split("\0")
    except subprocess.CalledProcessError:  # none is set
        return []
    pairs = (entry.partition("\n") for entry in entries if entry)
    return [word for name, _, value in pairs for word in ("-c", f"{name}={value or 'true'}")]


def _changed(
    program: str, commit: str, top: Path, index: Path, objects: Path, settings: list[str]
) -> bool:
    """Whether tracked files differ from a commit, by a repository of our own."""
    with TemporaryDirectory() as temporary:
        repository = Path(temporary)
        (repository / "refs").mkdir()
        (repository / "objects" / "info").mkdir(parents=True)
        alternate = str(objects.resolve()).replace("\\", "\\\\").replace('"', '\\"')
        (repository / "objects" / "info" / "alternates").write_text(f'"{alternate}"\n', "utf-8")
        (repository / "HEAD").write_text(f"{commit}\n", "utf-8")
        is_sha256 = len(commit) == 64
        version = "1\n[extensions]\nobjectFormat = sha256" if is_sha256 else "0"
        text = f"[core]\nbare = false\nrepositoryFormatVersion = {version}\n"
        (repository / "config").write_text(text, "utf-8")
        for shared in index.parent.glob("sharedindex.*"):  # of a split index
            (repository / shared.name).symlink_to(shared.resolve())
        environment = _environment(
            {
                "GIT_DIR": str(repository),
                "GIT_WORK_TREE": str(top),
                "GIT_INDEX_FILE": str(index.resolve()),
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
            }
        )
        asked = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
        return bool(_output([program, *INERT, *settings, "-C", str(top), *asked], environment))


def _output(command: list[str], environment: Mapping[str, str]) -> str:
    process = subprocess.run(
        command, env=environment, capture_output=True, check=True, timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return os.fsdecode(process.stdout)
