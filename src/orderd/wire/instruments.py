"""An instrument, as a broker describes it, as an `oms.v1` message."""

from oms.v1 import order_service_pb2 as pb
from orderd.core.assets import Asset
from orderd.wire.messages import text_of


def instrument_message(asset: Asset) -> pb.Instrument:
    """Return the broker's words; what it does not say is left out."""
    message = pb.Instrument(
        symbol=asset.symbol,
        quantity_step=text_of(asset.quantity_step),
        minimum_quantity=text_of(asset.minimum_quantity),
        price_step=text_of(asset.price_step),
    )
    if asset.is_tradable is not None:
        message.tradable = asset.is_tradable
    if asset.is_shortable is not None:
        message.shortable = asset.is_shortable
    if asset.is_fractionable is not None:
        message.fractionable = asset.is_fractionable
    return message
