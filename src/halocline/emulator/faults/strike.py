"""What the rules that struck one request do to it, from its coming in to the last byte of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from http import HTTPStatus

from halocline.emulator.bulk1.refusals import refusal as bulk1_refusal
from halocline.emulator.errors import ApiError
from halocline.emulator.faults.actions import ACTIONS
from halocline.emulator.faults.pages import astray, duplicated, truncated
from halocline.emulator.faults.rule import Fault, Where
from halocline.emulator.soap.envelope import SoapFault
from halocline.emulator.soap.envelope import fault as soap_fault
from halocline.emulator.wire import Answer, Ask, error_answer


@dataclass(frozen=True, slots=True)
class Strike:
    """The rules that struck one request; without any, every method leaves things as they are."""

    faults: Sequence[Fault] = ()

    @property
    def names(self) -> str:
        """The rules for the call log: `f1:lock f3:delay`."""
        return " ".join(f"{fault.id}:{fault.action}" for fault in self.faults)

    def has(self, action: str) -> bool:
        """Whether a rule of that action struck."""
        return any(fault.action == action for fault in self.faults)

    def delay_s(self, where: Where) -> float:
        """How long to wait at that moment."""
        return sum(fault.seconds for fault in self._of("delay", where))

    def cuts(self, where: Where) -> bool:
        """Whether the connection ends at that moment."""
        return bool(self._of("cut", where))

    def bytes_sent(self, answer: Answer) -> int | None:
        """After how many bytes of the body the connection ends; None for all. `answer` comes from `damaged`."""
        cut = next(iter(self._of("cut", "during")), None)
        if cut is None:
            return None
        return len(answer.body) // 2 if cut.after_bytes is None and isinstance(answer.body, bytes) else cut.after_bytes

    @property
    def bytes_per_s(self) -> int | None:
        """How fast the body goes out; None for as fast as it can."""
        return min((fault.bytes_per_s for fault in self.faults if fault.action == "slow_body"), default=None)

    @property
    def late(self) -> Fault | None:
        """The rule that holds the write of this request back."""
        return next((fault for fault in self.faults if fault.action == "late_commit"), None)

    def told(self, ask: Ask, where: Where) -> Answer | None:
        """The reply that a rule orders at that moment in place of the resource's own."""
        for fault in self.faults:
            if (fault.where or "before") == where:
                if fault.action == "answer":
                    return Answer(fault.status, fault.body.encode(), fault.content_type, tuple(fault.headers.items()))
                if usual := ACTIONS[fault.action].refusal:
                    return _refused(ask, ApiError(usual.status, usual.code, fault.message or usual.message))
        return None

    def reshaped(self, answer: Answer, ask: Ask) -> Answer:
        """The plain reply as the rules want it, before compression."""
        if answer.status == HTTPStatus.OK and any(fault.action in _PAGES for fault in self.faults):
            answer = replace(answer, body=b"".join(answer.chunks()))
            answer = reduce(lambda page, fault: _PAGES[fault.action](page, ask, fault), self._of_pages(), answer)
        for fault in self.faults:
            if fault.action == "drop_header":
                answer = _without(answer, fault.header)
        return answer

    def damaged(self, answer: Answer) -> Answer:
        """The reply as it goes out, compressed if the client wants that; one that is not compressed has nothing to corrupt."""
        if ("Content-Encoding", "gzip") in answer.headers and self.has("corrupt_gzip"):
            answer = replace(answer, body=_corrupt(answer.chunks()))
        if any(fault.after_bytes is None for fault in self._of("cut", "during")):
            answer = replace(answer, body=b"".join(answer.chunks()))  # its half is only known of the whole
        return answer

    def _of_pages(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.action in _PAGES]

    def _of(self, action: str, where: Where) -> list[Fault]:
        usual = ACTIONS[action].wheres[0]
        return [fault for fault in self.faults if fault.action == action and (fault.where or usual) == where]


_PAGES: Mapping[str, Callable[[Answer, Ask, Fault], Answer]] = {
    "truncate_page": lambda page, _ask, fault: truncated(page, rows=fault.rows),
    "duplicate_page": lambda page, ask, _fault: duplicated(page, ask),
    "wrong_locator": lambda page, _ask, fault: astray(page, rows=fault.rows),
}


def _refused(ask: Ask, error: ApiError) -> Answer:
    """A refusal in the words of the API that was asked. What a broken server says to Bulk API 1.0 and SOAP is unverified."""
    path = ask.path.lower()
    if path.startswith("/services/async/"):
        answer = bulk1_refusal(ask, error)
        return replace(answer, status=error.status) if error.status >= 500 else answer
    if path.startswith("/services/soap/"):
        api = "enterprise" if path.startswith("/services/soap/c") else "partner"
        return soap_fault(SoapFault(error.code, error.message, kind="UnexpectedErrorFault"), api=api)
    return error_answer(error)


def _without(answer: Answer, name: str) -> Answer:
    if name.lower() == "content-type":
        return replace(answer, content_type=None)
    return replace(answer, headers=tuple((key, value) for key, value in answer.headers if key.lower() != name.lower()))


def _corrupt(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for first in chunks:
        middle = len(first) // 2
        yield first[:middle] + bytes((first[middle] ^ 0xFF,)) + first[middle + 1 :]
        break
    yield from chunks
