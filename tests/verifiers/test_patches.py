"""Patches: what fits is applied, what does not is refused with the reason, and nothing is passed over in silence."""

import contextlib
import difflib
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trl_r1.verifiers.patches import MAX_PATCH_CHARS, apply_patch
from trl_r1.verifiers.unified_diff import PatchError


FILES = {"f.py": "one\ntwo\nthree\nfour\nfive\n", "pkg/g.py": "x = 1\n"}


def patched(body, files=FILES, path="f.py"):
    return apply_patch(f"--- a/{path}\n+++ b/{path}\n{body}", files)[path]


class TestDiff:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ("@@ -2 +2 @@\n-two\n+2\n", "one\n2\nthree\nfour\nfive\n"),
            ("@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n", "one\n2\nthree\nfour\nfive\n"),
            ("@@ -1,2 +1,3 @@ def f():\n one\n+1.5\n two\n", "one\n1.5\ntwo\nthree\nfour\nfive\n"),
            ("@@ -2,2 +2 @@\n-two\n-three\n+23\n", "one\n23\nfour\nfive\n"),
            ("@@ -2,2 +1,0 @@\n-two\n-three\n", "one\nfour\nfive\n"),
            ("@@ -5,0 +6 @@\n+six\n", "one\ntwo\nthree\nfour\nfive\nsix\n"),
            ("@@ -0,0 +1 @@\n+zero\n", "zero\none\ntwo\nthree\nfour\nfive\n"),
            ("@@ -1 +1 @@\n-one\n+1\n@@ -5 +5 @@\n-five\n+5\n", "1\ntwo\nthree\nfour\n5\n"),
            ("@@ -1 +1,2 @@\n-one\n+1\n+1\n@@ -5 +6 @@\n-five\n+5\n", "1\n1\ntwo\nthree\nfour\n5\n"),
        ],
    )
    def test_applies(self, body, expected):
        assert patched(body) == expected

    @pytest.mark.parametrize("number", [1, 3, 5, 9999])
    def test_a_hunk_may_be_lines_off(self, number):
        assert patched(f"@@ -{number} +{number} @@\n-two\n+2\n") == "one\n2\nthree\nfour\nfive\n"

    def test_the_nearest_place_is_taken_and_the_offset_carried_on(self):
        files = {"f.py": "".join(f"{word}\n" for word in ["pad", "pad", "a", "b", "c", "a", "b", "c"])}
        body = "@@ -1 +1,2 @@\n-a\n+A\n+A\n@@ -2 +3 @@\n-b\n+B\n"
        assert patched(body, files) == "pad\npad\nA\nA\nB\nc\na\nb\nc\n"

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("@@ -2 +2 @@\n-tow\n+2\n", "does not fit"),
            ("@@ -2 +2 @@\n-Two\n+2\n", "does not fit"),
            ("@@ -2 +2 @@\n-two \n+2\n", "does not fit"),  # no fuzz: a blank is a difference
            ("@@ -1,3 +1,3 @@\n one\n-two\n+2\n four\n", "does not fit"),
            ("@@ -5 +5 @@\n-five\n+5\n@@ -1 +1 @@\n-one\n+1\n", "hunk 2 does not fit"),  # out of order
            ("@@ -2 +2 @@\n-two\n+2\n@@ -2 +2 @@\n-two\n+2\n", "hunk 2 does not fit"),  # the line is used up
            ("@@ -9,0 +10 @@\n+ten\n", "does not fit"),
            ("@@ -2 +2 @@\n-two\n+2\n+3\n", "belongs to no hunk"),  # unidiff drops the last line
            ("@@ -2,2 +2 @@\n-two\n+2\n", "shorter than it says"),
            ("@@ -2 +2,0 @@\n-two\n+2\n", "belongs to no hunk"),
            ("@@ -2 +2 @@\n-two\n*2\n", "no line of a hunk"),
            ("@@ -2,0 +2,1 @@\n-two\n", "longer than it says"),
            ("@@ -x +2 @@\n-two\n+2\n", "belongs to no hunk"),
            (f"@@ -{'9' * 5000} +2 @@\n-two\n+2\n", "belongs to no hunk"),
            ("", "no hunk"),
            ("@@ -2 +2 @@\n-two\n+two\n", "changes nothing"),
            ("@@ -2 +2 @@\n-two\n+2\nand that is it\n", "belongs to no hunk"),
        ],
    )
    def test_refuses(self, body, reason):
        with pytest.raises(PatchError, match=reason):
            patched(body)

    def test_many_hunks_are_refused(self):
        with pytest.raises(PatchError, match="more than 200 hunks"):
            patched("@@ -2 +2 @@\n-two\n+2\n" * 201)

    def test_an_empty_line_stands_for_an_empty_context_line(self):
        files = {"f.py": "a\n\nb\n"}
        assert patched("@@ -1,3 +1,3 @@\n-a\n+A\n\n b\n", files) == "A\n\nb\n"
        assert patched("@@ -1,2 +1,2 @@\n-a\n+A", files) == "A\n\nb\n"  # the answer was stripped at its end

    def test_no_newline_at_end_of_file(self):
        files = {"f.py": "a\nb"}
        assert patched("@@ -2 +2 @@\n-b\n\\ No newline at end of file\n+c\n", files) == "a\nc\n"
        assert patched("@@ -2 +2 @@\n-b\n+c\n\\ No newline at end of file\n", files) == "a\nc"
        assert patched("@@ -2,0 +3 @@\n+c\n", files) == "a\nb\nc\n"

    def test_files_are_made_and_deleted(self):
        made = apply_patch("--- /dev/null\n+++ b/new.py\n@@ -0,0 +1,2 @@\n+a\n+b\n", FILES)
        assert made == {**FILES, "new.py": "a\nb\n"}
        assert apply_patch("--- a/pkg/g.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n", FILES) == {"f.py": FILES["f.py"]}

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            (("--- a/h.py", "+++ b/h.py"), "no file 'h.py'"),
            (("--- a/f.py", "+++ b/h.py"), "renaming"),
            (("--- /dev/null", "+++ b/f.py"), "exists"),
            (("--- /dev/null", "+++ /etc/passwd"), "no path inside"),
            (("--- /dev/null", "+++ b/../up.py"), "no path inside"),
            (("--- /dev/null", "+++ b/a/../../up.py"), "no path inside"),
            (("--- /dev/null", "+++ b/.hidden.py"), "no path inside"),
            (("--- /dev/null", "+++ b/test_f.py"), "is a test"),
            (("--- /dev/null", "+++ b/tests/anything.py"), "is a test"),
            (("--- /dev/null", "+++ b/conftest.py"), "is a test"),
            (("--- /dev/null", "+++ b/secret.py"), "is a test"),
        ],
    )
    def test_paths_that_are_refused(self, headers, reason):
        with pytest.raises(PatchError, match=reason):
            apply_patch("\n".join([*headers, "@@ -0,0 +1 @@", "+x"]), FILES, protected=["secret.py"])

    def test_several_files_and_git_headers(self):
        text = (
            "diff --git a/f.py b/f.py\nindex 83db48f..bf269f4 100644\n--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n-one\n+1\n"
            "diff --git a/pkg/g.py b/pkg/g.py\n--- a/pkg/g.py\t2026-01-01\n+++ b/pkg/g.py\t2026-01-02\n"
            "@@ -1 +1 @@\n-x = 1\n+x = 2\n"
        )
        assert apply_patch(text, FILES) == {"f.py": "1\ntwo\nthree\nfour\nfive\n", "pkg/g.py": "x = 2\n"}

    @given(st.integers(0, 2**32))
    def test_difflib_round_trip(self, seed):
        rng = random.Random(seed)
        old = [rng.choice("abc\n") for _ in range(rng.randrange(12))]
        new = [line for line in old if rng.random() < 0.8]
        for _ in range(rng.randrange(4)):
            new.insert(rng.randrange(len(new) + 1), rng.choice("abcd\n"))
        before, after = ("".join(f"{line.strip()}\n" for line in lines) for lines in (old, new))
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), "a/f.py", "b/f.py", n=rng.randrange(4)
        )
        diff = "".join(lines)
        if before != after:
            assert apply_patch(f"I did this:\n```diff\n{diff}```\n", {"f.py": before})["f.py"] == after


class TestFinding:
    DIFF = "--- f.py\n+++ f.py\n@@ -2 +2 @@\n-two\n+2\n"

    @pytest.mark.parametrize(
        "answer",
        [
            DIFF,
            f"Here it is:\n\n{DIFF}",
            f"```diff\n{DIFF}```",
            f"```python\nprint('not this')\n```\n```patch\n{DIFF}```\nDone.",
            f"~~~diff\n{DIFF}~~~",
            f"  ```diff\n{DIFF}  ```",
        ],
    )
    def test_diff_is_found(self, answer):
        assert apply_patch(answer, FILES)["f.py"] == "one\n2\nthree\nfour\nfive\n"

    def test_all_diff_blocks_are_applied_in_order(self):
        second = "```diff\n--- f.py\n+++ f.py\n@@ -2 +2 @@\n-2\n+II\n```"
        assert apply_patch(f"```diff\n{self.DIFF}```\nthen\n{second}", FILES)["f.py"].startswith("one\nII\n")

    @pytest.mark.parametrize(
        "answer",
        [
            "```python f.py\nnew\n```",
            "f.py\n```python\nnew\n```",
            "**f.py**\n\n```python\nnew\n```",
            "### `f.py`:\n```\nnew\n```",
            "An example:\n```python\nf(1)\n```\nThe file:\n```python f.py\nnew\n```",
        ],
    )
    def test_whole_file_is_found(self, answer):
        assert apply_patch(answer, FILES) == {**FILES, "f.py": "new\n"}

    def test_a_single_block_needs_no_path_where_there_is_one_file(self):
        assert apply_patch("```python\nnew\n```", {"f.py": "old\n"}) == {"f.py": "new\n"}
        with pytest.raises(PatchError, match="says which file"):
            apply_patch("```python\nnew\n```", FILES)

    def test_a_fence_inside_a_docstring_does_not_end_the_file(self):
        text = 'def f():\n    """\n    ```\n    f()\n    ```\n    """\n'
        assert apply_patch(f"```python f.py\n{text}```", FILES)["f.py"] == text

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ("", "no patch"),
            ("I would change line 2.", "no patch"),
            ("```diff\n--- f.py\n+++ f.py\n@@ -2 +2 @@\n-two\n+2\n", "not closed"),
            ("```diff\nno diff\n```", "belongs to no hunk"),
            ("```python ../f.py\nnew\n```", "no path inside"),
            ("```python test_f.py\nnew\n```", "is a test"),
            ("x" * (MAX_PATCH_CHARS + 1), "longer than"),
            ("```python f.py\none\ntwo\nthree\nfour\nfive\n```", "changes nothing"),
        ],
    )
    def test_refuses(self, answer, reason):
        with pytest.raises(PatchError, match=reason):
            apply_patch(answer, FILES)


class TestAnything:
    PIECES = (
        *(
            "--- a/f.py\n",
            "+++ b/f.py\n",
            "@@ -1,2 +1,2 @@\n",
            "@@ -0,0 +1 @@\n",
            "-one\n",
            "+1\n",
            " two\n",
            "\n",
            " \n",
        ),
        *(
            "```diff\n",
            "```python f.py\n",
            "```\n",
            "\\ No newline at end of file\n",
            "--- /dev/null\n",
            "x",
            "\r\n",
            "@@",
        ),
        *(
            "+++ /dev/null\n",
            "diff --git a/f.py b/f.py\n",
            "~~~\n",
            "f.py\n",
            "\x0c",
            "\u2028",
            "é\n",
            "-two\n",
            "-three\n",
        ),
    )

    @given(st.lists(st.sampled_from(PIECES), max_size=14))
    def test_either_a_snapshot_or_a_reason(self, pieces):
        before, after = dict(FILES), {}
        with contextlib.suppress(PatchError):
            after = apply_patch("".join(pieces), FILES)
        assert before == FILES
        assert after != FILES
        assert all(isinstance(text, str) for text in after.values())

    @pytest.mark.parametrize(
        "answer",
        [
            "_" * 90_000 + "!\n```\nx\n```",
            "a." * 45_000 + "!\n```\nx\n```",
            "*" * 90_000 + "\n```\nx\n```",
            "`" * 90_000,
            "--- f.py\n+++ f.py\n" + "@@ -9999999 +1 @@\n-five\n+5\n" * 3000,
            "--- /dev/null\n+++ n.py\n@@ -0,0 +1,20000 @@\n"
            + "+\n" * 20_000
            + "--- n.py\n+++ n.py\n"
            + "".join(f"@@ -{9_000 + i} +1 @@\n-\n+x\n" for i in range(199)),
        ],
        ids=["underscores", "dots", "stars", "ticks", "hunks", "far hunks"],
    )
    def test_nothing_takes_long(self, answer):
        started = time.process_time()
        with contextlib.suppress(PatchError):
            apply_patch(answer, FILES)
        assert time.process_time() - started < 10  # a tenth of a second on an idle machine
