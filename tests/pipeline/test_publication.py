"""`push_to_hub` and tokens in pipelines: where a stage goes, what is copied of its recipe, what makes it stale."""

import os
import subprocess
import sys

import pytest
import yaml
from tiny_sft import ONE_STEP, TOKEN, write_chats

from trl_r1.errors import PublishError, RecipeError
from trl_r1.pipeline import load_pipeline
from trl_r1.pipeline.fingerprint import stage_fingerprints
from trl_r1.pipeline.publication import check_targets, publish_stages, stage_environment, stage_target
from trl_r1.pipeline.relocation import stage_recipe
from trl_r1.stage_record import StageRecord, write_stage_record


RECIPE = """\
# trl-r1 sft --config sft.yaml
model_name_or_path: base   # the base
dataset_name: data
output_dir: {output}/student
"""
PROXY = "http://me:of-the-proxy@host:3128"
SECRETS = f"hub_token: from-the-recipe  # mine\nenv: {{A: 1, MY_API_KEY: of-the-recipe, HTTPS_PROXY: '{PROXY}'}}\n"


@pytest.fixture
def pipeline(world):
    """Make a pipeline of one SFT whose recipe has these lines more; loads it for another folder."""

    def make(extra="", args=None, **fields):
        recipe = RECIPE.format(output=world.output) + extra
        (world.folder / "sft.yaml").write_text(recipe)
        entry = {"script": "sft", "config": "sft.yaml", "args": args or {}}
        return load_pipeline(world.write({"student": entry}, **fields), output_dir=world.folder / "elsewhere")

    return make


def test_target_is_what_the_recipe_says_now(pipeline):
    assert stage_target(pipeline(), "student") is None
    assert stage_target(pipeline("push_to_hub: false\nhub_model_id: me/x\n"), "student") is None
    target = stage_target(pipeline("push_to_hub: true\nhub_tag: v1\n", args={"hub_revision": "dev"}), "student")
    assert (target.repo_id, target.revision, target.tag, target.private) == ("student", "dev", "v1", True)
    assert target.token is None
    public = pipeline("push_to_hub: true\nhub_model_id: me/x\nhub_private_repo: false\n", env={"HF_TOKEN": "of-all"})
    target = stage_target(public, "student")
    assert (target.repo_id, target.private, target.token) == ("me/x", False, "of-all")
    assert "of-all" not in repr(target) + repr(public)
    assert stage_target(pipeline("push_to_hub: true\n" + SECRETS), "student").token == "from-the-recipe"


def test_a_copy_of_a_recipe_has_no_secrets_and_the_stage_gets_them(pipeline, world):
    made = pipeline(f"# hub_token: {TOKEN}\n" + SECRETS)
    copy = stage_recipe(made, "student").read_text()
    for secret in ("from-the-recipe", "of-the-recipe", "of-the-proxy", TOKEN):
        assert secret not in copy
    content = yaml.safe_load(copy)
    assert content["output_dir"] == str(world.folder / "elsewhere" / "student")
    assert content["env"] == {"A": 1}
    assert stage_environment(made, "student") == {
        "MY_API_KEY": "of-the-recipe",
        "HTTPS_PROXY": PROXY,
        "TRL_R1_HUB_TOKEN": "from-the-recipe",
    }


def test_a_copy_without_secrets_keeps_its_comments_but_for_tokens_in_them(pipeline):
    copy = stage_recipe(pipeline(f"# hub_token: {TOKEN}\n"), "student").read_text()
    assert "# the base" in copy
    assert TOKEN not in copy


@pytest.mark.parametrize(
    ("extra", "fields", "same"),
    [
        ("push_to_hub: true\nhub_model_id: me/x\nhub_tag: v1\nhub_license: mit\n", {}, True),
        ("hub_token: x\n", {}, True),
        ("env: {MY_API_KEY: x}\n", {}, True),
        ("", {"env": {"HF_TOKEN": "x"}}, True),
        ("", {"env": {"OMP_NUM_THREADS": "1"}}, False),
        ("max_steps: 3\n", {}, False),
    ],
)
def test_where_a_result_goes_does_not_make_it_stale(pipeline, extra, fields, same):
    before = stage_fingerprints(pipeline())
    assert (stage_fingerprints(pipeline(extra, **fields)) == before) is same


def test_a_renewed_token_does_not_make_it_stale(pipeline):
    one, other = (stage_fingerprints(pipeline("env: {A: 1, MY_API_KEY: " + key + "}\n")) for key in ("one", "two"))
    assert one == other


@pytest.mark.parametrize("args", [{"hub_token": "x"}, {"env": {"MY_API_KEY": "x"}}, {"title": TOKEN}])
def test_secrets_on_a_command_line_are_refused(pipeline, args):
    with pytest.raises(RecipeError, match=r"stages.student.args.*everybody") as caught:
        pipeline(args=args)
    assert TOKEN not in str(caught.value)


def test_a_wrong_environment_is_not_shown(pipeline):
    with pytest.raises(RecipeError, match=r"env: a list is not a mapping") as caught:
        pipeline(env=["HF_TOKEN=also-secret"])
    assert "also-secret" not in str(caught.value)


def test_secrets_in_the_recipe_of_a_python_file_are_refused(world):
    (world.folder / "own.yaml").write_text("service: {password: x}\n")
    world.write({"a": {"script": "stage.py", "config": "own.yaml"}})
    with pytest.raises(RecipeError, match=r"stages.a.config: service.password: it looks like a secret"):
        load_pipeline(world.path)


def test_no_stage_starts_that_could_not_be_published(pipeline, monkeypatch):
    monkeypatch.setattr("trl_r1.hub.publishing.check_target", refuse)
    with pytest.raises(PublishError, match=r"^stages.student: push_to_hub: token: its role is 'read'$"):
        check_targets(pipeline("push_to_hub: true\n"), ["student"])
    check_targets(pipeline("push_to_hub: true\n", env={"HF_ENDPOINT": "http://x"}), ["student"])  # it asks itself
    check_targets(pipeline(), ["student"])


def refuse(target, *, new):
    raise PublishError("token: its role is 'read'")


def test_a_failed_publication_is_a_warning_with_the_command(pipeline, monkeypatch, caplog):
    made = pipeline("push_to_hub: true\nhub_model_id: me/x\n" + SECRETS)
    calls = []

    def run(command, env, **options):
        calls.append((command, env))
        return subprocess.CompletedProcess(command, 2, "", "error: the Hub is gone\n")

    monkeypatch.setattr(subprocess, "run", run)
    publish_stages(made)
    assert not calls  # it has not finished
    write_stage_record(made.folder("student"), make_record())
    publish_stages(made)
    ((command, env),) = calls
    assert "from-the-recipe" not in " ".join(command)
    assert env["TRL_R1_HUB_TOKEN"] == "from-the-recipe"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "student is not published: error: the Hub is gone" in warning
    assert f"trl-r1 publish {made.folder('student')} --repo_id me/x" in warning
    assert "from-the-recipe" not in warning


def test_a_hub_that_is_gone_is_waited_for_once(world, monkeypatch):
    recipe = RECIPE.format(output=world.output) + "push_to_hub: true\n"
    (world.folder / "sft.yaml").write_text(recipe)
    names = ("one", "two", "three")
    made = load_pipeline(world.write({name: {"script": "sft", "config": "sft.yaml"} for name in names}))
    for name in names:
        write_stage_record(made.folder(name), make_record())
    calls = []

    def run(command, **options):
        calls.append(command[-2:])
        return subprocess.CompletedProcess(command, 2, "", "error: the Hub is gone\n")

    monkeypatch.setattr(subprocess, "run", run)
    publish_stages(made)
    assert [call == ["--patience", "60"] for call in calls] == [False, True, True]


@pytest.mark.timeout(900)
def test_what_could_not_be_sent_is_sent_by_the_next_run(world, checkpoint, hub_server):
    hub_server.add_user("me", token=TOKEN, role="write")
    recipe = ONE_STEP | {
        "model_name_or_path": checkpoint,
        "dataset_name": write_chats(world.folder / "chats"),
        "output_dir": str(world.output / "student"),
        "hub_tag": "v1",
    }
    (world.folder / "sft.yaml").write_text(yaml.safe_dump(recipe))
    world.write({"student": {"script": "sft", "config": "sft.yaml"}})

    def run():
        environment = os.environ | hub_server.environment(world.folder / "cache")
        command = [sys.executable, "-m", "trl_r1.cli", "run", str(world.path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    fault = hub_server.fault("POST", "/commit/", status=403, times=None)
    said = run()
    assert fault.struck == 2  # the stage tried, and the end of the run
    assert said.count("student is not published: ") == 1
    assert f"trl-r1 publish {world.output / 'student'} --repo_id student" in said
    finished = (world.output / "student" / "stage.json").read_bytes()
    hub_server.clear_faults()
    assert "not published" not in run()
    assert (world.output / "student" / "stage.json").read_bytes() == finished  # it did not train again
    files = hub_server.files("me/student")
    assert files["model.safetensors"] == (world.output / "student" / "model.safetensors").read_bytes()
    assert files["README.md"] == (world.output / "student" / "README.md").read_bytes()

    first = hub_server.refs("me/student")["refs/tags/v1"]
    (world.output / "student" / "README.md").write_text("a card with results")
    for _ in range(2):
        assert "not published" not in run()
        assert hub_server.files("me/student")["README.md"] == b"a card with results"
        assert hub_server.refs("me/student")["refs/tags/v1"] == first


def make_record():
    return StageRecord(
        stage="student",
        kind="sft",
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:00:01+00:00",
        seconds=1.0,
        cpu_seconds=1.0,
        command=["trl-r1", "sft"],
        config={},
        config_sha256="0" * 64,
    )
