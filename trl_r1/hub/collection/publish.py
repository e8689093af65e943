"""One command for a whole pipeline: every checkpoint, every data set and the report, as a collection."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl_r1.errors import PublishError, R1Error
from trl_r1.hub.cards.dataset_card import create_dataset_card
from trl_r1.hub.cards.model_card import create_model_card
from trl_r1.hub.collection.items import LONGEST_TITLE, bring_up_to_date
from trl_r1.hub.collection.plan import REPORT_NAME, PlannedItem, lineage_order, plan_pipeline, shorten
from trl_r1.hub.collection.report_space import publish_report, write_space
from trl_r1.hub.collection.result import FAILED, NOTHING_NEW, SENT, TO_SEND, CollectionItemResult, CollectionResult
from trl_r1.hub.lineage import write_lineage
from trl_r1.hub.publishing import PublishedFile, PublishResult, check_target, plan_files, publish
from trl_r1.hub.publishing.access import CHECK_PATIENCE, check_collections, find_token
from trl_r1.hub.publishing.patience import DEFAULT_PATIENCE, explain
from trl_r1.run_records import RunRecords


logger = logging.getLogger(__name__)


def publish_pipeline(
    folder: str | Path,
    *,
    namespace: str,
    prefix: str | None = None,
    title: str | None = None,
    private: bool = True,
    token: str | None = None,
    dry_run: bool = False,
    replace_readme: bool = False,
    patience: float = DEFAULT_PATIENCE,
) -> CollectionResult:
    """
    Publish every checkpoint, every data set and the report of a pipeline, and a collection of them all.

    All names, cards, files and rights are checked before the first byte is sent. A stage goes after those it was made
    from, so that its card names where they are. One that fails stops none of the others. The same call again sends
    what is missing and nothing else.

    Args:
        folder (`str` or `Path`):
            The pipeline's folder.
        namespace (`str`):
            User or organisation to publish under.
        prefix (`str`, *optional*):
            How names of repositories begin; by default the folder's name.
        title (`str`, *optional*):
            Title of the collection; by default the pipeline's, or else the folder's name.
        private (`bool`, *optional*, defaults to `True`):
            Whether what is made for it is private. What exists keeps its visibility.
        token (`str`, *optional*):
            With write permission; by default the one that `huggingface_hub` finds.
        dry_run (`bool`, *optional*, defaults to `False`):
            Send and write nothing, ask the Hub nothing.
        replace_readme (`bool`, *optional*, defaults to `False`):
            Whether to replace READMEs that somebody edited there.
        patience (`float`, *optional*, defaults to 600):
            Seconds of waiting and failed tries for each repository, until one has failed; a minute from then on.

    Returns:
        [`CollectionResult`]: what is there now. `failures` names what is not.

    Raises:
        [`PublishError`]: before anything is sent, when a name, a card, a file or a right is wrong; all that are.
    """
    folder = Path(folder)
    records = RunRecords.read(folder)
    items = plan_pipeline(records, namespace=namespace, prefix=prefix, private=private, token=token)
    title = shorten(title or str(records.content.get("title") or folder.resolve().name), LONGEST_TITLE)
    command = _command(folder, namespace, prefix, title, private, replace_readme)
    run = _Run(records=records, items=items, title=title, replace_readme=replace_readme)
    listed = [str(stage["name"]) for stage in records.content.get("stages", [])]
    result = CollectionResult(
        title=title, command=command, unfinished=[name for name in listed if name not in records.stages]
    )
    if dry_run:
        return dataclasses.replace(result, items=run.preview())
    token = find_token(items[0].target)
    namespace = run.check(token, namespace)
    results: dict[str, CollectionItemResult] = {}
    for item in lineage_order(items):
        failed = any(result.state == FAILED for result in results.values())
        results[item.name] = run.send(item, min(patience, CHECK_PATIENCE) if failed else patience)
    there = [
        dataclasses.replace(item, target=results[item.name].target)
        for item in items
        if results[item.name].state != FAILED
    ]
    url, problem = bring_up_to_date(
        there, namespace=namespace, title=title, private=private, token=token, patience=patience
    )
    return dataclasses.replace(result, url=url, items=[results[item.name] for item in items], problem=problem)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A pipeline on its way to the Hub."""

    records: RunRecords
    items: Sequence[PlannedItem]
    title: str
    replace_readme: bool

    def check(self, token: str, namespace: str) -> str:
        """
        Find out what is wrong with cards, files and rights, all of it, before anything is sent.

        Returns:
            `str`: the namespace as the Hub spells it.
        """
        problems: list[str] = []
        try:
            namespace = check_collections(namespace, token)
        except PublishError as error:
            problems.append(f"collection: {error}")
        for item in self.items:
            try:
                self._write_card(item)
                self._files(item, token)
                target = dataclasses.replace(item.target, token=token)
                check_target(target, patience=0 if problems else CHECK_PATIENCE)
            except (R1Error, OSError) as error:
                problems.append(f"{item.name}: {_reason(error)}")
        if problems:
            raise PublishError("\n".join([*problems, "nothing was sent"]))
        return namespace

    def preview(self) -> list[CollectionItemResult]:
        """What would be sent at most, without asking the Hub; raises for all that is wrong, too."""
        results, problems = [], []
        for item in self.items:
            try:
                sizes = [file.size for file in self._files(item, None)]
            except (R1Error, OSError) as error:
                problems.append(f"{item.name}: {_reason(error)}")
                continue
            size = sum(sizes)
            results.append(
                CollectionItemResult(
                    name=item.name, target=item.target, state=TO_SEND, files=len(sizes), size=size, sent=size
                )
            )
        if problems:
            raise PublishError("\n".join(problems))
        return results

    def send(self, item: PlannedItem, patience: float) -> CollectionItemResult:
        """Publish one item; a failure is a result too."""
        try:
            self._write_card(item)  # again: those it was made from have been published meanwhile
            result = self._publish(item, patience)
        except (R1Error, OSError) as error:
            logger.error("%s: not published: %s", item.name, _reason(error))
            return CollectionItemResult(name=item.name, target=item.target, state=FAILED, reason=_reason(error))
        sizes = {file.path: file.size for file in result.files}
        return CollectionItemResult(
            name=item.name,
            target=result.target,
            state=SENT if result.sent else NOTHING_NEW,
            files=len(sizes),
            size=sum(sizes.values()),
            sent=sum(sizes.get(path, 0) for path in result.sent),
        )

    def _publish(self, item: PlannedItem, patience: float) -> PublishResult:
        if item.stage is not None:
            return publish(item.folder, item.target, replace_readme=self.replace_readme, patience=patience)
        return publish_report(
            item.folder / REPORT_NAME,
            item.target,
            **self._space(),
            replace_readme=self.replace_readme,
            patience=patience,
        )

    def _space(self) -> dict[str, Any]:
        """What a Space says of itself beside its page."""
        shown = [item.target for item in self.items if item.stage is not None]
        return {"title": self.title, "license": self.records.content.get("license"), "shown": shown}

    def _write_card(self, item: PlannedItem) -> None:
        content: Mapping[str, Any] = self.records.content
        if item.stage is None:
            return
        write_lineage(item.folder)
        license = item.stage.record.config.get("hub_license") or content.get("license")
        shared: dict[str, Any] = {"license": license, "pipeline": content, "repo_id": item.target.repo_id}
        if item.target.repo_type == "model":
            before = self.records.before(item.stage)
            create_model_card(item.folder, evaluations=item.stage.evaluations, before=before, **shared)
        else:
            create_dataset_card(item.folder, **shared)

    def _files(self, item: PlannedItem, token: str | None) -> list[PublishedFile]:
        if item.stage is not None:
            return plan_files(item.folder, token=token)
        with tempfile.TemporaryDirectory(prefix="trl_r1-report-") as place:
            return write_space(item.folder / REPORT_NAME, Path(place), **self._space(), token=token)


def _command(folder: Path, namespace: str, prefix: str | None, title: str, private: bool, replace_readme: bool) -> str:
    """The command line that does the same again; the token is not on it."""
    words = ["trl-r1", "publish", str(folder), "--namespace", namespace]
    words += [] if prefix is None else ["--prefix", prefix]
    words += ["--title", title, *([] if private else ["--public"]), *(["--replace_readme"] if replace_readme else [])]
    return shlex.join(words)


def _reason(error: R1Error | OSError) -> str:
    return str(error) if isinstance(error, R1Error) else explain(error)
