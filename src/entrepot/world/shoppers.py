"""Buyers: each day so many checkouts of every kind, at hours that follow from the seed, some with several lines, some across a border."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from entrepot.base.ids import SeededIds
from entrepot.base.time import at_ms
from entrepot.catalogue.model import OfferFacts
from entrepot.operations.model import Channel
from entrepot.operations.plan import Plan
from entrepot.orders.model import LineAsk, OrderRequest
from entrepot.world.draw import Stream
from entrepot.world.ground import Person, WorldGround

_METHODS = ("card_ok",) * 13 + ("card_slow", "card_slow", "card_declined", "card_timeout", "card_late", "invoice", "invoice")
_CHINA_METHODS = ("cn_wallet",) * 9 + ("card_slow",)
_ABROAD = {"GB": ("DE", "FR", "US"), "DE": ("FR", "GB"), "FR": ("DE", "GB"), "US": ("CA", "GB"), "JP": ("US",), "AU": ("JP", "US"), "CA": ("US",)}


@dataclass(slots=True)
class Shoppers:
    """All buyers of the world, shopping at a rate of checkouts a day and model."""

    ground: WorldGround
    seed: int
    daily: int
    _streams: dict[str, Stream] = field(default_factory=dict[str, Stream])
    _ids: dict[str, SeededIds] = field(default_factory=dict[str, SeededIds])

    def requests_at(self, now: datetime) -> list[OrderRequest]:
        """Return the checkouts of one stride of four hours, model by model."""
        found: list[OrderRequest] = []
        for model_code in sorted(self.ground.offers):
            stream = self._stream(model_code)
            count = sum(1 for _ in range(self.daily) if stream.below(6) == 0)
            found += [self._request(model_code, stream, now) for _ in range(count)]
        return found

    def _stream(self, model_code: str) -> Stream:
        """Return the stream of one model's buyers."""
        if model_code not in self._streams:
            self._streams[model_code] = Stream(self.seed, f"shoppers {model_code}")
            self._ids[model_code] = SeededIds(str(self.seed), f"shoppers {model_code}")
        return self._streams[model_code]

    def _request(self, model_code: str, stream: Stream, now: datetime) -> OrderRequest:
        """Return one checkout: an offer of the model, sometimes with more from the same store."""
        reference = self.ground.reference
        plan = reference.registry.plan(model_code)
        offers = self.ground.offers[model_code]
        offer = stream.choose(offers)
        store = reference.marketplaces[offer.marketplace_code]
        channel = Channel.EXTERNAL if plan.serves(Channel.EXTERNAL) and stream.happens(400) else Channel.STORE
        person = stream.choose(self.ground.persons[store.country_code])
        country = store.country_code
        if channel is Channel.STORE and not plan.uses_quota and stream.happens(80):
            country = stream.choose(_ABROAD[store.country_code])
        lines = [LineAsk(offer.merchant_id, offer.offer_id, 1 + stream.below(3) // 2)]
        if stream.happens(200) and not plan.uses_quota:
            other = self._another(stream, offer, channel)
            if other is not None:
                lines.append(LineAsk(other.merchant_id, other.offer_id, 1))
        checkout_id = self._ids[model_code].new(at_ms(now))
        methods = _CHINA_METHODS if plan.uses_quota else _METHODS
        is_external = channel is Channel.EXTERNAL
        return OrderRequest(
            person.person_id,
            checkout_id,
            f"world-{checkout_id}",
            offer.marketplace_code,
            str(channel),
            country,
            f"{stream.between(10, 99)}",
            "invoice" if is_external else stream.choose(methods),
            tuple(lines),
            now,
            identity_id=_identity(plan, person),
            has_accepted_risk=plan.needs_risk_notice,
            reference=f"SHOP-{stream.between(10000, 99999)}" if is_external else "",
            declared_unit_values=tuple(self._price(line) for line in lines) if is_external else (),
        )

    def _another(self, stream: Stream, offer: OfferFacts, channel: Channel) -> OfferFacts | None:
        """Return another offer of the same store that may be sold in the same channel, of any merchant and model."""
        registry = self.ground.reference.registry
        same = [
            one
            for code in sorted(self.ground.offers)
            if registry.plan(code).serves(channel)
            for one in self.ground.offers[code]
            if one.marketplace_code == offer.marketplace_code and one.stock_item_id != offer.stock_item_id
            and (channel is Channel.STORE or one.merchant_id == offer.merchant_id)
        ]  # fmt: skip
        return stream.choose(same) if same else None

    def _price(self, line: LineAsk) -> int:
        """Return the declared value of a unit sold elsewhere: what the store asks."""
        return next(one.price_minor for offers in self.ground.offers.values() for one in offers if one.offer_id == line.offer_id)


def _identity(plan: Plan, person: Person) -> uuid.UUID | None:
    """Return the identity that a plan needs."""
    return person.identity_id if plan.needs_identity else None
