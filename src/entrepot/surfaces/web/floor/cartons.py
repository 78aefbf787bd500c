"""A carton as it stands on the table: three faces in parallel projection, in proportion."""

from msgspec import Struct

from entrepot.warehouse.cartons import Carton

_WIDTH = 220
_HEIGHT = 170


class Drawing(Struct, frozen=True):
    """The corners of the three faces that one sees, as SVG writes them, and the sides in millimetres."""

    front: str
    side: str
    top: str
    sides_mm: tuple[int, int, int]


def draw_carton(carton: Carton) -> Drawing:
    """Draw a carton: length runs to the right, width into the depth, height upwards."""
    length, width, height = carton.length_mm, carton.width_mm, carton.height_mm
    # Depth is drawn at half its length under 45 degrees, so both its steps are about a third of it.
    depth = width * 35 // 100
    scale = max((length + depth) * 1000 // _WIDTH, (height + depth) * 1000 // _HEIGHT, 1)
    across, up, back = (side * 1000 // scale for side in (length, height, depth))
    left, bottom = (_WIDTH - across - back) // 2 + 4, (_HEIGHT + up + back) // 2 + 4
    front = ((left, bottom), (left + across, bottom), (left + across, bottom - up), (left, bottom - up))
    side = (front[1], (front[1][0] + back, bottom - back), (front[2][0] + back, front[2][1] - back), front[2])
    top = (front[3], front[2], side[2], (left + back, front[3][1] - back))
    return Drawing(_corners(front), _corners(side), _corners(top), (length, width, height))


def _corners(corners: tuple[tuple[int, int], ...]) -> str:
    return " ".join(f"{across},{down}" for across, down in corners)
