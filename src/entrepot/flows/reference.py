"""What every flow needs to know and seldom changes: network, rules, rates, marketplaces, models; read once, handed to the flows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from entrepot.base.money import CURRENCY_DECIMALS, Rounding, convert_minor
from entrepot.base.sql import Conn
from entrepot.catalogue.model import Marketplace
from entrepot.catalogue.store import read_marketplaces
from entrepot.customs.rules import RuleBook as CustomsBook
from entrepot.customs.store import read_rule_book as read_customs_book
from entrepot.customs.territory import territory_of
from entrepot.operations.registry import Registry
from entrepot.settlement.exchange import CrossRate, RateBook
from entrepot.settlement.fees import FeeBook
from entrepot.settlement.rates_store import read_fee_book, read_rate_book
from entrepot.settlement.rates_store import read_rule_book as read_tax_book
from entrepot.settlement.tax import RuleBook as TaxBook
from entrepot.sourcing.model import Network
from entrepot.sourcing.store import read_network


@dataclass(frozen=True, slots=True)
class Reference:
    """Rules and reference data in memory; a process reads them again when an operator has changed them."""

    registry: Registry
    marketplaces: Mapping[str, Marketplace]
    network: Network
    customs: CustomsBook
    taxes: TaxBook
    fees: FeeBook
    rates: RateBook
    _tables: dict[tuple[str, date], Mapping[str, Decimal]] = field(default_factory=dict[tuple[str, date], Mapping[str, Decimal]], compare=False)

    def customs_rates(self, currency: str, on: date) -> Mapping[str, Decimal]:
        """Return units of every currency for one unit of `currency` on a day, worked out once."""
        key = (currency, on)
        known = self._tables.get(key)
        if known is None:
            crossed = ((other, self.rates.cross(currency, other, on)) for other in CURRENCY_DECIMALS)
            known = self._tables[key] = {other: rate.rate for other, rate in crossed if isinstance(rate, CrossRate)}
        return known

    def convert(self, minor: int, source: str, target: str, on: date) -> int:
        """Convert minor units at the day's published rate; an unknown rate is refused by name."""
        if source == target or minor == 0:
            return minor
        return convert_minor(minor, self.customs_rates(source, on)[target], source, target, Rounding.UP)


async def read_reference(conn: Conn, registry: Registry, on: date) -> Reference:
    """Read all reference data; `on` decides which customs territory a country belongs to."""
    marketplaces = await read_marketplaces(conn)
    network = await read_network(conn, {})
    countries = {place.country_code for place in network.places.values()} | {country for _, country in network.lanes}
    territories = {country: territory_of(country, on) for country in sorted(countries)}
    return Reference(
        registry,
        marketplaces,
        Network(network.places, network.lanes, territories),
        await read_customs_book(conn),
        await read_tax_book(conn),
        await read_fee_book(conn),
        await read_rate_book(conn),
    )
