"""Laws of dead letters: what is set aside is neither lost nor doubled, in a queue of AWS's or in a folder."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import boto3
import pytest

from halocline import registry
from halocline.consume.letters.dead_letters import MARK, DeadLetters, Letter, buried, chosen, every, place_of, set_aside
from halocline.consume.letters.letter_places import letter_place
from halocline.consume.letters.quarantine import Quarantine, quarantine
from halocline.consume.letters.redrive import Redrive, Targets, may_be_moved, move_all
from halocline.errors import FixConfig, JobFailed, NetworkFailed, NotFound, Stop
from halocline.idempotency import Claim, Entry, Held, State, Wanted
from halocline.queues import Delivery, Message, Move, Queue, Redriven, Reply
from halocline.testing.aws import FakeAWS

ORDER = Delivery("h", '{"order": 17}', "id-17", 4, 1_000, attributes={"event": "Order.made", "n": 3, "raw": b"\x00\xff"})


def new_queue(name: str, dead_letters: str | None = None, **attributes: str) -> Queue:
    """A queue, whose policy puts what was received twice into another."""
    sqs = boto3.client("sqs")
    if dead_letters is not None:
        arn = f"arn:aws:sqs:us-east-1:000000000000:{dead_letters}"
        url = sqs.get_queue_url(QueueName=dead_letters)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    sqs.create_queue(QueueName=name, Attributes=attributes)
    return registry.open_queue(name)


@pytest.fixture(params=["sqs", "folder"])
def aside(request: pytest.FixtureRequest, aws: FakeAWS, tmp_path: Path) -> Queue:
    """A place for dead letters, of each kind."""
    if request.param == "folder":
        return Quarantine(tmp_path / "orders")
    return new_queue("orders-dlq")


def letters_of(queue: Queue) -> DeadLetters:
    return DeadLetters(queue, wait_s=0.0)


def seen(queue: Queue) -> list[Letter]:
    with letters_of(queue).looked_at() as found:
        return list(found)


@dataclass
class Books:
    """A store that remembers what was said to it."""

    done_keys: set[str] = field(default_factory=set)
    died: set[str] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)
    fails: str = ""

    def claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        assert owner
        assert lease_s > 0
        found = [State.DONE if one.key in self.done_keys else State.OURS for one in wanted]
        return [Claim(one.key, is_, 1, deaths=int(one.key in self.died)) for one, is_ in zip(wanted, found, strict=True)]

    def done(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        assert keep_s > 0
        if self.fails == "done":
            raise NetworkFailed("Saying done", "the line was cut")
        self.done_keys |= {one.key for one, _ in held}
        return [True] * len(held)

    def release(self, held: Sequence[Held]) -> list[bool]:
        return [True] * len(held)

    def forget(self, keys: Sequence[str], *, only: State | None = None) -> list[bool]:
        self.forgotten += keys
        return [True] * len(keys)

    def renew(self, held: Sequence[Held], *, lease_s: float) -> list[bool]:
        raise NotImplementedError

    def failed(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        raise NotImplementedError

    def quarantine(self, held: Sequence[tuple[Held, str]], *, keep_s: float | None = None) -> list[bool]:
        raise NotImplementedError

    def look(self, keys: Sequence[str]) -> list[Entry | None]:
        return [Entry(key, "quarantined", 1, "", 0, 0, 0, 0, "") for key in keys]

    def quarantined(self, limit: int = 100) -> list[Entry]:
        raise NotImplementedError

    def close(self) -> None: ...


# ---- set aside


def test_a_message_set_aside_is_what_it_was_and_says_why(aside: Queue) -> None:
    """Body, attributes of every type and the reason come back; the message to send again is as it was at first."""
    (reply,) = aside.send([buried(ORDER, queue="orders", reason="ValueError: no such part", key="k", now=5.0)])
    assert reply
    (letter,) = seen(aside)
    assert (letter.reason, letter.source, letter.original, letter.key) == ("ValueError: no such part", "orders", "id-17", "k")
    assert (letter.receives, letter.at) == (4, 5.0)
    again = letter.message()
    assert (again.body, dict(again.attributes)) == (ORDER.body, dict(ORDER.attributes))


def test_a_message_with_ten_attributes_is_set_aside_without_a_reason() -> None:
    """SQS takes ten attributes; none of the message's own is given up for ours."""
    full = Delivery("h", "body", "i", attributes={str(number): "x" for number in range(10)})
    kept = buried(full, queue="orders", reason="why")
    assert dict(kept.attributes) == dict(full.attributes)
    assert Letter.of(full).reason == ""


def test_a_letter_of_another_queue_of_that_name_does_not_go_to_this_one(tmp_path: Path) -> None:
    """It is left, and so told; to whom it was said by --to it goes, and so does one of which nothing tells whose it was."""
    place, home = Quarantine(tmp_path / "aside"), _Placed(tmp_path / "eu", "arn:eu:orders")
    for identity in ("arn:us:orders", "arn:eu:orders", ""):
        place.send([buried(replace(ORDER, id=f"id{identity}"), queue="orders", reason="r", identity=identity)])
    tally = Redrive(DeadLetters(place), Targets(place, lambda _: home), "aside").run()
    assert (tally.done, [(letter.original, "arn:us:orders, and" in why) for letter, why in tally.left]) == (
        2,
        [("idarn:us:orders", True)],
    )
    again = Quarantine(tmp_path / "aside")
    assert Redrive(DeadLetters(again), Targets(again, lambda _: home, given="orders"), "aside").run().done == 1


class _Placed(Quarantine):
    """A queue that says which one it is."""

    def __init__(self, folder: Path, arn: str) -> None:
        super().__init__(folder)
        self._arn = arn

    def identity(self) -> str:
        return self._arn


@pytest.mark.parametrize("mark", ["no json", "[]", '{"receives": "many"}', "7"])
def test_a_mark_of_somebody_else_is_no_mark(mark: str) -> None:
    """A message whose attribute is none of ours is a letter of which nothing is known."""
    letter = Letter.of(Delivery("h", "body", "i", 3, attributes={MARK: mark}))
    assert (letter.reason, letter.source, letter.original, letter.receives) == ("", "", "i", 3)


def test_looking_leaves_letters_where_they_are(aside: Queue) -> None:
    """After a look, or one that ended early, every letter can be received at once."""
    aside.send([buried(ORDER, queue="orders", reason=str(number)) for number in range(12)])
    assert sorted(int(letter.reason) for letter in seen(aside)) == list(range(12))
    with letters_of(aside).looked_at(limit=1) as found:
        assert len(list(found)) == 1
    assert len(seen(aside)) == 12


def test_choice_is_by_id_or_by_what_is_known(aside: Queue) -> None:
    """Ids are those of now or of before; a text is looked for in reason, queue and key."""
    aside.send([buried(ORDER, queue="orders", reason="Timeout"), buried(Delivery("h", "b", "id-2"), queue="bills", reason="x")])
    both = seen(aside)
    assert [chosen()] == [every]
    assert [one.source for one in both if chosen(["id-2"])(one)] == ["bills"]
    assert [one.source for one in both if chosen([both[0].id])(one)] == [both[0].source]
    assert [one.source for one in both if chosen(matching="timeout")(one)] == ["orders"]
    assert [one for one in both if chosen(["id-2"], matching="timeout")(one)] == []


def test_purge_deletes_what_is_meant_and_nothing_else(aside: Queue) -> None:
    """What is deleted is counted; the others can be received at once."""
    aside.send([buried(ORDER, queue="orders", reason=reason) for reason in ("a", "b", "a", "c")])
    assert letters_of(aside).purge(chosen(matching="a\n")).done == 2
    assert sorted(letter.reason for letter in seen(aside)) == ["b", "c"]
    assert letters_of(aside).purge(limit=1).done == 1
    assert len(seen(aside)) == 1


def test_export_writes_every_letter_once_for_its_owner_only(aside: Queue, tmp_path: Path) -> None:
    """One line of JSON for each, bodies and bytes exact; none is deleted; nobody else may read the file."""
    aside.send([buried(ORDER, queue="orders", reason=str(number)) for number in range(11)])
    path = tmp_path / "out.jsonl"
    assert letters_of(aside).export(path).done == 11
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(int(line["reason"]) for line in lines) == list(range(11))
    assert {line["body"] for line in lines} == {ORDER.body}
    assert lines[0]["attributes"]["raw"] == {"base64": "AP8="}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(seen(aside)) == 11


# ---- the folder


def test_a_quarantine_is_for_its_owner_only(tmp_path: Path) -> None:
    """Bodies may be anybody's data: folder and files are for the owner alone."""
    folder = Quarantine(tmp_path / "home" / "orders")
    folder.send([Message("secret")])
    (file,) = folder.folder.iterdir()
    assert (stat.S_IMODE(folder.folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)


def test_a_file_that_is_no_message_is_told_and_can_be_deleted(tmp_path: Path) -> None:
    """A torn or strange file stops nobody."""
    folder = Quarantine(tmp_path)
    folder.send([Message("good")])
    for number, text in enumerate(("", "{", "[1]", '{"body": "x"}')):
        (tmp_path / f"{number}.message.json").write_text(text)
    found = folder.receive(10)
    assert sum(1 for one in found if one.failure) == 4
    assert [one.body for one in found if not one.failure] == ["good"]
    folder.delete([one.handle for one in found])
    assert list(tmp_path.iterdir()) == []
    assert all(folder.delete([found[0].handle]))


def test_what_was_received_from_a_folder_is_hidden_for_its_time(tmp_path: Path) -> None:
    """Hidden until its time is over or it is handed back, as in any queue."""
    now = [0.0]
    folder = Quarantine(tmp_path, clock=lambda: now[0])
    folder.send([Message("a")])
    (found,) = folder.receive(visibility_s=10)
    assert folder.receive() == []
    now[0] = 10.0
    assert [one.body for one in folder.receive(visibility_s=10)] == ["a"]
    folder.hand_back([found.handle])
    assert [one.body for one in folder.receive()] == ["a"]


@pytest.mark.parametrize("name", ["../orders", "a/b", "", ".hidden", "a\0b"])
def test_a_name_is_never_a_path(name: str, tmp_path: Path) -> None:
    """No name of a queue leads out of the folder, and no handle out of a quarantine."""
    with pytest.raises(FixConfig):
        quarantine(tmp_path, name)
    with pytest.raises(FixConfig):
        Quarantine(tmp_path).delete([f"../{name}"])


# ---- where


def test_dead_letters_go_where_the_flow_says_else_where_the_queue_says_else_into_a_folder(aws: FakeAWS, tmp_path: Path) -> None:
    """Whatever is set up, there is a place: nothing is lost for want of one."""
    new_queue("q-dlq")
    new_queue("other")

    def place(queue: Queue, given: str | None) -> Queue:
        return place_of(queue, given, name="q", home=tmp_path, open_queue=registry.open_queue)

    plain, own = new_queue("plain"), new_queue("q", "q-dlq")
    assert (place(own, "other").name, place(own, None).name) == ("other", "q-dlq")  # type: ignore[attr-defined]
    assert place(plain, None).folder == tmp_path / "quarantine" / "q"  # type: ignore[attr-defined]
    assert place(plain, f"file://{tmp_path}/x").folder == tmp_path / "x"  # type: ignore[attr-defined]


def test_whichever_queue_is_named_the_dead_letters_are_meant(aws: FakeAWS, tmp_path: Path) -> None:
    """A queue with a policy means its dead letters; a queue that others name is meant itself; one at work is never touched."""
    new_queue("q-dlq")
    new_queue("q", "q-dlq")
    new_queue("plain")

    def place(named: str, *, as_is: bool = False) -> str:
        return letter_place(named, home=tmp_path, open_queue=registry.open_queue, as_is=as_is).name

    assert (place("q"), place("q-dlq"), place("plain", as_is=True)) == ("q-dlq", "q-dlq", "plain")
    with pytest.raises(FixConfig, match="no queue puts its dead letters there"):
        place("plain")
    with pytest.raises(NotFound):
        place("none")
    for name in ("plain", "none"):  # the second was deleted, and what it set aside is still there
        quarantine(tmp_path, name).send([Message("x")])
        found = letter_place(name, home=tmp_path, open_queue=registry.open_queue)
        assert isinstance(found.queue, Quarantine)
        assert (found.name, found.own) == (name, name)


# ---- back


def redrive(queue: Queue, target: str = "orders", store: Books | None = None, **given: str) -> Redrive:
    letters = letters_of(queue)
    return Redrive(letters, Targets(queue, registry.open_queue, **given), f"{target}-dlq", store)


def bodies(queue: Queue) -> list[str]:
    return sorted(one.body for one in queue.receive(10, wait_s=0))


def test_letters_go_back_to_where_they_were_for(aside: Queue) -> None:
    """Each to its own queue, without our mark; the store lets their keys go; none is left here."""
    orders, bills = new_queue("orders"), new_queue("bills")
    kept = [
        buried(Delivery("h", name, name, attributes={"e": "x"}), queue=name, reason="r", key=f"key {name}")
        for name in ("orders", "bills")
    ]
    aside.send(kept)
    books = Books()
    tally = redrive(aside, store=books).run()
    assert (tally.done, tally.left, sorted(books.forgotten)) == (2, [], ["key bills", "key orders"])
    (back,) = orders.receive(10, wait_s=0)
    assert (back.body, dict(back.attributes), bodies(bills)) == ("orders", {"e": "x"}, ["bills"])
    assert seen(aside) == []


@pytest.mark.parametrize("point", ["claim", "send", "done", "delete"])
def test_a_redrive_cut_off_anywhere_loses_none_and_says_what_may_be_double(
    aws: FakeAWS, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off before sending: sent once. After booking: only deleted. Between the two: sent again, and said so."""
    orders, aside = new_queue("orders"), new_queue("orders-dlq")
    aside.send([buried(Delivery("h", "x", "x"), queue="orders", reason="r")])
    books = Books()
    first = redrive(aside, store=books)

    def cut(*_given: object, **_more: object) -> list[Reply]:
        raise NetworkFailed("Going on", "the line was cut")

    with monkeypatch.context() as patch, suppress(NetworkFailed):
        if point in ("claim", "done"):
            patch.setattr(books, point, cut)
        elif point == "delete":
            patch.setattr(first.letters.queue, "delete", cut)
        else:
            patch.setattr(first.targets.queue("orders"), "send", cut)
        first.run()
    (letter,) = seen(aside)
    books.died = {f"redrive:orders-dlq:{letter.original}"} if point in ("send", "done") else set()
    tally = redrive(aside, store=books).run()
    expected = {"claim": (1, 0, 0), "send": (1, 0, 1), "done": (1, 0, 1), "delete": (0, 1, 0)}[point]
    assert (tally.done, tally.again, tally.doubted) == expected
    assert len(bodies(orders)) == (2 if point == "done" else 1)
    assert seen(aside) == []


@pytest.mark.parametrize("apart", [False, True])
def test_a_message_that_was_set_aside_twice_goes_back_once(aws: FakeAWS, *, apart: bool) -> None:
    """A worker died between setting aside and deleting, and another did it again: both letters go, one message comes."""
    orders, aside, books = new_queue("orders"), new_queue("orders-dlq"), Books()
    for reason in ("first", "second"):
        aside.send([buried(Delivery("h", "x", "x"), queue="orders", reason=reason)])
    runs = [redrive(aside, store=books).run(limit=1) for _ in range(2)] if apart else [redrive(aside, store=books).run()]
    assert (sum(one.done for one in runs), sum(one.again for one in runs)) == (1, 1)
    assert (bodies(orders), seen(aside)) == (["x"], [])


def test_a_letter_that_is_refused_stays_and_is_told(aws: FakeAWS) -> None:
    """What the target does not take is not deleted here."""
    new_queue("orders", MaximumMessageSize="1024")
    aside = new_queue("orders-dlq")
    aside.send([buried(Delivery("h", "y" * 2_000, "y"), queue="orders", reason="r")])
    tally = redrive(aside, store=Books()).run()
    assert tally.done == 0
    assert ["shorter" in why for _, why in tally.left] == [True]
    assert aws.counts("orders-dlq").in_flight == 1  # it comes back by itself


def test_letters_of_a_group_go_back_in_their_order(aws: FakeAWS) -> None:
    """Out of a FIFO queue into a FIFO queue, each group in order, and a second run within minutes sends none again."""
    new_queue("orders-dlq.fifo", FifoQueue="true")
    orders, aside = new_queue("orders.fifo", FifoQueue="true"), registry.open_queue("orders-dlq.fifo")
    some = [Delivery("h", str(number), f"id{number}", group=f"g{number % 2}") for number in range(8)]
    aside.send([buried(one, queue="orders.fifo", reason="r") for one in some])
    assert redrive(aside).run().done == 8
    found = orders.receive(10, wait_s=0)
    assert [one.body for one in found if one.group == "g0"] == ["0", "2", "4", "6"]
    assert [one.body for one in found if one.group == "g1"] == ["1", "3", "5", "7"]


def test_without_a_mark_the_only_source_is_the_target(aws: FakeAWS) -> None:
    """A letter of AWS's own policy goes to the one queue that has that policy; of several, somebody has to say which."""
    aside = new_queue("q-dlq")
    aside.send([Message("a")])
    with pytest.raises(FixConfig, match=r"nothing tells it.*--to"):
        redrive(aside).run()
    new_queue("q", "q-dlq")
    assert redrive(aside).run().done == 1
    new_queue("q2", "q-dlq")
    aside.send([Message("b")])
    with pytest.raises(FixConfig, match="2 queues"):
        redrive(aside).run()
    assert redrive(aside, given="q2").run().done == 1


def test_aws_moves_what_its_own_policy_put_there(aws: FakeAWS) -> None:
    """All letters at once, without one passing through here; marks of ours are seen before."""
    aside = new_queue("q-dlq")
    queue = new_queue("q", "q-dlq")
    queue.send([Message(str(number)) for number in range(15)])
    while aws.counts("q").visible:
        queue.hand_back([one.handle for one in queue.receive(10, wait_s=0)])
    assert aws.counts("q-dlq").visible == 15
    assert isinstance(aside, Redriven)
    assert may_be_moved(letters_of(aside))
    before = aws.calls.count("sqs.SendMessageBatch")
    assert move_all(aside, "q").moved == 15
    assert (aws.counts("q").visible, aws.counts("q-dlq").visible) == (15, 0)
    assert aws.calls.count("sqs.SendMessageBatch") == before
    aside.send([buried(ORDER, queue="q", reason="r")])
    assert not may_be_moved(letters_of(aside))


def test_a_move_is_waited_for_and_its_failure_is_told() -> None:
    """Running is looked at again; failed says how many were moved and what else there is."""

    class Moving:
        def __init__(self) -> None:
            reason = "CouldNotDetermineMessageSource"
            self.states = [Move("RUNNING", 1, 3), Move("RUNNING", 2, 3), Move("FAILED", 2, 3, reason)]
            self.waits: list[float] = []

        def dead_letters(self) -> Queue | None:
            return None

        def sources(self) -> list[str]:
            return []

        def start_move(self, target: str, *, per_second: int | None = None) -> None:
            assert (target, per_second) == ("q", 5)

        def last_move(self) -> Move | None:
            return self.states.pop(0)

    moving = Moving()
    pause: Callable[[float], None] = moving.waits.append
    with pytest.raises(JobFailed, match=r"FAILED \(CouldNotDetermineMessageSource\); 2 were moved.*--one-by-one"):
        move_all(moving, "q", per_second=5, pause=pause)
    assert len(moving.waits) == 2


# ---- what is known of the key


@dataclass
class Known(Books):
    """A store that has keys as it is told; by their state, since when, and what they stand for."""

    entries: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    only: list[State | None] = field(default_factory=list)

    def look(self, keys: Sequence[str]) -> list[Entry | None]:
        found = [(key, *self.entries[key]) if key in self.entries else None for key in keys]
        return [one and Entry(one[0], one[1], 1, "", one[2], 0, 0, 0, "", one[3]) for one in found]

    def forget(self, keys: Sequence[str], *, only: State | None = None) -> list[bool]:
        self.only.append(only)
        return Books.forget(self, keys)


@pytest.mark.parametrize(
    ("entry", "payload", "sent"),
    [
        (("done", 6.0, ""), "", False),  # handled after it was set aside
        (("done", 6.0, "p"), "p", False),
        (("done", 4.0, "q"), "p", True),  # another one was: this one was never handled
        (("done", 6.0, "q"), "p", True),  # whatever clocks say
        (("done", 6.0, "q"), "", True),  # a letter of an earlier version may be another message
        (("done", 6.0, ""), "p", True),
        (("done", 4.0, ""), "", True),  # before: the worker decides, by what it compares
        (("quarantined", 6.0, ""), "", True),
        (("failed", 6.0, ""), "", True),
        (None, "", True),
    ],
)
@pytest.mark.parametrize("reason", ["ValueError", "its key 'k' stands for another message"])
def test_what_was_handled_meanwhile_is_only_deleted(
    aws: FakeAWS, entry: tuple[str, float, str] | None, payload: str, reason: str, *, sent: bool
) -> None:
    """A key that is done is never let go; a letter is deleted for it only if it was done after the letter was set aside, for the
    very same message, whatever its reason says.
    """
    orders, aside = new_queue("orders"), new_queue("orders-dlq")
    aside.send([buried(Delivery("h", "x", "x"), queue="orders", reason=reason, key="k", payload=payload, now=5.0)])
    store = Known(entries={} if entry is None else {"k": entry})
    tally = redrive(aside, store=store).run()
    assert (tally.done, tally.handled, tally.unknown) == (int(sent), int(not sent), int(entry is None))
    assert (bodies(orders), seen(aside)) == (["x"] if sent else [], [])
    assert set(store.only) <= {State.QUARANTINED}


@pytest.mark.parametrize("count", [3, 4])
def test_aws_moves_only_what_was_all_looked_at(aws: FakeAWS, count: int) -> None:
    """One letter of a worker's anywhere, or more letters than are looked at, and all are sent from here."""
    aside = new_queue("orders-dlq")
    aside.send([Message(str(number)) for number in range(count)])
    assert may_be_moved(letters_of(aside), most=3) is (count == 3)
    aside.send([buried(ORDER, queue="orders", reason="r")])
    assert not may_be_moved(letters_of(aside), most=20)
    assert len(seen(aside)) == count + 1
    assert not may_be_moved(letters_of(new_queue("orders-dlq.fifo", FifoQueue="true")))


def test_a_claim_is_given_back_where_the_target_is_gone(aws: FakeAWS) -> None:
    """Nothing was sent: the next try need neither wait nor doubt."""
    aside = new_queue("orders-dlq")
    aside.send([buried(Delivery("h", "x", "x"), queue="orders", reason="r")])
    url = new_queue("orders").url  # type: ignore[attr-defined]
    boto3.client("sqs").delete_queue(QueueUrl=url)
    released: list[Held] = []

    class Lent(Books):
        def release(self, held: Sequence[Held]) -> list[bool]:
            released.extend(held)
            return [True] * len(held)

    with pytest.raises(NotFound):
        Redrive(letters_of(aside), Targets(aside, registry.open_queue, given=url), "orders-dlq", Lent()).run()
    assert [one.key.rpartition(":")[2] for one in released] == ["x"]


def test_letters_of_a_shared_place_go_each_to_its_own_queue(aside: Queue) -> None:
    """Also when one of the queues is named, which by its URL is that very one."""
    orders, bills = new_queue("orders"), new_queue("bills")
    aside.send([buried(Delivery("h", name, name), queue=name, reason="r") for name in ("orders", "bills")])
    assert redrive(aside, own=orders.url).run().done == 2  # type: ignore[attr-defined]
    assert (bodies(orders), bodies(bills)) == (["orders"], ["bills"])


# ---- what is kept


WIRES = {
    "n": {"DataType": "Number", "StringValue": "12345678901234567890.1234567890"},
    "m": {"DataType": "Number", "StringValue": "1.10"},
    "e": {"DataType": "Number", "StringValue": "1E+5"},
    "i": {"DataType": "Number.int", "StringValue": "7"},
    "j": {"DataType": "String.json", "StringValue": "{}"},
    "g": {"DataType": "Binary.gif", "BinaryValue": b"\x00x"},
    "s": {"DataType": "String", "StringValue": "plain"},
}


def test_attributes_come_back_to_the_last_digit(aside: Queue) -> None:
    """Types of somebody's own and digits that no float has, set aside and brought back."""
    sqs, orders = boto3.client("sqs"), new_queue("orders")
    url = orders.url  # type: ignore[attr-defined]
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=WIRES)
    (delivery,) = orders.receive(1, wait_s=0)
    assert set(delivery.typed) == set(WIRES) - {"s"}
    orders.delete([delivery.handle])
    set_aside(aside, delivery, queue="orders", reason="r")
    assert redrive(aside).run().done == 1
    (back,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert back["MessageAttributes"] == WIRES


def test_what_is_too_large_with_its_reason_is_kept_without(aws: FakeAWS) -> None:
    """A message of the queue's whole size can be set aside; one that is refused for more than that cannot, and says so."""
    aside = new_queue("orders-dlq", MaximumMessageSize="1024")
    assert set_aside(aside, Delivery("h", "y" * 1_000, "y"), queue="orders", reason="r") == "orders-dlq"
    (letter,) = seen(aside)
    assert (letter.delivery.body, letter.reason) == ("y" * 1_000, "")
    with pytest.raises(Stop, match="it was refused"):
        set_aside(aside, Delivery("h", "y" * 2_000, "y"), queue="orders", reason="r")


@pytest.mark.parametrize(
    ("queue", "place", "says"),
    [
        ("orders", "orders", "into the queue itself"),
        ("orders", "URL", "into the queue itself"),
        ("orders", "dlq.fifo", "orders is a standard queue, and dlq.fifo a FIFO one"),
        ("orders.fifo", "dlq", "orders.fifo is a FIFO queue, and dlq a standard one"),
        ("orders", "none", "none"),
    ],
)
def test_a_place_that_can_take_no_message_is_refused(aws: FakeAWS, tmp_path: Path, queue: str, place: str, says: str) -> None:
    """The queue itself, by name or URL; a queue of another kind; one that is not there."""
    for name in ("orders", "orders.fifo", "dlq", "dlq.fifo"):
        new_queue(name, **({"FifoQueue": "true"} if name.endswith(".fifo") else {}))
    opened = registry.open_queue(queue)
    given = opened.url if place == "URL" else place  # type: ignore[attr-defined]
    with pytest.raises(FixConfig, match=says):
        place_of(opened, given, name=queue, home=tmp_path, open_queue=registry.open_queue)


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """A message that the other one deletes is gone, and neither fails of it."""
    one, two = Quarantine(tmp_path), Quarantine(tmp_path)
    one.send([Message(str(number)) for number in range(3)])
    listed = two._paths

    def late() -> list[Path]:
        found = listed()
        one.delete([found[0].name])
        return found

    two._paths = late  # type: ignore[method-assign]
    assert [delivery.body for delivery in two.receive()] == ["1", "2"]
    assert two._hidden.keys() == {path.name for path in listed()}
