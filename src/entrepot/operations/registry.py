"""The operation models that exist; another one is one file and one line here."""

from collections.abc import Iterable
from typing import Final

from entrepot.base.errors import BrokenDeclarationError, UnknownReferenceError
from entrepot.operations.fba import FBA
from entrepot.operations.fbm import FBM
from entrepot.operations.global_purchase import GLOBAL_PURCHASE
from entrepot.operations.logistics_service import LOGISTICS_SERVICE
from entrepot.operations.model import OperationModel
from entrepot.operations.plan import Plan, plan_of


class UnknownModelError(UnknownReferenceError):
    """No operation model has this code and version; use one that `entrepot operations` prints."""


class Registry:
    """The models a running system knows, each code with one or more versions."""

    def __init__(self, models: Iterable[OperationModel]) -> None:
        self.models: Final = tuple(models)
        self._plans: Final = {(model.code, model.version): plan_of(model) for model in self.models}
        if len(self._plans) != len(self.models):
            named = sorted((model.code, model.version) for model in self.models)
            raise BrokenDeclarationError("registry", named, "Register each version of a model once.")
        self._newest: Final = {code: max(version for named, version in self._plans if named == code) for code, _ in self._plans}

    @property
    def codes(self) -> tuple[str, ...]:
        """Return the codes of all models, each once, in the order of registration."""
        return tuple(self._newest)

    def plan(self, code: str, version: int | None = None) -> Plan:
        """Return the plan of a model, its newest version unless one is given, or raise UnknownModelError."""
        plan = self._plans.get((code, self._newest.get(code, 0) if version is None else version))
        if plan is None:
            asked = code if version is None else f"{code} version {version}"
            raise UnknownModelError("model_code", asked, "Use one of %(choices)s.", choices=self.codes)
        return plan

    def plans(self) -> tuple[Plan, ...]:
        """Return the newest plan of every model, in the order of registration."""
        return tuple(self.plan(code) for code in self.codes)

    def with_models(self, *models: OperationModel) -> "Registry":
        """Return a registry that knows these models too."""
        return Registry((*self.models, *models))


REGISTRY: Final = Registry((FBA, FBM, GLOBAL_PURCHASE, LOGISTICS_SERVICE))
"""The models that ship with the product."""
