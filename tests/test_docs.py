"""The documentation runs: its code, its recipes, its links, its paths and its commands."""

import doctest
import re
from pathlib import Path

import pytest

import trl_r1
from trl_r1.cli import COMMANDS, SCRIPTS
from trl_r1.recipe import inspect_recipe


ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", *sorted(ROOT.glob("recipes/**/README.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = ("outputs/tiny", "outputs/mine")  # folders that only a finished run has
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(language):
    """Fenced blocks of a language, each with the name of its page and its number there."""
    return [
        pytest.param(body, id=f"{page}-{number}")
        for page, text in TEXTS.items()
        for number, (found, body) in enumerate(FENCE.findall(text))
        if found == language
    ]


def headed_recipes():
    """YAML blocks with a launch line, which are whole recipes."""
    return [block for block in blocks("yaml") if re.search(r"^# trl-r1 (?!run\b)\w+ --config", block.values[0], re.M)]


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_block_works(code, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    examples = doctest.DocTestParser().get_examples(code)
    for source in [example.source for example in examples] or [code]:
        compile(source, "<block>", "exec")
    if not examples:
        if not any(mark in "\n" + code for mark in NOT_RUN):
            exec(compile(code, "<block>", "exec"), {"__name__": "block"})
        return
    test = doctest.DocTestParser().get_doctest(code, {"__name__": "block"}, "block", None, 0)
    report = []
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("content", headed_recipes())
def test_recipe_block_is_valid(content, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(content, encoding="utf-8")
    if "# expect: ..." not in content:  # the header alone
        inspect_recipe(path)


@pytest.mark.parametrize("page", TEXTS)
def test_links_resolve(page):
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", TEXTS[page])):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = folder / name if name else ROOT / page
        assert path.exists(), f"{page}: there is no {target}"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{page}: there is no heading {target}"


@pytest.mark.parametrize("page", TEXTS)
def test_paths_of_the_repository_exist(page):
    named = re.findall(r"(?<![\w/.])(?:recipes|tests|docs|trl_r1)/[\w./\-]*\w", TEXTS[page])
    missing = [path for path in named if not (ROOT / path).exists() and not (ROOT / "trl_r1" / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", TEXTS)
def test_commands_exist(page):
    verbs = re.findall(r"trl-r1 ([a-z_]+)", TEXTS[page])
    modules = re.findall(r"trl_r1\.scripts\.([a-z_]+)", TEXTS[page])
    assert set(verbs) <= COMMANDS.keys() | SCRIPTS.keys()
    assert set(modules) <= SCRIPTS.keys()


@pytest.mark.parametrize("page", TEXTS)
def test_no_path_of_one_machine(page):
    assert not re.search(r"(?<![\w./])/(?:work|tmp|home|root|mnt|data)/", TEXTS[page])


def test_every_page_is_on_the_map():
    linked = re.findall(r"\]\(([\w.]+\.md)\)", TEXTS["docs/index.md"])
    assert {path.name for path in ROOT.glob("docs/*.md")} - {"index.md"} <= set(linked)


def test_every_public_name_is_listed():
    assert all(f"`{name}`" in TEXTS["docs/api.md"] for name in trl_r1.__all__)
