"""What people of the floor see of goods: SKU, barcode number, title in their language, picture, whose it is."""

import uuid
from collections.abc import Iterable, Mapping

from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.catalogue.model import ProductText
from entrepot.catalogue.store import read_products, read_stock_items, read_texts
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.languages import Language


class Item(Struct, frozen=True):
    """A stock item as it is named on the floor."""

    stock_item_id: uuid.UUID
    sku: str
    gtin: str
    title: str
    category_code: str
    merchant_name: str
    weight_g: int

    def is_called(self, code: str) -> bool:
        """Tell whether a barcode or a typed code means this item."""
        return code.upper() in {self.sku.upper(), self.gtin}


Goods = Mapping[uuid.UUID, Item]


async def read_goods(conn: Conn, language: Language, pairs: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> Goods:
    """Return the stock items named by (merchant, item), by item."""
    wanted = sorted(set(pairs))
    items = await read_stock_items(conn, [merchant_id for merchant_id, _ in wanted], [item_id for _, item_id in wanted])
    products = await read_products(conn, sorted({one.product_id for one in items.values()}))
    texts = await read_texts(conn, sorted(products))
    merchants = await read_merchants(conn, sorted({merchant_id for merchant_id, _ in wanted}))
    found: dict[uuid.UUID, Item] = {}
    for item_id, one in items.items():
        product = products[one.product_id]
        title = _title(texts.get(one.product_id, {}), language, one.sku)
        owner = merchants[one.merchant_id].name
        found[item_id] = Item(item_id, one.sku, product.gtin or "", title, product.category_code, owner, product.weight_g)
    return found


def _title(texts: Mapping[str, ProductText], language: Language, otherwise: str) -> str:
    text = texts.get(language.subtag) or texts.get("en") or next(iter(texts.values()), None)
    return text.title if text is not None else otherwise
