"""Routes under /v2/assets, /v2/options, /v2/clock and /v2/calendar."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from orderd.venue.alpaca import parse_request, render
from orderd.venue.alpaca.call import Answer, Call
from orderd.venue.alpaca.refusals import NOT_FOUND, Problem
from orderd.venue.assets import Asset, Contract, contract_of, option_symbol
from orderd.venue.money import exact
from orderd.venue.orders import AssetClass
from orderd.venue.sessions import NEW_YORK

DEFAULT_CONTRACTS, MOST_CONTRACTS = 100, 10_000
OFFERED_WEEKS: Final = 4
OFFERED_STRIKES: Final = range(-5, 6)
STRIKE_STEP: Final = 5
FRIDAY: Final = 4
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2029, 12, 31)


@exact
def assets(call: Call) -> Answer:
    """GET /assets: shares unless another class is asked for, of any status unless one is."""
    wanted = call.query.get("asset_class") or AssetClass.EQUITY.value
    status, exchange = call.query.get("status", ""), call.query.get("exchange", "")
    rows = [
        render.asset_json(asset)
        for asset in call.venue.state.assets.all()
        if asset.asset_class == wanted
        and (not exchange or asset.exchange == exchange)
        and status in {"", render.asset_status(asset)}
    ]
    return 200, rows


@exact
def asset(call: Call) -> Answer:
    """GET /assets/{symbol or id}; a pair's slash may be encoded or not."""
    name = "/".join(call.parts)
    found = call.venue.state.assets.find(name)
    if found is None or found.asset_class is AssetClass.OPTION:
        raise Problem(NOT_FOUND[0], f"asset not found for {name}", NOT_FOUND[1])
    return 200, render.asset_json(found)


@exact
def clock(call: Call) -> Answer:
    """GET /clock."""
    return 200, render.clock_json(call.venue.state.sessions, call.venue.now)


@exact
def calendar(call: Call) -> Answer:
    """GET /calendar: 1970 to 2029, or what start and end leave of it."""
    first = max(parse_request.day(call.query, "start") or FIRST_DAY, FIRST_DAY)
    last = min(parse_request.day(call.query, "end") or LAST_DAY, LAST_DAY)
    sessions = call.venue.state.sessions
    return 200, [render.day_json(sessions, each) for each in sessions.days(first, last)]


# --- options ------------------------------------------------------------------------------------------


@exact
def contracts(call: Call) -> Answer:
    """GET /options/contracts: a small made-up chain on every share asked for, four Fridays, eleven strikes."""
    names = parse_request.names(call.query, "underlying_symbols") or frozenset({"AAPL"})
    rows = [
        shown
        for name in sorted(names)
        for contract in _chain(call, name)
        if _is_wanted(call, contract) and (shown := _shown(call, contract)) is not None
    ]
    limit = parse_request.whole(call.query, "limit", DEFAULT_CONTRACTS, MOST_CONTRACTS)
    start = parse_request.whole(call.query, "page_token", 0, len(rows) + 1)
    more = start + limit < len(rows)
    return 200, {
        "option_contracts": rows[start : start + limit],
        "next_page_token": str(start + limit) if more else None,
    }


@exact
def contract(call: Call) -> Answer:
    """GET /options/contracts/{symbol or id}."""
    name = call.parts[0]
    found = call.venue.state.assets.find(name)
    read = contract_of(found.symbol) if found else None
    shown = _shown(call, read) if read else None
    if shown is None:
        raise Problem(NOT_FOUND[0], f"option contract not found for {name}", NOT_FOUND[1])
    return 200, shown


def _chain(call: Call, underlying: str) -> list[Contract]:
    share = call.venue.state.assets.find(underlying)
    if share is None or share.asset_class is not AssetClass.EQUITY:
        return []
    today = call.venue.now.astimezone(NEW_YORK).date()
    friday = today + timedelta(days=(FRIDAY - today.weekday()) % 7 or 7)
    middle = int(share.price / STRIKE_STEP) * STRIKE_STEP
    return [
        Contract(
            underlying=share.symbol,
            expiration=friday + timedelta(weeks=week),
            is_call=is_call,
            strike=Decimal(middle + STRIKE_STEP * step),
        )
        for week in range(OFFERED_WEEKS)
        for is_call in (True, False)
        for step in OFFERED_STRIKES
        if middle + STRIKE_STEP * step > 0
    ]


def _is_wanted(call: Call, contract: Contract) -> bool:
    query = call.query
    exact_day = parse_request.day(query, "expiration_date")
    first = parse_request.day(query, "expiration_date_gte") or FIRST_DAY
    last = parse_request.day(query, "expiration_date_lte") or LAST_DAY
    low, high = parse_request.number(query, "strike_price_gte"), parse_request.number(query, "strike_price_lte")
    kind = query.get("type", "")
    return (
        (exact_day is None or contract.expiration == exact_day)
        and first <= contract.expiration <= last
        and (low is None or contract.strike >= low)
        and (high is None or contract.strike <= high)
        and (not kind or (kind == "call") is contract.is_call)
    )


def _shown(call: Call, contract: Contract) -> render.Json | None:
    state = call.venue.state
    option: Asset | None = state.assets.find(option_symbol(contract))
    share = state.assets.find(contract.underlying)
    if option is None or share is None:
        return None
    return render.contract_json(option, contract, share, state.quotes.open(option))
