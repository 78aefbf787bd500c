"""The demo's parties load, twice the same, and open every model they name once the models' own rules say so."""

import pytest
from tests.factories.parties import AT, KEYRING, MERCHANT_TABLES, ON, OPERATOR, PERSON_TABLES, counts

from entrepot.base.ids import RandomIds
from entrepot.operations.registry import REGISTRY
from entrepot.parties import store
from entrepot.parties.buyers import find_identities, list_addresses
from entrepot.parties.commands import open_models
from entrepot.parties.demo import load_demo_parties
from entrepot.parties.model import AdmissionRule, MerchantNotAdmittedError, ModelOpening, Outcome, holder_of, listing_gate
from entrepot.parties.sign_in import sign_in

pytestmark = pytest.mark.anyio


def admission_rules() -> dict[str, AdmissionRule]:
    models = [REGISTRY.plan(code).model for code in ("fba", "fbm", "global_purchase", "logistics_service")]
    return {
        model.code: AdmissionRule(
            model.admission.barred_countries, frozenset(map(str, model.admission.credentials)), frozenset(map(str, model.required_roles))
        )
        for model in models
    }


async def test_the_demo_loads_once(conn):
    first = await load_demo_parties(conn, KEYRING, AT)
    loaded = await counts(conn, *MERCHANT_TABLES, *PERSON_TABLES, "staff")
    assert await load_demo_parties(conn, KEYRING, AT) == first
    assert await counts(conn, *MERCHANT_TABLES, *PERSON_TABLES, "staff") == loaded
    assert (loaded["merchant"], loaded["role_holder"], loaded["buyer"], loaded["address"], loaded["identity"], loaded["staff"]) == (
        43,
        34,
        4,
        4,
        1,
        13,
    )
    assert (len(first.entity_ids), len(first.merchant_ids), len(first.openings)) == (34, 9, 40)


async def test_every_opening_of_the_demo_is_admitted_and_gated(conn):
    demo = await load_demo_parties(conn, KEYRING, AT)
    assert await open_models(conn, demo.openings, admission_rules(), OPERATOR, ON, AT) == [Outcome.NEW] * len(demo.openings)
    gates = await store.read_open_gates(conn, list(demo.merchant_ids.values()))
    assert all({listing_gate(row.marketplace_code), "inbound", "payout"} <= gates[row.merchant_id] for row in demo.openings)


async def test_a_mainland_merchant_cannot_open_the_china_store(conn):
    demo = await load_demo_parties(conn, KEYRING, AT)
    opening = ModelOpening(demo.merchant_ids["demo-hangzhou-home"], "CN_GP", "global_purchase")
    with pytest.raises(MerchantNotAdmittedError) as caught:
        await open_models(conn, [opening], admission_rules(), OPERATOR, ON, AT)
    assert (caught.value.field, caught.value.value) == ("country_code", "CN")
    assert await counts(conn, "model_admission") == {"model_admission": 0}


async def test_the_demo_fills_the_roles_of_the_china_store(conn):
    demo = await load_demo_parties(conn, KEYRING, AT)
    holders = await store.read_role_holders(conn, ["CN_GP"])
    assert holder_of(holders, "CN_GP", "domestic_agent", ON) == demo.entity_ids["entrepot-agent-cn-gp"]
    assert len(holders) == 6


async def test_demo_people_can_sign_in_and_have_addresses(conn):
    demo = await load_demo_parties(conn, KEYRING, AT)
    outcomes = {
        row.login: (await sign_in(conn, RandomIds(), row.login, row.password, "", AT)).outcome for row in demo.sign_ins[:1] + demo.sign_ins[-2:]
    }
    assert outcomes == dict.fromkeys(["buyer", "operator", "finance"], "signed_in")
    ming = demo.person_ids["demo-buyer-cn"]
    assert [row.facts.address_id for row in await list_addresses(conn, KEYRING, ming)] == [demo.address_ids["demo-buyer-cn"]]
    assert [row.identity_id for row in await find_identities(conn, [ming])] == [demo.identity_ids["demo-buyer-cn"]]
