"""What is recorded of the code's repository is what git says, and nothing that it names is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.runs.git import git

USER = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "protocol.file.allow=always")


def run(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *USER, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, *options: str) -> Path:
    """A repository with two files and a commit."""
    folder.mkdir(parents=True, exist_ok=True)
    run(folder, "init", "--quiet", *options)
    (folder / "code.py").write_text("1\n")
    (folder / "data.big").write_text("two\n")
    run(folder, "add", ".")
    run(folder, "commit", "--quiet", "-m", "one")
    return folder


def touched(file: Path) -> None:
    """The same content, so that git has to look at it again."""
    os.utime(file, (1, 1))


def unchanged(folder: Path) -> None:
    (folder / "new").write_text("of no commit")
    touched(folder / "code.py")


def written(folder: Path) -> None:
    (folder / "code.py").write_text("2\n")


def staged(folder: Path) -> None:
    written(folder)
    run(folder, "add", "code.py")


def deleted(folder: Path) -> None:
    (folder / "code.py").unlink()


def executable(folder: Path) -> None:
    (folder / "code.py").chmod(0o755)


def executable_where_that_is_no_difference(folder: Path) -> None:
    executable(folder)
    run(folder, "config", "core.filemode", "false")


def other_ends_of_lines(folder: Path) -> None:
    (folder / "code.py").write_bytes(b"1\r\n")
    run(folder, "config", "core.autocrlf", "true")


def split_index(folder: Path) -> None:
    run(folder, "update-index", "--split-index")
    written(folder)


def submodule(folder: Path) -> None:
    inner = repository(folder.parent / "inner")
    run(folder, "submodule", "--quiet", "add", str(inner), "inner")
    run(folder, "commit", "--quiet", "-m", "two")


def moved_submodule(folder: Path) -> None:
    submodule(folder)
    run(folder / "inner", "commit", "--quiet", "--allow-empty", "-m", "three")


def unborn(folder: Path) -> None:
    run(folder, "checkout", "--quiet", "--orphan", "other")


@pytest.mark.parametrize("options", [(), ("--object-format=sha256",)])
@pytest.mark.parametrize(
    "change",
    [
        *(unchanged, written, staged, deleted, executable, other_ends_of_lines),
        *(executable_where_that_is_no_difference, split_index),
    ],
)
def test_it_is_what_git_says(
    change: Callable[[Path], None], options: tuple[str, ...], tmp_path: Path
) -> None:
    folder = repository(tmp_path / 'a "folder"', *options)
    change(folder)
    (folder / "inside").mkdir()
    found = git(folder / "inside")
    dirty = bool(run(folder, "status", "--porcelain", "--untracked-files=no"))
    assert found == {"commit": run(folder, "rev-parse", "HEAD"), "dirty": dirty}


@pytest.mark.parametrize(("change", "dirty"), [(submodule, False), (moved_submodule, True)])
def test_a_submodule_counts_by_its_commit(
    change: Callable[[Path], None], dirty: bool, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "outer")
    change(folder)
    assert git(folder) == {"commit": run(folder, "rev-parse", "HEAD"), "dirty": dirty}


def test_a_second_work_tree_of_a_repository_has_a_state_of_its_own(tmp_path: Path) -> None:
    folder = repository(tmp_path / "one")
    run(folder, "worktree", "add", "--quiet", str(tmp_path / "two"))
    written(tmp_path / "two")
    assert git(folder) == {"commit": run(folder, "rev-parse", "HEAD"), "dirty": False}
    assert git(tmp_path / "two") == {"commit": run(folder, "rev-parse", "HEAD"), "dirty": True}


def test_there_is_none_outside_of_a_repository_and_before_its_first_commit(tmp_path: Path) -> None:
    assert git(Path("/")) is None
    unborn(folder := repository(tmp_path / "one"))
    assert git(folder) is None


def configured(*settings: str) -> Callable[[Path, str], None]:
    def change(folder: Path, command: str) -> None:
        for setting in settings:
            name, _, value = setting.partition("=")
            run(folder, "config", name, value.replace("COMMAND", command))

    return change


def included(folder: Path, command: str) -> None:
    (folder / ".git" / "more").write_text(f'[core]\nfsmonitor = "{command}"\n')
    run(folder, "config", "include.path", "more")


def filtered(attributes: str) -> Callable[[Path, str], None]:
    def change(folder: Path, command: str) -> None:
        (folder / attributes).parent.mkdir(exist_ok=True)
        (folder / attributes).write_text("*.big filter=mine diff=mine\n")
        for name in ("filter.mine.clean", "filter.mine.process", "diff.mine.textconv"):
            run(folder, "config", name, command)
        touched(folder / "data.big")

    return change


def hooked(folder: Path, command: str) -> None:
    for name in ("post-index-change", "fsmonitor-watchman", "query-watchman"):
        hook = folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{command}\n")
        hook.chmod(0o755)
    run(folder, "config", "core.hooksPath", str(folder / ".git" / "hooks"))
    touched(folder / "code.py")


def lacking(folder: Path, command: str) -> None:
    """A partial clone whose commit is there and whose tree would have to be fetched."""
    tree = run(folder, "rev-parse", "HEAD^{tree}")
    (folder / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    (folder / ".git" / "index").unlink()
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": "ssh://nowhere/there",
        "core.sshCommand": command,
        "remote.origin.uploadpack": command,
    }.items():
        run(folder, "config", name, value)


@pytest.mark.parametrize(
    "change",
    [
        configured("core.fsmonitor=COMMAND"),
        configured("core.fsmonitor=COMMAND", "core.fsmonitorHookVersion=2"),
        configured("core.pager=COMMAND", "pager.status=true", "pager.rev-parse=true"),
        configured("alias.status=!COMMAND", "alias.rev-parse=!COMMAND"),
        configured("core.sshCommand=COMMAND", "credential.helper=!COMMAND", "core.editor=COMMAND"),
        included,
        filtered(".gitattributes"),
        filtered(".git/info/attributes"),
        hooked,
        lacking,
    ],
)
def test_nothing_that_a_repository_names_is_run(
    change: Callable[[Path, str], None], tmp_path: Path
) -> None:
    folder = repository(tmp_path / "one")
    change(folder, f"touch {tmp_path}/ran; false")
    git(folder)
    assert not (tmp_path / "ran").exists()


def test_what_is_held_here_would_be_run_by_git_itself(tmp_path: Path) -> None:
    folder = repository(tmp_path / "one")
    configured("core.fsmonitor=COMMAND")(folder, f"touch {tmp_path}/ran; false")
    run(folder, "status")
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "environment",
    [
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": "X"},
        {"GIT_CONFIG_PARAMETERS": "'core.fsmonitor'='X'"},
        {"GIT_DIR": "/nowhere"},
        {"GIT_INDEX_FILE": "/nowhere"},
        {"GIT_EXTERNAL_DIFF": "X"},
        {"PATH": "", "EXPECT": "none"},
        {"PATH": ".:bin", "EXPECT": "none"},
    ],
)
def test_the_environment_names_no_program_and_no_other_repository(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository(tmp_path / "one")
    script = f"#!/bin/sh\ntouch {tmp_path}/ran\n"
    for program in (folder / "git", folder / "bin" / "git"):
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)
    expected = None if environment.get("EXPECT") else {"commit": run(folder, "rev-parse", "HEAD")}
    monkeypatch.chdir(folder)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("X", f"touch {tmp_path}/ran"))
    found = git(folder)
    assert found == (expected and {**expected, "dirty": False})
    assert not (tmp_path / "ran").exists()
