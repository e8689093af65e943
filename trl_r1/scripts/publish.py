"""
Publish a finished stage, or a whole pipeline, on the Hub; or show what would be sent.

    trl-r1 publish outputs/mine/r1_zero --repo_id me/my-r1 --revision r1_zero --dry_run
    trl-r1 publish outputs/mine/r1_zero --repo_id me/my-r1 --revision r1_zero
    trl-r1 publish outputs/mine --namespace me --title "My R1"

The same command again sends nothing, and goes on where a killed one stopped. The token is that of HF_TOKEN or of
`hf auth login`, or of another variable named by `--token_env`; it is never on the command line.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.errors import PublishError, R1Error
from trl_r1.redaction import ADVICE, is_secret_name
from trl_r1.run_records import PIPELINE_RECORD_NAME
from trl_r1.scripts.common import INTERRUPTED, configure_logging, report_error


if TYPE_CHECKING:
    from trl_r1.hub.publishing import HubTarget, PublishResult

STAGE_OPTIONS = ("repo_id", "repo_type", "revision", "tag", "include")
PIPELINE_OPTIONS = ("namespace", "prefix", "title")


def make_parser() -> argparse.ArgumentParser:
    """The command line of `trl-r1 publish`."""
    parser = argparse.ArgumentParser(
        prog="trl-r1 publish",
        description="publish a finished stage or a whole pipeline; or show what would be sent",
        allow_abbrev=False,  # `--token X` would be taken for `--token_env X`, and X shown
    )
    parser.add_argument("folder", help="folder of a finished stage, or of a pipeline")
    parser.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
    _flag(parser, "replace_readme", help="replace a README there that is not a card of ours, unedited")
    _flag(parser, "dry_run", help="send nothing; show files, sizes and where they would go")
    _flag(parser, "token_env", metavar="NAME", help="variable that holds the token (default: HF_TOKEN, or the login)")
    _flag(parser, "patience", type=float, metavar="SECONDS", help="of waiting and failed tries (default: 600)")
    stage = parser.add_argument_group("of a stage")
    _flag(stage, "repo_id", help="where to, for example me/my-r1 (default: as in the stage's recipe, or as last time)")
    _flag(stage, "repo_type", choices=("model", "dataset"), help="default: what the stage made")
    _flag(stage, "revision", help="branch (default: as in the stage's recipe, or as last time, or main)")
    _flag(stage, "tag", help="tag of the commit (default: stage and hash of its content)")
    _flag(stage, "include", nargs="+", metavar="PATTERN", help="more files to send, for example 'completions/*'")
    pipeline = parser.add_argument_group("of a pipeline")
    _flag(pipeline, "namespace", help="user or organisation for its repositories and its collection")
    _flag(pipeline, "prefix", help="how the names of its repositories begin (default: the folder's name)")
    _flag(pipeline, "title", help="title of the collection")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns 0, 2 when it was not published, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    configure_logging()
    try:
        _refuse_secrets(words)
        options = make_parser().parse_args(words)
        if (Path(options.folder) / PIPELINE_RECORD_NAME).is_file():
            return _publish_pipeline(options)
        return _publish_stage(options)
    except R1Error as error:
        report_error(error)
        return 2
    except KeyboardInterrupt:
        report_error(R1Error("stopped; the same command goes on from there"))
        return INTERRUPTED


def _refuse_secrets(words: Sequence[str]) -> None:
    """Before argparse, which would quote the token as unexpected."""
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--") and is_secret_name(flag):
            raise PublishError(
                f"{flag}: what stands on a command line can be read by everybody on the machine; {ADVICE}, or name a "
                "variable with --token_env"
            )


def stage_target(options: argparse.Namespace) -> HubTarget:
    """
    Where a stage goes: as the command line says, else its recipe, else where it went last time.

    Raises:
        [`PublishError`]: when the stage has not finished, or nothing says where it goes.
    """
    from trl_r1.hub.publishing import HubTarget, read_published
    from trl_r1.hub.publishing.files import read_finished, repo_type_of
    from trl_r1.hub.publishing.published import keep_first_tag

    record = read_finished(options.folder)
    last, config = read_published(options.folder), record.config
    repo_type = options.repo_type or repo_type_of(options.folder, record)
    recipe_id = config.get("hub_dataset_id" if repo_type == "dataset" else "hub_model_id")
    own_name = Path(options.folder).resolve().name if config.get("push_to_hub") else None  # as training would push it
    repo_id = options.repo_id or recipe_id or last.get("repo_id") or own_name
    if repo_id and str(last.get("repo_id")).split("/")[-1] != str(repo_id).split("/")[-1]:
        last = {}  # the branch there says nothing of one elsewhere
    if not repo_id:
        raise PublishError("repo_id: missing; give --repo_id me/my-r1, the stage's recipe names none")
    target = HubTarget(
        repo_id=str(repo_id),
        repo_type=repo_type,
        revision=str(options.revision or config.get("hub_revision") or last.get("revision") or "main"),
        tag=options.tag or config.get("hub_tag"),
        private=not (options.public or config.get("hub_private_repo") is False),
        token=_token(options),
    )
    return target if options.tag else keep_first_tag(options.folder, target)


def _flag(parser: Any, name: str, **settings: Any) -> None:
    """An option under TRL's spelling and under the usual one: `--dry_run` and `--dry-run`."""
    names = dict.fromkeys((f"--{name}", "--" + name.replace("_", "-")))
    switch = not {"nargs", "type", "choices", "metavar"} & set(settings) and name in ("dry_run", "replace_readme")
    parser.add_argument(*names, **({"action": "store_true"} if switch else {}), **settings)


def _publish_stage(options: argparse.Namespace) -> int:
    from trl_r1.hub.publishing import publish

    _refuse(options, PIPELINE_OPTIONS, "the folder of a stage; they are for a pipeline's")
    result = publish(
        options.folder,
        stage_target(options),
        replace_readme=options.replace_readme,
        dry_run=options.dry_run,
        include=options.include or (),
        patience=_patience(options),
    )
    show(result, options.folder)
    return 0


def _publish_pipeline(options: argparse.Namespace) -> int:
    from rich.console import Console

    from trl_r1.hub.collection.publish import publish_pipeline

    _refuse(options, STAGE_OPTIONS, "the folder of a pipeline; they are for a stage's")
    if not options.namespace:
        raise PublishError("namespace: missing; give --namespace ME, the user or organisation to publish under")
    result = publish_pipeline(
        options.folder,
        namespace=options.namespace,
        prefix=options.prefix,
        title=options.title,
        private=not options.public,
        token=_token(options),
        dry_run=options.dry_run,
        replace_readme=options.replace_readme,
        patience=_patience(options),
    )
    Console(soft_wrap=True, emoji=False).print(str(result), highlight=False, markup=False)
    return 2 if result.failures else 0


def _refuse(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    given = [f"--{name}" for name in names if getattr(options, name) is not None]
    if given:
        raise PublishError(f"{', '.join(given)}: not for {options.folder!r}, which is {why}; leave it out")


def _patience(options: argparse.Namespace) -> float:
    from trl_r1.hub.publishing.patience import DEFAULT_PATIENCE

    if options.patience is None:
        return DEFAULT_PATIENCE
    if not 0 <= options.patience < float("inf"):
        raise PublishError(f"patience: {options.patience} seconds; give 0 (one try) or more")
    return float(options.patience)


def _token(options: argparse.Namespace) -> str | None:
    if options.token_env is None:
        return None
    token = os.environ.get(options.token_env)
    if not token:
        raise PublishError(f"token_env: the variable {options.token_env!r} is not set; export the token in it")
    return token


def show(result: PublishResult, folder: str | Path) -> None:
    """Print what was published, or for a dry run would be."""
    from rich.console import Console
    from rich.table import Table

    from trl_r1.hub.publishing.files import CARD_NAME
    from trl_r1.hub.publishing.target import show_size

    console = Console(emoji=False)
    done = result.commit is not None
    table = Table(box=None)
    for name, side in (("file", "left"), ("size", "right"), ("sent" if done else "to send", "left")):
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    for file in result.files:
        state = "yes" if file.path in result.sent else "no, kept" if file.path in result.kept else "no, is there"
        table.add_row(file.path, show_size(file.size), state)
    if not any(file.path == CARD_NAME for file in result.files):
        table.add_row(CARD_NAME, "", "yes, once it is written")
    console.print(table, markup=False)
    sizes = {file.path: file.size for file in result.files}
    total, sending = sum(sizes.values()), sum(sizes[path] for path in result.sent)
    target = result.target
    lines = [
        f"{len(sizes)} files, {show_size(total)}; {'sent' if done else 'to send'}: {show_size(sending)}",
        f"{target.repo_type} {target.repo_id}, branch {target.revision}, tag {result.tag}",
    ]
    others = [path for path in result.kept if path not in sizes]
    lines += ["other files there are kept: " + ", ".join(others)] if others else []
    lines += [f"published: {result.url}"] if done else [f"dry run of {folder}: nothing was sent"]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
