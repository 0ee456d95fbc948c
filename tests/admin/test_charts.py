"""What a chart is drawn from."""

from __future__ import annotations

import pytest

from workflows_app.admin.charts import HEIGHT, Column, bar_chart, rounded_up


def test_the_parts_of_a_bar_stand_on_each_other_to_scale():
    chart = bar_chart(["failed", "succeeded"], [Column(title="noon", numbers=[1, 3])])

    (bar,) = chart.bars
    assert chart.top == 4
    assert [(block.name, block.y, block.height) for block in bar.blocks] == [
        ("failed", HEIGHT * 3 / 4, HEIGHT / 4),
        ("succeeded", 0, HEIGHT * 3 / 4),
    ]


def test_what_is_little_is_seen_all_the_same_and_what_is_nothing_is_not():
    chart = bar_chart(
        ["failed", "canceled", "succeeded"], [Column(title="noon", numbers=[1, 0, 99_999])]
    )

    (bar,) = chart.bars
    assert [(block.name, block.height >= 1) for block in bar.blocks] == [
        ("failed", True),
        ("succeeded", True),
    ]


@pytest.mark.parametrize(
    ("number", "top"), [(0, 1), (1, 1), (5, 5), (6, 10), (12, 20), (51, 100), (37_600, 40_000)]
)
def test_the_scale_ends_at_a_round_number(number: int, top: int):
    assert rounded_up(number) == top
