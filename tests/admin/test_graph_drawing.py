"""Graphs as pictures: what stands where, and what is said of what cannot be drawn."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from tests.sdk.graph.outlines import in_function
from workflows_app.admin.graph_drawing import Mark, draw
from workflows_app.admin.graph_layout import Box, LaneBox, lay_out
from workflows_app.admin.graph_nodes import DEEPEST, MOST_NODES, read_graph, walk
from workflows_app.protocol.codec import encode_json

Node = dict[str, Any]


def graph(nodes: Any, **functions: Any) -> str:
    defined = {
        name: {"type": "function_def", "name": name, "nodes": body}
        for name, body in functions.items()
    }
    return encode_json({"version": 1, "workflow": {"functions": defined, "nodes": nodes}})


def step(name: str = "pay", **more: Any) -> Node:
    return {"type": "step_do", "name": name, "config": {}, "nodes": [], **more}


def titles(text: str) -> list[str]:
    return [node.title for node in walk(read_graph(text))]


names = st.text(max_size=60)
leaves = st.one_of(
    st.builds(step, names),
    st.fixed_dictionaries(
        {"type": st.just("step_sleep"), "name": names, "duration": st.integers() | names}
    ),
    st.fixed_dictionaries({"type": st.just("function_call"), "name": names}),
    st.dictionaries(names, st.none() | st.integers() | names, max_size=3),
    st.none() | st.integers() | names,
)


def compounds(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nodes = st.lists(children, max_size=4)
    branches = st.lists(
        st.fixed_dictionaries({"condition": st.none() | names, "nodes": nodes}), max_size=4
    )
    block = st.none() | st.fixed_dictionaries({"type": st.just("block"), "nodes": nodes})
    blocks = {f"{name}_block": block for name in ("try", "catch", "finally")}
    kinds = st.sampled_from(["loop", "parallel", "block", "step_do", "start", "made-up"])
    return st.one_of(
        st.fixed_dictionaries({"type": kinds, "nodes": nodes, "name": names}),
        st.fixed_dictionaries({"type": st.sampled_from(["if", "switch"]), "branches": branches}),
        st.fixed_dictionaries({"type": st.just("try"), **blocks}),
    )


graphs = st.lists(st.recursive(leaves, compounds, max_leaves=40), max_size=8)


@given(graphs)
def test_boxes_lie_within_the_picture_and_do_not_overlap_unless_one_is_in_the_other(
    nodes: list[Any],
) -> None:
    layout = lay_out(read_graph(graph(nodes)))

    for box in layout.boxes:
        assert 0 < box.x < box.x + box.width < layout.width
        assert 0 < box.y < box.y + box.height < layout.height
    for first, second in combinations(layout.boxes, 2):
        assert apart(first, second) or inside(first, second), (first, second)


def apart(first: Box | LaneBox, second: Box | LaneBox) -> bool:
    return (
        first.x + first.width < second.x
        or second.x + second.width < first.x
        or first.y + first.height < second.y
        or second.y + second.height < first.y
    )


def inside(outer: Box | LaneBox, inner: Box | LaneBox) -> bool:
    return (
        outer.x < inner.x
        and outer.y < inner.y
        and inner.x + inner.width < outer.x + outer.width
        and inner.y + inner.height < outer.y + outer.height
    )


def test_each_kind_of_node_says_what_it_does() -> None:
    workflow = in_function(
        """
        for item in context.request_payload["items"]:
            context.run(f"pack {item}", pack, retries=2)
        try:
            paid = context.wait_for_event("payment", "paid", timeout="2d")
        except ValueError:
            context.sleep("pause", "1h")
        if paid:
            context.parallel(lambda: context.run("ship", ship), lambda: context.run("bill", bill))
        else:
            return
        """
    )

    drawing = draw(encode_json({"workflow": workflow}))

    assert drawing is not None
    said = [each.tooltip for each in drawing.boxes]
    assert said == [
        "loop",
        "pack {item}: 3 retries",
        "errors are handled",
        "try",
        "payment: waits for event paid, at most 2d",
        "if it fails",
        "pause: sleeps for 1h",
        "if",
        "paid",
        "in parallel",
        "",
        "ship: 3 retries",
        "",
        "bill: 3 retries",
        "else",
        "return: ends here",
    ]


def test_a_function_is_drawn_where_it_is_called_first() -> None:
    call = {"type": "function_call", "name": "insure"}

    nodes = read_graph(graph([call, call], insure=[step("insure"), call]))

    assert [(node.title, node.detail) for node in walk(nodes)] == [
        ("insure()", ""),
        ("insure", ""),
        ("insure()", "as above"),
        ("insure()", "as above"),
    ]


def test_without_a_graph_that_can_be_read_nothing_is_drawn() -> None:
    odd = (None, "", "null", "[]", "{", '{"workflow": 7}', '{"workflow": {"nodes": {}}}')
    deep = '{"workflow":' * 100_000

    assert [draw(each) for each in (*odd, deep)] == [None] * 8


def test_nodes_of_unknown_types_are_drawn_by_what_they_say() -> None:
    unknown = {"type": "step_dance", "name": "tango", "nodes": [step("bow")]}

    assert titles(graph([unknown, 7, {"type": ["odd"]}])) == ["tango", "bow", "unknown", "unknown"]


def test_what_is_too_much_or_too_deep_is_left_out_and_that_is_said() -> None:
    many = titles(graph([step()] * (MOST_NODES + 10)))
    nested: Node = step("deepest")
    for _ in range(100):
        nested = {"type": "loop", "nodes": [nested]}
    deep = titles(graph([nested]))

    assert (len(many), many[-1]) == (MOST_NODES + 1, "…")
    assert (len(deep), deep[-1]) == (DEEPEST + 1, "…")


def test_names_are_escaped_and_marks_are_told_by_signs_and_words_too() -> None:
    marks = {"<b>pay</b>": Mark(tone="done", words="done 3 times", times=3)}

    drawing = draw(graph([step("<b>pay</b>"), step("ship")]), marks)
    page = render_to_string("admin/workflows_app/run/_graph.html", {"graph": drawing})

    assert "<b>" not in page
    assert page.count("✓ 3") == 1
    assert "<li>&lt;b&gt;pay&lt;/b&gt;: done 3 times</li><li>ship</li>" in page
    assert 'aria-label="Graph of 2 nodes; the list below says the same"' in page
