import pytest

from trl_r1.hub.cards.text import is_unedited, seal


CARD = "---\ntags:\n- trl_r1\n---\n\n# r1 思考\n"


def test_a_sealed_card_is_unedited_and_keeps_its_text() -> None:
    sealed = seal(CARD)
    assert sealed.startswith(CARD)
    assert sealed.removeprefix(CARD).count("\n") == 1
    assert is_unedited(sealed)
    assert is_unedited(sealed.replace("\n", "\r\n"))
    assert seal(CARD.rstrip("\n")) == sealed


@pytest.mark.parametrize(
    "edited",
    [
        "",
        CARD,
        seal(CARD).replace("r1", "r2", 1),
        seal(CARD) + "And one more word.\n",
        seal(CARD).replace("思考", "思"),
        "A word before.\n" + seal(CARD),
        seal(CARD).replace("sha256 ", "sha256 0"),
    ],
)
def test_any_edit_makes_it_somebody_elses_card(edited: str) -> None:
    assert not is_unedited(edited)


def test_text_that_holds_a_seal_of_its_own_is_sealed_by_the_last() -> None:
    nested = seal(seal(CARD) + "\nMore.\n")
    assert is_unedited(nested)
    assert not is_unedited(nested.replace("More", "Less"))
