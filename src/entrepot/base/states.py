"""Transition tables as data: checked when loaded, drawn into the docs."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from entrepot.base.errors import BrokenDeclarationError, ConflictError


class TransitionNotAllowedError(ConflictError):
    """The record is in a state from which this step does not lead on."""


class States(Struct, frozen=True):
    """A checked transition table: for each state the states it may go to."""

    name: str
    initial: str
    transitions: Mapping[str, frozenset[str]]

    @property
    def terminal(self) -> frozenset[str]:
        """Return the states that nothing leaves."""
        return frozenset(state for state, targets in self.transitions.items() if not targets)

    def allows(self, source: str, target: str) -> bool:
        """Tell whether `source` may become `target`."""
        return target in self.transitions[source]

    def sources_of(self, target: str) -> list[str]:
        """Return the states from which `target` may be reached in one step, sorted."""
        return sorted(state for state, targets in self.transitions.items() if target in targets)

    def require(self, source: str, target: str) -> None:
        """Refuse a step that the table does not hold."""
        if not self.allows(source, target):
            allowed = sorted(self.transitions[source])
            if not allowed:
                raise TransitionNotAllowedError(f"{self.name}.state", source, "It may become nothing, the state is final.")
            raise TransitionNotAllowedError(f"{self.name}.state", source, "It may become %(states)s, not %(state)s.", states=allowed, state=target)


def declare_states(name: str, initial: StrEnum, transitions: Mapping[StrEnum, set[StrEnum]]) -> States:
    """Check that every state is listed and reachable and that there is a terminal one, and return the table."""
    table = {str(state): frozenset(str(target) for target in targets) for state, targets in transitions.items()}
    members = {str(member) for member in type(initial)}
    if set(table) != members:
        raise BrokenDeclarationError(f"{name}.states", sorted(members ^ set(table)), "List every state once in the transition table.")
    reached, todo = {str(initial)}, [str(initial)]
    while todo:
        for target in table[todo.pop()] - reached:
            reached.add(target)
            todo.append(target)
    if reached != members:
        raise BrokenDeclarationError(f"{name}.states", sorted(members - reached), "Make every state reachable from the initial one.")
    states = States(name, str(initial), table)
    if not states.terminal:
        raise BrokenDeclarationError(f"{name}.states", "no terminal state", "Let at least one state end the life of the record.")
    return states
