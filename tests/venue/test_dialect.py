"""A venue that can do less than Alpaca: what it refuses, what it shows, what it tells; and a fault's own words."""

import pytest

from orderd.venue.dialect import DuplicateIds, Lookup
from tests.venue.wire import Ear, Wire, listening, order_body, wired

BY_CLIENT_ID = "/orders:by_client_order_id"


async def buy_again(wire: Wire) -> int:
    status, _ = await wire.send("POST", "/orders", order_body(client_order_id="mine"))
    return status


async def test_an_id_is_refused_for_ever_unless_told_otherwise(wire: Wire) -> None:
    order = await wire.buy(client_order_id="mine")
    await wire.settled(order["id"], "filled")
    assert await buy_again(wire) == 422


async def test_an_id_may_be_refused_while_its_order_is_open() -> None:
    async with wired(duplicate_ids=DuplicateIds.WHILE_OPEN) as wire:
        order = await wire.buy(client_order_id="mine", type="limit", limit_price="1")
        await wire.settled(order["id"], "new")
        assert await buy_again(wire) == 422
        await wire.control("POST", "orders/mine/end")
        assert await buy_again(wire) == 200


async def test_an_id_may_never_be_refused() -> None:
    async with wired(duplicate_ids=DuplicateIds.NEVER) as wire:
        await wire.buy(client_order_id="mine", type="limit", limit_price="1")
        assert await buy_again(wire) == 200
        assert len(await wire.control("GET", "orders", query={"client_order_id": "mine"})) == 2


@pytest.mark.parametrize("lookup", Lookup)
async def test_an_order_is_found_by_its_client_id_as_far_as_that_goes(lookup: Lookup) -> None:
    async with wired(lookup=lookup) as wire:
        order = await wire.buy(client_order_id="mine", type="limit", limit_price="1")
        assert order["client_order_id"] == "mine"
        status, _ = await wire.send("GET", BY_CLIENT_ID, query={"client_order_id": "mine"})
        listed = [row["client_order_id"] for row in await wire.json("GET", "/orders")]
        read = (await wire.json("GET", f"/orders/{order['id']}"))["client_order_id"]
        shown = "" if lookup is Lookup.NO else "mine"
        assert (status, listed, read) == (200 if lookup is Lookup.YES else 404, [shown], shown)


async def test_the_ids_of_legs_are_hidden_with_those_of_their_parent() -> None:
    async with wired(lookup=Lookup.NO) as wire:
        exits = {"take_profit": {"limit_price": "200"}, "stop_loss": {"stop_price": "1"}}
        await wire.buy(order_class="bracket", type="limit", limit_price="2", **exits)
        (parent,) = await wire.json("GET", "/orders", nested="true")
        assert [leg["client_order_id"] for leg in parent["legs"]] == ["", ""]


async def test_executions_may_have_no_ids_and_no_list() -> None:
    async with wired(has_execution_ids=False) as wire, listening(wire) as ear:
        order = await wire.buy(type="limit", limit_price="1", qty="4")
        await wire.settled(order["id"], "new")
        await wire.control("POST", f"orders/{order['id']}/fill", {"quantity": "1", "price": "1"})
        (execution,) = await wire.control("GET", "executions")
        await wire.control("POST", f"executions/{execution['execution_id']}/bust")
        told = [await next_update(ear) for _ in range(4)]
        assert [each["event"] for each in told] == ["pending_new", "new", "partial_fill", "restated"]
        assert told[2]["order"]["filled_qty"] == "1"
        assert not any({"execution_id", "price", "qty", "previous_execution_id"} & each.keys() for each in told)
        assert await wire.json("GET", "/account/activities/FILL") == []


async def next_update(ear: Ear) -> dict[str, object]:
    message = await ear.hear()
    data: dict[str, object] = message["data"]
    return data


async def test_it_can_be_told_on_the_way_and_refuses_what_it_does_not_know(wire: Wire) -> None:
    said = await wire.control(
        "POST", "settings", {"duplicate_ids": "never", "lookup": "no", "has_execution_ids": False}
    )
    assert (said["settings"]["duplicate_ids"], said["options"]["lookup"]) == ("never", "no")
    for nonsense in ({"duplicate_ids": "sometimes"}, {"lookup": "perhaps"}, {"has_execution_ids": "some"}):
        await wire.control("POST", "settings", nonsense, status=422)


async def test_an_answer_in_the_tests_own_words(wire: Wire) -> None:
    await wire.arm("answer_status", status=200, body="text", text='{"id":"')
    assert await wire.send("GET", "/clock") == (200, '{"id":"')


async def test_a_frame_that_lies(wire: Wire, ear: Ear) -> None:
    await wire.arm("lying_frame", event="new", fields={"qty": "7", "symbol": "F"})
    order = await wire.buy(type="limit", limit_price="1", qty="4")
    told = [await next_update(ear) for _ in range(2)]
    assert [(each["order"]["qty"], each["order"]["symbol"]) for each in told] == [("4", "KO"), ("7", "F")]  # type: ignore[index]
    assert (await wire.json("GET", f"/orders/{order['id']}"))["qty"] == "4"
