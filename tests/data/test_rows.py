import pytest
from datasets import Dataset

from trl_r1.data.rows import (
    check_batch,
    check_column,
    fingerprint_rows,
    first_rows,
    join_parts,
    keep_rows,
    read_jsonl,
    write_jsonl,
)
from trl_r1.errors import DataError


ROWS = Dataset.from_list([{"problem": f"p{index}", "solution": index} for index in range(6)])


def test_a_missing_column_names_itself_those_present_and_the_nearest():
    with pytest.raises(
        DataError, match=r"^field: 'here' has no column 'problme'; did you mean 'problem'\? .*solution"
    ):
        check_column(ROWS, "problme", "field", "here")
    check_column(ROWS, "problem", "field", "here")


def test_a_dataset_smaller_than_a_batch_names_both_numbers():
    check_batch(16, 16)
    with pytest.raises(DataError, match=r"15 usable rows are fewer than the 16 prompts a rollout"):
        check_batch(15, 16, "prompts a rollout")


def test_dropped_rows_are_counted_by_reason_and_logged(caplog):
    reasons = [None, "gold_missing", None, "prompt_missing", "gold_missing", None]
    kept, dropped = keep_rows(ROWS, reasons, "here")
    assert kept["problem"] == ["p0", "p2", "p5"]
    assert dropped == {"gold_missing": 2, "prompt_missing": 1}
    assert "dropped 3 of 6 rows: gold_missing 2, prompt_missing 1" in caplog.text


def test_nothing_left_is_an_error_with_the_counts():
    with pytest.raises(DataError, match=r"none of the 6 rows .* \(gold_missing 6\)"):
        keep_rows(ROWS, ["gold_missing"] * 6, "here")


def test_the_fingerprint_is_of_the_content_alone():
    copy = Dataset.from_list([dict(reversed(row.items())) for row in ROWS])
    assert fingerprint_rows(copy) == fingerprint_rows(ROWS)
    assert fingerprint_rows(ROWS.select(range(5))) != fingerprint_rows(ROWS)
    assert fingerprint_rows(ROWS.select([1, 0, 2, 3, 4, 5])) != fingerprint_rows(ROWS)


@pytest.mark.parametrize(("limit", "sizes"), [(None, [6, 3]), (99, [6, 3]), (9, [6, 3]), (6, [4, 2]), (1, [1, 0])])
def test_a_limit_takes_the_first_rows_of_each_part_in_proportion(limit, sizes):
    parts = first_rows([ROWS, ROWS.select(range(3))], limit)
    assert [len(part) for part in parts] == sizes
    assert parts[0]["problem"] == [f"p{index}" for index in range(sizes[0])]


def test_joining_fills_missing_columns_and_refuses_clashing_types():
    joined = join_parts([ROWS, Dataset.from_list([{"problem": "q"}])])
    assert joined[6] == {"problem": "q", "solution": None}
    with pytest.raises(DataError, match="cannot be joined"):
        join_parts([ROWS, Dataset.from_list([{"problem": ["q"]}])])


def test_json_lines_round_trip_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "train.jsonl"
    rows = [{"problem": "加", "n": 1}, {"problem": "b", "n": None}]
    assert write_jsonl(path, rows) == 2
    assert read_jsonl(path) == rows

    def breaking():
        yield {"problem": "half"}
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_jsonl(path, breaking())
    assert read_jsonl(path) == rows
    assert [file.name for file in path.parent.iterdir()] == ["train.jsonl"]


@pytest.mark.parametrize(
    ("text", "message"), [('{"a": 1}\n{"a"', "line 2 is no JSON"), ("[1]\n", "line 1 is no JSON object")]
)
def test_damaged_json_lines_name_the_line(tmp_path, text, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_jsonl(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_jsonl(tmp_path / "none.jsonl")


def test_line_breaks_within_a_text_do_not_end_its_row(tmp_path):
    rows = [{"text": "a\u2028b\u2029c\x85d\x0ce\r\nf"}, {"text": ""}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "rows.jsonl") == rows
    (tmp_path / "empty.jsonl").write_text("")
    assert read_jsonl(tmp_path / "empty.jsonl") == []


def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n')
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}]
