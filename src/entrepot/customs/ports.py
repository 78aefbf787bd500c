"""The customs authority as customs sees it: declarations with their documents go in, answers come back."""

from collections.abc import Sequence
from typing import Protocol

from entrepot.customs.model import CustomsAnswer, Submission


class CustomsGateway(Protocol):
    """Something that passes declarations to an authority."""

    async def submit(self, submissions: Sequence[Submission]) -> list[CustomsAnswer]:
        """Submit a batch and return an answer per submission, in the same order; the same submission gets the same answer."""
        ...
