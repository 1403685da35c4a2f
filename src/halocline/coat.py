"""Coat: a source around another, which does everything that the other does; for those that change one thing of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

from halocline.batch import JSON, Batch, Position
from halocline.connector import Ending, Journal, Manifest, Part, Plan, Source, Survey, Unfinished, ending_of
from halocline.halt import Halt


class Coat:
    """`inner` itself. Implements `connector.Source`."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner

    @property
    def calls(self) -> int:
        """Calls made to the other side so far."""
        return self._inner.calls

    def survey(self, since: Position | None) -> Survey:
        """See `Source.survey`."""
        return self._inner.survey(since)

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        """See `Source.take_up`."""
        return self._inner.take_up(plan, journal=journal, left=left)

    def parts(self, plan: Plan) -> Iterator[Part]:
        """See `Source.parts`."""
        return self._inner.parts(plan)

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        """See `Source.read`."""
        batches = self._inner.read(part, resume)
        try:
            for batch in batches:
                self.passing(part, batch)
                yield batch
        finally:
            if isinstance(batches, Generator):
                batches.close()

    def passing(self, part: Part, batch: Batch) -> None:
        """What is done with a batch on its way; any thread."""

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """See `Source.again`."""
        return self._inner.again(plan, keys)

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """See `Source.check`."""
        self._inner.check(plan, manifests)

    def ending(self, plan: Plan) -> Ending:
        """See `ending_of`."""
        return ending_of(self._inner, plan)

    def ack(self, receipts: Sequence[JSON]) -> None:
        """See `Source.ack`."""
        self._inner.ack(receipts)


class LettingGo(Coat):
    """A source of which nothing is read after its check: `let_go` is called then, so that what it held is free for the commit."""

    def __init__(self, inner: Source, let_go: Callable[[], None]) -> None:
        super().__init__(inner)
        self._let_go = let_go

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """See `Source.check`."""
        super().check(plan, manifests)
        self._let_go()


class Halted(Coat):
    """A source whose reading ends when a halt is called."""

    def __init__(self, inner: Source, halt: Halt) -> None:
        super().__init__(inner)
        self._halt = halt

    def passing(self, part: Part, batch: Batch) -> None:  # noqa: ARG002 - whatever passes
        """Go on, unless the end was called.

        Raises: Stop.
        """
        self._halt.check(f"Reading the part {part.id}")
