"""How the steps of a workflow follow each other, as its source says."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.sdk.graph.outlines import in_class, in_function, outline
from tests.sdk.graph.published import check_graph

OF_CLASSES = {
    "steps in turn": (
        """
        await step.do("charge", charge)
        await step.sleep("grace", "1 hour")
        await step.sleep_until("monday", "2030-01-07T09:00:00Z")
        await step.wait_for_event("approval", "approved")
        """,
        """
        do charge
        sleep grace
        sleep until monday
        wait approval
        """,
    ),
    "decorated functions are steps where they are called": (
        """
        @step.do("charge")
        async def charge(ctx):
            return 1

        @step.do()
        async def ship():
            return 2

        await step.sleep("grace", "1 hour")
        await ship()
        await charge()
        """,
        """
        sleep grace
        do ship
        do charge
        """,
    ),
    "a decorator may be applied as a function": (
        """
        charge = step.do("charge")(pay)
        await charge()
        again = step.do("again", config={})
        await again(pay)(5)
        again()

        async def ship():
            return 1

        await step.do(ship)()
        """,
        """
        do charge
        do again
        do ship
        """,
    ),
    "a step needs those that its parameters are named like": (
        """
        @step.do
        async def order(): ...
        @step.do
        async def stock(): ...
        @step.do("paid")
        async def pay(order): ...
        @step.do("ship", concurrent=True)
        async def ship(order, stock, paid, ctx, today=None): ...
        await ship(today=5)
        await order()
        await ship(1, 2, 3)
        """,
        """
        all
          do order
          do stock
        do paid
        do ship
        do order
        do ship
        """,
    ),
    "a step may list the steps that it needs": (
        """
        @step.do
        async def order(): ...
        @step.do(None, None, {}, depends=[order])
        async def ship(given): ...
        await ship()

        @step.do
        async def round(trip): ...
        @step.do
        async def trip(round): ...
        await trip()
        """,
        """
        do order
        do ship
        do round
        do trip
        """,
    ),
    "names that are computed are shown as they are written": (
        """
        for size in sizes:
            await step.do(f"resize-{size}", resize)
            await step.do(name_of(size), resize)
        """,
        """
        loop
          do resize-{size}
          do {name_of(size)}
        """,
    ),
    "loops": (
        """
        for each in each_of_them:
            await step.do("for", f)
        async for each in each_of_them:
            await step.do("async for", f)
        while await step.do("while", f):
            if done:
                break
            await step.do("again", f)
        results = [await step.do("in a list", f) for each in each_of_them if each]
        """,
        """
        loop
          do for
        loop
          do async for
        loop
          do while
          if
          - done
              break
          do again
        loop
          if
          - each
              do in a list
        """,
    ),
    "what does no step is left out": (
        """
        total = 0
        for each in event["payload"]["items"]:
            total += sum(each)
            if total > 10:
                break
        if total:
            total = abs(total)
        try:
            total = int(total)
        except ValueError:
            total = 0
        await step.do("charge", charge)
        return total
        """,
        "do charge",
    ),
    "branches": (
        """
        if amount > 100:
            await step.do("review", f)
        elif amount > 10:
            return "small"
        else:
            await step.do("skip", f)
        """,
        """
        if
        - amount > 100
            do review
        - amount > 10
            return
        - otherwise
            do skip
        """,
    ),
    "a step that a later branch depends on belongs to that branch": (
        """
        if await step.do("first?", f):
            await step.do("one", f)
        elif await step.do("second?", f):
            await step.do("two", f)
        """,
        """
        do first?
        if
        - await step.do('first?', f)
            do one
        - otherwise
            do second?
            if
            - await step.do('second?', f)
                do two
        """,
    ),
    "a conditional expression": (
        """
        paid = (await step.do("card", f)) if card else await step.do("bill", f)
        """,
        """
        if
        - card
            do card
        - otherwise
            do bill
        """,
    ),
    "match": (
        """
        match event["payload"]["kind"]:
            case "new" | "again":
                await step.do("sign up", f)
            case [first, *_] if first:
                await step.do("many", f)
            case _:
                return None
        """,
        """
        switch event['payload']['kind']
        - 'new' | 'again'
            do sign up
        - [first, *_] if first
            do many
        - otherwise
            return
        """,
    ),
    "what is tried, caught and done in the end": (
        """
        try:
            await step.do("charge", f)
        except ValueError:
            await step.do("refuse", f)
        else:
            await step.do("thank", f)
        finally:
            await step.do("log", f)
        """,
        """
        try
        - tried
            do charge
            do thank
        - caught
            do refuse
        - finally
            do log
        """,
    ),
    "several kinds of errors that are caught": (
        """
        try:
            await step.do("charge", f)
        except (ValueError, KeyError):
            await step.do("refuse", f)
        except Exception:
            pass
        """,
        """
        try
        - tried
            do charge
        - caught
            if
            - (ValueError, KeyError)
                do refuse
            - Exception
        """,
    ),
    "with": (
        """
        async with asyncio.timeout(10), lock:
            await step.do("charge", f)
        """,
        "do charge",
    ),
    "gather": (
        """
        await asyncio.gather(step.do("a", f), step.sleep("nap", "1 hour"))
        await asyncio.gather(*(step.do(f"b-{i}", f) for i in range(3)), return_exceptions=True)
        """,
        """
        all
          do a
          sleep nap
        all_settled
          loop
            do b-{i}
        """,
    ),
    "coroutines in a list are started where they are gathered": (
        """
        steps = [step.do(f"a-{i}", f) for i in range(3)]
        more = [step.do("b", f), step.do("c", f)]
        await step.do("before", f)
        await asyncio.gather(*steps, *more)
        """,
        """
        do before
        all
          loop
            do a-{i}
          do b
          do c
        """,
    ),
    "the first of several": (
        """
        await asyncio.wait([step.do("a", f), step.do("b", f)], return_when="FIRST_COMPLETED")
        tasks = {step.do("c", f), step.do("d", f)}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        await asyncio.wait({step.do("e", f)})
        """,
        """
        race
          do a
          do b
        all
          do c
          do d
        all_settled
          do e
        """,
    ),
    "a task group": (
        """
        async with asyncio.TaskGroup() as group:
            first = group.create_task(step.do("a", f))
            for each in others:
                group.create_task(step.do("b", f))
        """,
        """
        all
          do a
          loop
            do b
        """,
    ),
    "a task begins here and is awaited there": (
        """
        slow = asyncio.create_task(step.do("slow", f))
        later = step.do("later", f)
        await step.do("meanwhile", f)
        await asyncio.wait_for(slow, 10)
        await later
        """,
        """
        do slow (starts 1) (resolves 3)
        do later (starts 2) (resolves 4)
        do meanwhile
        """,
    ),
    "tasks that are collected": (
        """
        tasks, named = [], {}
        for each in names:
            tasks.append(asyncio.create_task(step.do("a", f)))
            named[each] = step.do("b", f)
        await asyncio.gather(*tasks)
        for task in named.values():
            await task
        """,
        """
        loop
          do a (starts 1) (resolves 3)
          do b (starts 2) (resolves 4)
        """,
    ),
    "coroutines that are collected begin where they are gathered": (
        """
        steps = [step.do("a", f)]
        for each in names:
            steps.append(step.do("b", f))
        steps += [step.do("c", f)]
        if extra:
            steps.append(step.do("d", f))
        try:
            await asyncio.gather(*steps)
        finally:
            await step.do("e", f)
        """,
        """
        if
        - extra
            do d (starts 4) (resolves 5)
        try
        - tried
            all
              do a
              loop
                do b
              do c
        - finally
            do e
        """,
    ),
    "coroutines may be passed on before they are awaited": (
        """
        await limited(step.do("a", f))
        await pool.submit(step.do("b", f))
        first, second = step.do("c", f), step.do("d", f)
        later = asyncio.shield(second).result
        await (first if eager else later)
        third: Any = step.do("e", f)
        for done in asyncio.as_completed([third]):
            await done
        loop.create_task(step.do("f", f))
        """,
        """
        do a (starts 1) (resolves 2)
        do b (starts 3) (resolves 4)
        do c (starts 5) (resolves 7)
        do d (starts 6) (resolves 7)
        do e (starts 8) (resolves 9)
        do f (starts 10)
        """,
    ),
    "a step that nobody awaits": (
        """
        step.do("forgotten", f)
        """,
        "do forgotten (starts 1)",
    ),
}

OF_FUNCTIONS = {
    "steps in turn": (
        """
        context.run("a", f)
        context.options(retries=5).atomic("b", f)
        context.call("c", url=url)
        context.api.openai.call("d", token=token)
        context.invoke("e", workflow=other)
        context.notify("f", "event")
        hook = context.create_webhook("g")
        context.wait_for_webhook("h", hook)
        context.wait_for_event("i", "event")
        context.sleep("j", "1h")
        context.sleep_until("k", "2030-01-01")
        if context.patched("new"):
            context.roll_back("enough")
        """,
        """
        do a
        do b
        do c
        do d
        do e
        do f
        do g
        wait h
        wait i
        sleep j
        sleep until k
        if
        - context.patched('new')
            return
        """,
    ),
    "branches side by side": (
        """
        def ship():
            context.run("ship", f)

        def mail(text):
            return lambda: context.run("mail", f, text)

        context.parallel(
            ship,
            mail("a"),
            lambda: [context.run("x", f), context.run("y", f)],
            partial(context.run, "z", f),
        )
        context.race(lambda: context.sleep("nap", "1m"), ship)
        """,
        """
        all
          call ship
          call mail
          block
            do x
            do y
          do z
        race
          sleep nap
          call ship
        def ship
          do ship
        def mail
          do mail
        """,
    ),
    "branches that have names": (
        """
        def one(size):
            context.run(f"resize-{size}", f)

        branches = [partial(one, size) for size in sizes]
        nap = lambda: context.sleep("nap", "1m")
        context.parallel(*branches, *map(one, sizes), nap)
        nap()
        """,
        """
        all
          loop
            call one
          loop
            call one
          call nap
        call nap
        def one
          do resize-{size}
        def nap
          sleep nap
        """,
    ),
    "branches that are collected": (
        """
        def one(item):
            context.run(f"pack-{item}", pack)

        branches, named = [], {}
        for item in items:
            branches.append(partial(one, item))
        named["nap"] = lambda: context.sleep("nap", "1m")
        context.parallel(*branches, *named.values())
        for branch in [lambda: context.run("last", f)]:
            branch()
        """,
        """
        all
          loop
            call one
          sleep nap
        loop
          do last
        def one
          do pack-{item}
        """,
    ),
    "each item of many": (
        """
        def one(item):
            return context.run(f"pack-{item}", pack)

        context.map(one, context.run("items", items), concurrency=2)
        """,
        """
        do items
        all
          loop
            call one
        def one
          do pack-{item}
        """,
    ),
}


@pytest.mark.parametrize(("body", "expected"), OF_CLASSES.values(), ids=OF_CLASSES)
def test_a_class_has_the_steps_of_its_source(body: str, expected: str) -> None:
    workflow = in_class(body)

    assert outline(workflow) == dedent(expected).strip()
    check_graph({"version": 1, "workflow": workflow})


@pytest.mark.parametrize(("body", "expected"), OF_FUNCTIONS.values(), ids=OF_FUNCTIONS)
def test_a_function_has_the_steps_of_its_source(body: str, expected: str) -> None:
    workflow = in_function(body)

    assert outline(workflow) == dedent(expected).strip()
    check_graph({"version": 1, "workflow": workflow})
