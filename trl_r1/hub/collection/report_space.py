"""A pipeline's report as a static Space: a page on the Hub that needs no server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trl_r1.hub.cards.licenses import license_fields
from trl_r1.hub.cards.tables import cell
from trl_r1.hub.cards.text import seal
from trl_r1.hub.publishing.access import ask_for
from trl_r1.hub.publishing.files import CARD_NAME, describe_file
from trl_r1.hub.publishing.patience import DEFAULT_PATIENCE, Patience
from trl_r1.hub.publishing.read_back import read_back
from trl_r1.hub.publishing.target import HubTarget, PublishedFile, PublishResult
from trl_r1.hub.publishing.transfer import Transfer
from trl_r1.redaction import hide_forms


PAGE_NAME: Final = "index.html"  # what a static Space shows


def publish_report(
    report: Path,
    target: HubTarget,
    *,
    title: str,
    license: str | None = None,
    shown: Sequence[HubTarget] = (),
    replace_readme: bool = False,
    patience: float = DEFAULT_PATIENCE,
) -> PublishResult:
    """
    Publish a report as a static Space, and read back what was pushed.

    Args:
        report (`Path`):
            The page, `report.html`.
        target ([`HubTarget`]):
            Where to; its type is `"space"`.
        title (`str`):
            Title of the Space.
        license (`str`, *optional*):
            Its licence.
        shown (`Sequence[HubTarget]`, *optional*):
            Models and data sets the report is about, for the Hub to link.
        replace_readme (`bool`, *optional*, defaults to `False`):
            Whether to replace a README that somebody edited there.
        patience (`float`, *optional*, defaults to 600):
            As of [`publish`].

    Returns:
        [`PublishResult`]: what is there now.

    Raises:
        [`PublishError`]: as [`publish`].
    """
    from huggingface_hub import HfApi

    trying = Patience(patience)
    target = ask_for(target, trying, make=True)
    with tempfile.TemporaryDirectory(prefix="trl_r1-report-") as place:
        files = write_space(report, Path(place), title=title, license=license, shown=shown, token=target.token)
        api = HfApi(token=target.token)
        transfer = Transfer(
            api=api,
            target=target,
            folder=Path(place),
            files=files,
            trying=trying,
            replace_readme=replace_readme,
        )
        commit, sent, kept = transfer.send("Publish the report")
        read_back(api, target, Path(place), files, commit, trying, kept=kept)
    url = f"{hide_forms(api.endpoint)}/spaces/{target.repo_id}"
    return PublishResult(target=target, files=files, sent=sent, kept=kept, commit=commit, url=url)


def write_space(
    report: Path,
    place: Path,
    *,
    title: str,
    license: str | None = None,
    shown: Sequence[HubTarget] = (),
    token: str | None = None,
) -> list[PublishedFile]:
    """
    Lay out the files of a Space in a folder: the page and a README with what the Hub wants to know.

    Raises:
        [`PublishError`]: when a token shows in the page.
    """
    shutil.copyfile(report, place / PAGE_NAME)
    (place / CARD_NAME).write_text(_readme(title, license, shown), encoding="utf-8", newline="\n")
    return [describe_file(place, place / name, token) for name in (CARD_NAME, PAGE_NAME)]


def _readme(title: str, license: str | None, shown: Sequence[HubTarget]) -> str:
    from huggingface_hub import SpaceCardData

    data = SpaceCardData(
        title=title,
        sdk="static",
        app_file=PAGE_NAME,
        models=list(dict.fromkeys(item.repo_id for item in shown if item.repo_type == "model")) or None,
        datasets=list(dict.fromkeys(item.repo_id for item in shown if item.repo_type == "dataset")) or None,
        tags=["trl_r1"],
        **license_fields(license, bases=()),
    )
    text = f"The report of a trl_r1 pipeline, `{PAGE_NAME}`: every number in it is from the records of its stages."
    return seal(f"---\n{data.to_yaml().strip()}\n---\n\n# {cell(title)}\n\n{text}\n")
