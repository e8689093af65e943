"""The end of a run: nothing is lost for one card that cannot be written, and nothing is passed over in silence."""

import pytest

from trl_r1.errors import RecordError


def rows_stage(world):
    """A pipeline whose stages write rows."""
    (world.folder / "rows.py").write_text(
        "import pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[sys.argv.index('--output_dir') + 1])\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "(folder / 'train.jsonl').write_text('{\"problem\": \"1\"}\\n')\n"
    )
    world.write({name: {"script": "rows.py"} for name in ("a", "b")})


def test_a_card_that_cannot_be_written_costs_nothing_else(world):
    rows_stage(world)
    assert world.run() == 0
    report = world.output / "report.html"
    cards = [world.output / name / "README.md" for name in ("a", "b")]
    rows = world.output / "a" / "train.jsonl"
    good = rows.read_text()
    for path in (report, *cards):
        path.unlink()
    rows.write_text('{"problem": "2"}\n')
    for _ in range(2):  # not only the first time
        with pytest.raises(RecordError, match=r"no card for a: .*train\.jsonl: was changed"):
            world.run()
        assert f"report: {report}" in world.text.replace("\n", "")
        assert report.is_file()
        assert [card.is_file() for card in cards] == [False, True]
    (world.output / "old").mkdir()
    (world.output / "old" / "stage.json").write_text("{")  # of a stage the pipeline has no more
    with pytest.raises(RecordError, match=r"old.stage\.json: not valid JSON") as caught:
        world.run()
    assert str(caught.value).count("not valid JSON") == 1
    (world.output / "old" / "stage.json").unlink()
    rows.write_text(good)
    assert world.run() == 0
    assert all(card.is_file() for card in cards)
