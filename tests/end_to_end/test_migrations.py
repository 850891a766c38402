"""What the pages on migrating call equal is: their blocks compare, and are run here at once."""

import pytest

from tests.end_to_end.test_docs import CHECKOUT, blocks

PAGES = sorted(path.name for path in CHECKOUT.glob("docs/migrate-*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_the_values_that_a_page_compares_are_equal(page):
    compared = [
        block
        for block in blocks(f"docs/{page}")
        if block.language == "python" and "assert_allclose" in block.text
    ]
    assert compared
    for block in compared:
        exec(compile(block.text, f"{page}:{block.line}", "exec"), {})
