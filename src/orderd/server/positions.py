"""PositionService: what is held, as the broker says and as the fills say.

The part by fills is read from the journal, as of the answer's sequence. The broker's figures are its own, with the time
it was asked at; when it cannot be asked, they are as old as that time says, or absent.
"""

import asyncio
from collections.abc import Iterable, Mapping

from oms.v1 import position_service_pb2 as pb
from orderd.core.instruments import multiplier_of_symbol
from orderd.core.records import RecordKind
from orderd.core.values import ZERO
from orderd.desk.explaining import Seen
from orderd.desk.position_desk import PositionDesk
from orderd.engine.api import Engine
from orderd.engine.errors import EngineError, Kind
from orderd.ports import BrokerPosition, RecordFilter
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid
from orderd.server.pages import MAX_PAGE_BYTES, Place
from orderd.wire import enums, page_token
from orderd.wire.asks import Invalid
from orderd.wire.messages import text_of
from orderd.wire.positions import asset_class_of, describe
from orderd.wire.times import set_time
from orderd.wire.validate_positions import PositionsAsk, position_ask, positions_ask

ROOM: float = 0.8
"""Of a page, for what the journal says: the broker's figures come on top."""


class PositionCalls:
    """ListPositions, GetPosition."""

    def __init__(self, engine: Engine, desk: PositionDesk) -> None:
        """Lists are read from the journal, the broker's figures from the desk."""
        self._engine = engine
        self._desk = desk
        self._journal = engine.journal

    async def ListPositions(self, request: pb.ListPositionsRequest, call: Call) -> bytes:
        """One page of positions, newest first; what the broker holds beside them stands on the last one."""
        ask = positions_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.account_ids)
        place = Place(request, self._journal.journal_id)
        head = await self._desk.book.catch_up()
        answer = pb.ListPositionsResponse(sequence=place.sequence(head))
        messages, key = await self._page(ask, place.after_key)
        account_ids = ask.account_ids or tuple(self._engine.account_ids())
        seen = await self._seen(account_ids)
        for message in messages:
            self._complete(message, seen.get(message.account_id))
        if key is None and not ask.strategies:
            messages += [message for account_id in account_ids for message in self._beside(account_id, ask, seen)]
        answer.positions.extend(messages)
        if key is not None:
            answer.next_page_token = place.token_after(key, answer.sequence)
        return answer.SerializeToString()

    async def GetPosition(self, request: pb.GetPositionRequest, call: Call) -> bytes:
        """The open position of a symbol, else the last one that was closed, else what only the broker knows of."""
        ask = position_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        sequence = await self._desk.book.catch_up()
        known = await self._desk.book.last(account_id, ask.symbol)
        data = None if known is None else self._journal.record_data(known.position_id)
        seen = (await self._seen((account_id,))).get(account_id)
        if data is not None:
            message = pb.Position.FromString(data)
        elif seen is not None and seen.held(ask.symbol):
            message = _unknown(account_id, ask.symbol)
        else:
            text = "nothing of this symbol is or was held on record"
            raise EngineError(
                Kind.NOT_FOUND, "POSITION_NOT_FOUND", text, subject=("orderd.Position", f"{account_id}/{ask.symbol}")
            )
        self._complete(message, seen, is_asked_for=True)
        return pb.GetPositionResponse(position=message, sequence=sequence).SerializeToString()

    async def _page(
        self, ask: PositionsAsk, key: page_token.Key | None
    ) -> tuple[list[pb.Position], page_token.Key | None]:
        """The positions of a page, and the key of its last row; None when there are no more."""
        where = RecordFilter(
            kind=RecordKind.POSITION,
            account_ids=ask.account_ids,
            open_only=not ask.has_closed,
            symbols=ask.symbols,
            underlyings=ask.underlyings,
            expires_on_or_after=ask.expires_on_or_after,
            expires_on_or_before=ask.expires_on_or_before,
        )
        found: list[pb.Position] = []
        size = 0
        while True:
            page = await self._journal.list_records(where, after_key=key, limit=ask.page_size)
            for row in page.rows:
                message = pb.Position.FromString(row.data)
                if ask.strategies and not any(share.strategy in ask.strategies for share in message.strategies):
                    key = row.key
                    continue
                size += len(row.data)
                if found and (len(found) == ask.page_size or size > MAX_PAGE_BYTES * ROOM):
                    return found, key
                found.append(message)
                key = row.key
            if not page.has_more:
                return found, None

    async def _seen(self, account_ids: Iterable[str]) -> Mapping[str, Seen]:
        """What each broker says; one that never said anything is left out."""
        names = list(account_ids)
        found = await asyncio.gather(*(self._desk.seen(account_id) for account_id in names))
        return {account_id: seen for account_id, seen in zip(names, found, strict=True) if seen is not None}

    def _beside(self, account_id: str, ask: PositionsAsk, seen: Mapping[str, Seen]) -> Iterable[pb.Position]:
        """What the broker holds and no open position on record is about."""
        of_account = seen.get(account_id)
        for symbol in of_account.positions if of_account is not None else ():
            if self._desk.book.get(account_id, symbol) is None:
                message = _unknown(account_id, symbol)
                if ask.is_about(symbol, message.underlying, message.option.expiry_date):
                    self._complete(message, of_account)
                    yield message

    def _complete(self, message: pb.Position, seen: Seen | None, *, is_asked_for: bool = False) -> None:
        """Add what the broker says now, and the difference that is open; not to what is history in a list."""
        if message.HasField("closed_time") and not is_asked_for:
            return
        record = self._desk.discrepancy(message.account_id, message.symbol)
        if record is not None:
            message.discrepancy_id = record.discrepancy_id
        if seen is not None:
            _add_broker(message, seen, seen.positions.get(message.symbol))


def _unknown(account_id: str, symbol: str) -> pb.Position:
    """A position that only the broker knows of: it has no id and no version."""
    message = pb.Position(
        account_id=account_id,
        symbol=symbol,
        asset_class=enums.ASSET_CLASS.number[asset_class_of(symbol)],
        multiplier=text_of(multiplier_of_symbol(symbol)),
        fill_quantity="0",
    )
    describe(message)
    return message


def _add_broker(message: pb.Position, seen: Seen, held: BrokerPosition | None) -> None:
    message.broker_quantity = text_of(ZERO if held is None else held.quantity)
    set_time(message.broker_time, seen.at)
    if held is not None:
        message.broker_average_entry_price = text_of(held.average_entry_price)
        message.cost_basis = text_of(held.cost_basis)
        message.market_value = text_of(held.market_value)
        message.current_price = text_of(held.current_price)
        message.unrealized_pnl = text_of(held.unrealized_pl)
        message.unrealized_intraday_pnl = text_of(held.unrealized_intraday_pl)
        message.available_quantity = text_of(held.quantity_available)
