"""Letters that stand for a model without a cover."""

import pytest

from console.templatetags.console_pages import initials


@pytest.mark.parametrize(
    ("name", "letters"),
    [("atelier-shapes", "as"), ("yunet_n_640", "yn"), ("u2netp", "u2"), ("日系 插画", "日插"), ("-", "-")],
)
def test_models_of_one_author_have_different_letters(name: str, letters: str) -> None:
    assert initials(name) == letters
