"""Functions and methods that take part in a workflow."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.sdk.graph.outlines import in_class, in_function, outline
from workflows_app.sdk.graph import graph_of_source


def test_functions_and_methods_with_steps_are_called_by_their_names() -> None:
    source = """
        class Base(WorkflowEntrypoint):
            async def prepare(self, step):
                await step.do("prepare", f)

            async def finish(self, step):
                await step.do("of the base", f)

        class Order(Base):
            async def run(self, event, step):
                await self.prepare(step)
                await pay(event["payload"], step=step)
                await self.finish(step)
                return total(event)

            async def finish(self, step):
                await super().finish(step)
                await step.do("of the order", f)

        async def pay(order, step):
            await step.do(f"pay-{order['id']}", f)

        def total(event):
            return sum(event["payload"]["prices"])
    """

    graph = graph_of_source(dedent(source), "Order")

    assert graph is not None
    assert outline(graph["workflow"]) == dedent(
        """\
        call prepare
        call pay
        call finish
        def prepare
          do prepare
        def pay
          do pay-{order['id']}
        def finish
          call Base.finish
          do of the order
        def Base.finish
          do of the base"""
    )


def test_steps_may_be_kept_by_an_instance() -> None:
    workflow = in_class(
        """
        self.step = step
        await self.charge()
        shop = Shop(step)
        await shop.ship()
        """,
        """
            async def charge(self):
                await self.step.do("charge", f)

        class Shop:
            def __init__(self, step):
                self.steps = step

            async def ship(self):
                await self.steps.do("ship", f)
        """.replace("\n        ", "\n"),
    )

    assert outline(workflow) == dedent(
        """\
        call charge
        call ship
        def charge
          do charge
        def ship
          do ship"""
    )


@pytest.mark.parametrize(
    ("body", "rest", "expected"),
    [
        (
            "again(context, 3)",
            """
            def again(context, n):
                if n:
                    again(context, n - 1)
                context.run(f"step-{n}", f)
            """,
            """
            call again
            def again
              if
              - n
                  call again
              do step-{n}
            """,
        ),
        (
            "context.run('one', ping)",
            """
            def ping():
                return pong()

            def pong():
                return ping()
            """,
            "do one",
        ),
        (
            """
            ship(context)
            parcels.send(context)
            print(context)
            context.parallel(partial(ship, context))
            """,
            "import parcels\nfrom shipping import ship",
            """
            call ship
            call parcels.send
            all
              call shipping.ship
            """,
        ),
        (
            "context.parallel(partial(pack, item=1), partial(pack))",
            """
            def pack(c: "workflows_app.Context", s: WorkflowStep, item=0):
                c.run("pack", f)
                s.sleep("rest", 1)
            """,
            """
            all
              call pack
              call pack
            def pack
              do pack
              sleep rest
            """,
        ),
        (
            "context.invoke('other', workflow=other)\nother(context)",
            """
            @workflow("other")
            def other(context):
                context.run("of the other", f)
            """,
            """
            do other
            call other
            def other
              do of the other
            """,
        ),
        (
            """
            def one():
                context.run("one", f)
            def nested():
                def one():
                    context.run("another", f)
                one()
                def one():
                    context.run("yet another", f)
                one()
            one()
            nested()
            """,
            "",
            """
            call one
            call nested
            def one
              do one
            def nested
              call order.nested.one
              call order.nested.one-2
            def order.nested.one
              do another
            def order.nested.one-2
              do yet another
            """,
        ),
        (
            "context.run('one', f)\nif more:\n    order(context)",
            "",
            """
            do one
            if
            - more
                call order
            def order
              do one
              if
              - more
                  call order
            """,
        ),
        (
            """
            partial(pack, 3)()
            pack(3, context)
            """,
            """
            def pack(size, c=None, s=None):
                def put():
                    if size:
                        pack(size, c, c)
                    c.run("put", f)
                    s.run("sign", f)
                put()
            """,
            """
            call pack
            call pack
            def pack
              call put
            def put
              if
              - size
                  call pack
              do put
              do sign
            """,
        ),
        (
            """
            once = lambda name: context.run(name, f)
            twice = partial(lambda name: (once(name), once(name)))
            both = lambda: (once("a"), twice("b"))
            both()
            twice()
            (lambda: context.run("now", f))()
            """,
            "",
            """
            call both
            call twice
            do now
            def both
              call once
              call twice
            def once
              do {name}
            def twice
              call once
              call once
            """,
        ),
        (
            """
            context.unheard_of("a", lambda: context.run("b", f))
            given: list
            ours = mine = context
            ours.run("d", f)
            Nothing.of(*given, **given)
            mine.parallel(lambda: [nothing(), mine.run("e", f)])
            class Local:
                pass
            @cache.do(given)
            def nothing():
                pass
            mine.total += nothing()
            first, *rest = given, ours.run("g", f), len
            context.parallel()
            partial()
            Nothing(context).anything()
            Nothing.of(context)
            super().order(context)
            """,
            """
            class Nothing:
                @staticmethod
                def of(context):
                    context.run("c", f)
            """,
            """
            do b
            do d
            call of
            all
              do e
            do g
            call of
            def of
              do c
            """,
        ),
    ],
    ids=[
        *("recursive", "without steps", "elsewhere", "by annotation", "workflows", "same name"),
        *("itself", "context given later", "lambdas", "unknown"),
    ],
)
def test_what_is_called_is_found(body: str, rest: str, expected: str) -> None:
    assert outline(in_function(body, dedent(rest))) == dedent(expected).strip()


def test_a_callback_is_expected_to_be_called() -> None:
    workflow = in_function(
        "logged(context, lambda: context.run('inner', f))",
        dedent(
            """
            def logged(context, function):
                context.run("log", f)
                return function()
            """
        ),
    )

    assert outline(workflow) == dedent(
        """\
        do inner
        call logged
        def logged
          do log"""
    )
