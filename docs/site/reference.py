"""Pages of the site that nobody writes: every kind of every group, and the whole config.

MkDocs calls `on_config` and `on_files`. What is shown comes from the declarations and from `conf/`,
so that a new kind is on its page without further ado.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml
from mkdocs.structure.files import File

from schedules import Refused, load
from schedules.catalogue import EXAMPLE_CLOCK, paragraphs, parameters
from schedules.declaration import Declaration, Kind
from schedules.declaration.kind import families
from schedules.plots.svg import svg
from trainer.config.conf_folder import CONF
from trainer.config.experiment import Experiment
from trainer.scheduled.fields import bounds

CHECKOUT = Path(__file__).resolve().parent.parent.parent
TOP = {"BENCHMARKS.md": "benchmarks.md", "CONTRIBUTING.md": "contributing.md",
       "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}  # fmt: skip
"""Pages at the top of the checkout, and what the site calls them."""
STYLE = """\
.md-grid { max-width: 72rem }
.md-typeset table:not([class]) :is(td, th) { padding: .5em .8em; min-width: 0 }
.md-typeset table:not([class]) td:first-child { white-space: nowrap }
.md-typeset :is(.language-bash, .language-text, .language-yaml) code { white-space: pre-wrap }
.md-typeset img { border-radius: .2rem }
"""


def on_config(config: Any) -> Any:
    """Completes the navigation: pages that are there, and the reference."""
    there = {path.name for path in Path(config.docs_dir).glob("*.md")}
    there |= {name for source, name in TOP.items() if (CHECKOUT / source).exists()}
    listed: set[str] = set()
    config.nav = [entry for entry in (_present(x, there, listed) for x in config.nav) if entry]
    how_to = next(entry["How to"] for entry in config.nav if "How to" in entry)
    how_to += sorted(there - listed)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds what is generated, and the pages from the top of the checkout."""
    for path, content in pages().items():
        files.append(File.generated(config, path, content=content))
    for source, name in TOP.items():
        if (CHECKOUT / source).exists():
            text = (CHECKOUT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, name, content=_moved(text)))
    files.append(File.generated(config, "assets/site.css", content=STYLE))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lets links that lead out of docs/ on a code host lead to the same page of the site."""
    for source, name in TOP.items():
        markdown = markdown.replace(f"](../{source}", f"]({name}")
    return markdown


@cache
def pages() -> dict[str, str]:
    """Every generated page and picture, by its path on the site."""
    found = {"reference/config.md": _config()}
    for title, folder in (("Launchers", "hydra/launcher"), ("Sweepers", "hydra/sweeper")):
        found[f"reference/{title.lower()}.md"] = _options(title, folder)
    found["reference/experiments.md"] = _options("Experiments", "experiment")
    for family in families():
        found[f"reference/{_name(family)}.md"] = "\n".join(_family(family))
    for file in sorted((CONF / "schedule").glob("*.yaml")):
        if drawn := _picture(file):
            found[f"reference/pictures/{file.stem}.svg"] = drawn
    return found


def _present(entry: Any, there: set[str], listed: set[str]) -> Any:
    """An entry of the navigation without the pages that are not there; notes those that are."""
    if isinstance(entry, dict):
        [(title, inner)] = entry.items()
        if inner == "reference/":
            return {title: [path for path in pages() if path.endswith(".md")]}
        if isinstance(inner, list):
            inner = [one for one in (_present(x, there, listed) for x in inner) if one]
        elif inner not in there:
            return None
        else:
            listed.add(inner)
        return {title: inner} if inner else None
    listed.add(entry)
    return entry if entry in there else None


def _moved(text: str) -> str:
    """A page from the top of the checkout, with its links as the site has them."""
    text = re.sub(r"\]\(docs/", "](", text)
    for source, name in TOP.items():
        text = text.replace(f"]({source}", f"]({name}")
    return re.sub(
        r"\[([^\]]+)\]\((?!\w+:|#|[\w-]+\.md)[^)]+\)", r"\1", text
    )  # files of the checkout


def _name(family: type[Kind]) -> str:
    word = family.__name__.lower()
    return {"data": "data", "loss": "losses"}.get(word, f"{word}s")


def _family(family: type[Kind]) -> Iterator[str]:
    group = family.__name__.lower()
    yield f"# {_name(family).capitalize()}\n"
    yield re.split(r"(?<=[.])\s", paragraphs(family)[0])[0]  # the rest is for whoever adds a kind
    options = sorted((CONF / group).glob("*.yaml")) if (CONF / group).is_dir() else []
    if options:
        names = " ".join(f"`{file.stem}`" for file in options)
        yield f"\nOn the command line `{group}=OPTION`, one of {names}.\n"
    for kind, member in sorted(family.kinds.items()):
        if not re.match(r"(schedules|trainer)\.", member.__module__):
            continue  # a plugin of whoever builds the site
        yield f"\n## {kind}\n"
        yield "\n\n".join(paragraphs(member)) + "\n"
        if (CONF / group / f"{kind}.yaml").is_file():
            yield from _option(CONF / group / f"{kind}.yaml")
        yield from _table(member)
    recipes = [file for file in options if file.stem not in family.kinds]
    if recipes:
        yield f"\n## Recipes\n\nOptions of `{group}=` that are made of the kinds above.\n"
    for file in recipes:
        yield f"\n### {file.stem}\n"
        yield from _option(file)


def _option(file: Path) -> Iterator[str]:
    """What a conf file is for, its picture, and itself."""
    text = file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "yaml-language-server" not in line]
    if file.parent.name == "schedule" and _picture(file):
        yield f"![The curve of schedule={file.stem}](pictures/{file.stem}.svg)\n"
    yield f'```yaml title="conf/{file.relative_to(CONF)}"\n' + "\n".join(lines).strip() + "\n```\n"


def _picture(file: Path) -> str | None:
    with file.open(encoding="utf-8") as opened:
        declared = yaml.safe_load(opened)
    try:
        curve = load(declared, EXAMPLE_CLOCK)
        return svg({"learning_rate": curve}, EXAMPLE_CLOCK, f"schedule={file.stem}")
    except Refused:
        return None


def _table(member: type[Declaration]) -> Iterator[str]:
    """Every parameter with what it may be."""
    own = inspect.get_annotations(member)
    rows = sorted(parameters(member), key=lambda row: row[0] not in own)  # what all share, last
    if not rows:
        return
    yield "| parameter | default | |\n|---|---|---|"
    for name, default, meaning in rows:
        yield f"| `{name}` | {_cell(default)} | {_purpose(member, name, meaning)} |"
    yield ""


def _purpose(member: type[Declaration], name: str, meaning: str) -> str:
    words = " ".join(meaning.split())
    annotation = member.model_fields[name].annotation
    choices = [x for x in get_args(annotation) if isinstance(x, str)]
    if limits := bounds(member, name):
        among = f", {limits}" if str(limits) else ""
        words += f" *A number{among}, or a schedule.*"
    elif choices:
        words += " *One of " + ", ".join(f"`{choice}`" for choice in choices) + ".*"
    return words.replace("|", "\\|")


def _cell(default: str) -> str:
    plain = default.strip("'") or "''"  # as it is typed
    return default if default == "required" else f"`{plain}`".replace("|", "\\|")


def _config() -> str:
    """Every value of a config that is not a kind's own, by its override path."""
    text = (CONF / "config.yaml").read_text(encoding="utf-8").partition("\nhydra:")[0]
    rows = "\n".join(_paths(Experiment, ""))
    return f"""# The whole config

What `python -m trainer` trains when nothing else is said:

```yaml title="conf/config.yaml"
{text.strip()}
```

Every value that belongs to no kind, by the override that sets it. Those of the kinds are on the
pages of their groups.

| override | default | |
|---|---|---|
{rows}
"""


def _paths(member: type[Declaration], path: str) -> Iterator[str]:
    for name, default, meaning in parameters(member):
        at = f"{path}.{name}" if path else name
        annotation = member.model_fields[name].annotation
        inner = None if bounds(member, name) else _declaration(annotation)
        if inner is not None and issubclass(inner, Kind):
            family = _name(_founder(inner))
            yield f"| `{at}=` | [{family}]({family}.md) | {_purpose(member, name, meaning)} |"
        elif inner is not None:
            if default == "null":
                yield f"| `{at}=` | `null` | {_purpose(member, name, meaning)} |"
            yield from _paths(inner, at)
        else:
            yield f"| `{at}=` | {_cell(default)} | {_purpose(member, name, meaning)} |"


def _declaration(annotation: Any) -> type[Declaration] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Declaration):
            return part
    return None


def _founder(member: type[Kind]) -> type[Kind]:
    return next(c for c in member.__mro__ if getattr(c, "is_family", False) and issubclass(c, Kind))


def _options(title: str, group: str) -> str:
    files = sorted((CONF / group).glob("*.yaml"))
    entries = "\n".join(f"## {file.stem}\n\n" + "\n".join(_option(file)) for file in files)
    return f"# {title}\n\nOn the command line `{group}=OPTION`.\n\n{entries}"
