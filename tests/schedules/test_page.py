import json
import re
from html.parser import HTMLParser

import numpy as np

from schedules import Clock, load
from schedules.analysis.preview import Preview, panels
from schedules.plots.page import page

CLOCK = Clock(300, batch_size=10, examples_per_epoch=1000)
COSINE = load({"kind": "cosine", "initial_value": 0.1}, CLOCK)


def message(html):
    """The values that the page carries for its pointer."""
    return json.loads(re.search(r"^const plan = (.*)$", html, re.M)[1])


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def tags(html):
    parser = Tags()
    parser.feed(html)
    return parser.seen


def test_the_pointer_is_told_every_value_to_the_last_digit():
    plan = message(page(panels({"": Preview({"learning_rate": COSINE}, CLOCK)}), CLOCK))
    [line] = plan["panels"][0]["lines"]
    assert line["steps"] == list(range(300))
    assert [float(value) for value in line["values"]] == COSINE(np.arange(300)).tolist()
    assert plan["perEpoch"] == 100


def test_nothing_is_fetched_from_elsewhere():
    html = page(panels({"": Preview({"learning_rate": COSINE}, CLOCK)}), CLOCK)
    assert not {"src", "href"} & {name for _, attributes in tags(html) for name in attributes}
    assert "default-src 'none'" in html
    assert "@" not in re.sub(r"@media", "", html)


def test_a_label_cannot_end_the_script():
    label = "</script><b>@plan@"
    html = page(panels({label: Preview({"learning_rate": COSINE}, CLOCK)}), CLOCK, label)
    assert message(html)["panels"][0]["lines"][0]["label"] == label
    assert [tag for tag, _ in tags(html)].count("script") == 1
    assert "b" not in [tag for tag, _ in tags(html)]
