"""The same day with Alpaca's older Python client, unmodified: prints what each step saw, a JSON object a line."""

import json
import os
import threading
import time
from collections.abc import Callable

from alpaca_trade_api.common import URL
from alpaca_trade_api.rest import REST, APIError
from alpaca_trade_api.stream import Stream

BASE = URL(os.environ["APCA_API_BASE_URL"])
api = REST()
updates: list[object] = []


def tell(step: str, **seen: object) -> None:
    print(json.dumps({"step": step, **seen}), flush=True)


def refused(call: Callable[[], object]) -> dict[str, object]:
    try:
        call()
    except APIError as error:
        code = error._error.get("code")
        return {"status": error.status_code, "code": code, "message": str(error)}
    return {"status": 200}


def heard(order: object, event: str) -> None:
    began = time.monotonic()
    while not any(update.order["id"] == order.id and update.event == event for update in updates):
        if time.monotonic() - began > 30:
            raise TimeoutError(f"{event}; so far: {updates}")
        time.sleep(0.01)


async def on_update(update: object) -> None:
    updates.append(update)


def listen() -> Stream:
    stream = Stream(base_url=BASE)
    stream.subscribe_trade_updates(on_update)
    threading.Thread(target=stream.run, daemon=True).start()
    began = time.monotonic()
    while not stream._trading_ws._running:
        if time.monotonic() - began > 30:
            raise TimeoutError("the stream does not start")
        time.sleep(0.01)
    time.sleep(0.2)  # it does not wait for the word that it listens
    return stream


def look() -> None:
    account = api.get_account()
    tell("account", status=account.status, cash=account.cash, multiplier=account.multiplier)
    tell("configurations", no_shorting=api.get_account_configurations().no_shorting)
    tell("clock", is_open=api.get_clock().is_open)
    days = api.get_calendar("2026-11-23", "2026-11-29")
    tell("calendar", days=[[str(d.date)[:10], d.open.strftime("%H:%M"), d.close.strftime("%H:%M")] for d in days])
    tell("assets", has_ko=any(asset.symbol == "KO" for asset in api.list_assets(status="active")))
    asset = api.get_asset("KO")
    tell("asset", symbol=asset.symbol, tradable=asset.tradable, fractionable=asset.fractionable)
    tell("no such asset", **refused(lambda: api.get_asset("NOPE")))


def trade() -> None:
    bought = api.submit_order("KO", qty=3, side="buy", type="market", time_in_force="day", client_order_id="market")
    tell("market", status=bought.status, qty=bought.qty, client_order_id=bought.client_order_id)
    heard(bought, "fill")
    filled = api.get_order_by_client_order_id("market")
    tell(
        "by client id",
        same=filled.id == bought.id,
        status=filled.status,
        filled_qty=filled.filled_qty,
        price=filled.filled_avg_price,
    )
    tell("duplicate", **refused(lambda: api.submit_order("KO", qty=3, side="buy", client_order_id="market")))
    tell("cancel of a filled one", **refused(lambda: api.cancel_order(bought.id)))
    part = api.submit_order("KO", notional=50, side="buy", client_order_id="notional")
    heard(part, "fill")
    rest = api.get_order(part.id)
    tell("notional", qty=rest.qty, notional=rest.notional, filled_qty=rest.filled_qty)


def change() -> None:
    limit = api.submit_order("KO", qty=2, side="buy", type="limit", limit_price=80.5, client_order_id="limit")
    heard(limit, "new")
    tell("open", client_order_ids=[o.client_order_id for o in api.list_orders(status="open", nested=True)])
    heir = api.replace_order(limit.id, qty="4", limit_price="81", client_order_id="heir")
    tell(
        "replace",
        is_other=heir.id != limit.id,
        replaces=heir.replaces == limit.id,
        qty=heir.qty,
        limit_price=heir.limit_price,
    )
    heard(limit, "replaced")
    heard(heir, "new")
    api.cancel_order(heir.id)
    heard(heir, "canceled")
    tell("cancel", status=api.get_order(heir.id).status, elder=api.get_order(limit.id).status)
    bracket = api.submit_order(
        "KO",
        qty=1,
        side="buy",
        type="limit",
        limit_price=80,
        order_class="bracket",
        take_profit={"limit_price": 90},
        stop_loss={"stop_price": 70},
    )
    tell("bracket", legs=[[leg.type, leg.side, leg.status] for leg in bracket.legs])
    heard(bracket, "new")
    api.cancel_all_orders()
    tell("cancel all", statuses=[200])  # it does not give the entries back
    heard(bracket, "canceled")
    tell("none open", count=len(api.list_orders(status="open")))


def leave() -> None:
    position = api.get_position("KO")
    tell("position", qty=position.qty, side=position.side)
    tell("positions", symbols=[one.symbol for one in api.list_positions()])
    tell("no such position", **refused(lambda: api.get_position("F")))
    sold = api.close_position("KO")
    heard(sold, "fill")
    tell("flat", count=len(api.list_positions()))
    rows = api.get_activities(activity_types="FILL", direction="asc")
    tell("activities", rows=[[row.activity_type, row.side, row.qty] for row in rows])
    first = api.get_activities(activity_types="FILL", direction="asc", page_size=2)
    token = first[1].id
    following = api.get_activities(activity_types="FILL", direction="asc", page_size=2, page_token=token)
    same = [row.id for row in [*first, *following]] == [row.id for row in rows]
    tell("pages of activities", sizes=[len(first), len(following)], same=same)
    tell("stream", events=[u.event for u in updates if u.order["client_order_id"] == "market"])
    tell("wrong key", **refused(REST("nobody", "nothing", BASE).get_account))


if __name__ == "__main__":
    listen()
    look()
    trade()
    change()
    leave()
    os._exit(0)  # its stream has no end that returns
