"""All pages of the floor."""

from litestar.handlers import HTTPRouteHandler

from entrepot.surfaces.web.floor.board import show_board
from entrepot.surfaces.web.floor.hand_over import choose_lane, scan_hand_over, show_lane, show_lanes, show_manifest
from entrepot.surfaces.web.floor.pack import choose_order, scan_pack, show_packing, show_table
from entrepot.surfaces.web.floor.papers import print_customs_form, print_label, send_label, show_papers
from entrepot.surfaces.web.floor.pick import begin_pick, scan_pick, show_picks, show_walk
from entrepot.surfaces.web.floor.problem import show_desk, work_desk
from entrepot.surfaces.web.floor.receive import scan_delivery, scan_into_delivery, show_deliveries, show_delivery
from entrepot.surfaces.web.floor.returns import scan_return, show_return, show_returns, work_return
from entrepot.surfaces.web.floor.sign_on import do_sign_off, do_sign_on, show_sign_on, show_tasks
from entrepot.surfaces.web.floor.stow import scan_stow, show_stow


def floor_routes() -> list[HTTPRouteHandler]:
    """Return every page of the floor."""
    return [
        show_tasks,
        show_sign_on,
        do_sign_on,
        do_sign_off,
        show_deliveries,
        scan_delivery,
        show_delivery,
        scan_into_delivery,
        show_stow,
        scan_stow,
        show_picks,
        begin_pick,
        show_walk,
        scan_pick,
        show_table,
        choose_order,
        show_packing,
        scan_pack,
        show_papers,
        print_label,
        send_label,
        print_customs_form,
        show_lanes,
        choose_lane,
        show_lane,
        scan_hand_over,
        show_manifest,
        show_returns,
        scan_return,
        show_return,
        work_return,
        show_desk,
        work_desk,
        show_board,
    ]
