"""Mail between actors: order, doubt, bounds and fences, over wires that a test holds in its hand."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import mail
from actors.mail import OLD, QUEUE_MOST, Parcel, Post, Reception, pack, unpack
from actors.shell import Unheard
from messages.base import Message, encode
from messages.control import Ask, PeerDown, PeerUp, Snapshot
from messages.units import MILLISECOND, Nanos

SOON = Nanos(500 * MILLISECOND)


def up(epoch: int = 1, name: str = "b") -> PeerUp:
    return PeerUp(name=name, epoch=epoch)


class Listener:
    """A reception that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.poisoned: list[BaseException] = []
        self.reception = Reception(self.hear, self.poisoned.append)
        self.answer_when: asyncio.Event | None = None

    async def hear(self, sender: str, message: Message) -> Message | None:
        assert isinstance(message, Ask)
        if message.what == "boom":
            raise RuntimeError("boom")
        if message.what.startswith("question"):
            self.heard.append((sender, message.what))
            if self.answer_when is not None:
                await self.answer_when.wait()
            return Snapshot(name="b", epoch=1, at=Nanos(0), body=message.what)
        await asyncio.sleep(0)
        self.heard.append((sender, message.what))
        return None

    @property
    def words(self) -> list[str]:
        return [what for _, what in self.heard]


async def settled(condition: object = None) -> None:
    for _ in range(60):
        await asyncio.sleep(0.001)


@given(
    st.text(st.characters(categories=("L", "N")), min_size=1),
    st.integers(min_value=0),
    st.integers(min_value=0),
    st.booleans(),
    st.lists(st.text()),
)
def test_an_envelope_carries_any_frames(sender: str, epoch: int, first: int, asks: bool, words: list[str]):
    frames = tuple(encode(Ask(what=word)) for word in words)
    assert unpack(pack(Parcel(sender, epoch, first, asks, frames))) == Parcel(sender, epoch, first, asks, frames)


async def test_many_tells_arrive_in_order_and_in_few_calls():
    listener, calls = Listener(), 0
    post = Post("a", 1)

    async def wire(envelope: bytes) -> bytes:
        nonlocal calls
        calls += 1
        return await listener.reception.take(envelope)

    post.connect(up(), wire)
    for number in range(1_000):
        assert post.tell("b*", Ask(what=str(number))) == 1
    await settled()
    assert listener.words == [str(number) for number in range(1_000)]
    assert calls < 20


async def test_a_transport_without_order_is_put_in_order():
    listener = Listener()
    envelopes = [pack(Parcel("a", 1, number, False, (encode(Ask(what=str(number))),))) for number in range(50)]
    random.Random(7).shuffle(envelopes)  # noqa: S311  the same disorder every time
    await asyncio.gather(*(listener.reception.take(envelope) for envelope in envelopes))
    assert listener.words == [str(number) for number in range(50)]
    assert listener.reception.gaps == 0


async def test_a_message_that_never_comes_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mail, "GAP_WAIT_S", 0.02)
    listener = Listener()
    await listener.reception.take(pack(Parcel("a", 1, 5, False, (encode(Ask(what="after the gap")),))))
    assert listener.words == ["after the gap"]
    assert listener.reception.gaps == 1
    late = pack(Parcel("a", 1, 0, False, (encode(Ask(what="late")),)))
    await listener.reception.take(late)
    assert listener.words == ["after the gap"]
    assert listener.reception.repeated == 1


async def test_what_was_told_before_a_question_is_heard_before_it():
    listener, post = Listener(), Post("a", 1)
    post.connect(up(), listener.reception.take)
    post.tell("b", Ask(what="1"))
    post.tell("b", Ask(what="2"))
    answer = await post.ask("b", Ask(what="question"), SOON)
    assert isinstance(answer, Snapshot)
    assert listener.words == ["1", "2", "question"]


async def test_a_slow_answer_holds_up_nobody():
    listener, post = Listener(), Post("a", 1)
    listener.answer_when = asyncio.Event()
    post.connect(up(), listener.reception.take)
    question = asyncio.create_task(post.ask("b", Ask(what="question"), SOON))
    await settled()
    post.tell("b", Ask(what="later"))
    await settled()
    assert listener.words == ["question", "later"]
    listener.answer_when.set()
    await question


async def test_no_answer_in_time_is_unheard():
    listener, post = Listener(), Post("a", 1)
    listener.answer_when = asyncio.Event()
    post.connect(up(), listener.reception.take)
    with pytest.raises(Unheard, match="no answer within 20 ms"):
        await post.ask("b", Ask(what="question"), Nanos(20 * MILLISECOND))


async def test_the_death_of_the_asked_ends_the_waiting_at_once():
    listener, post = Listener(), Post("a", 1)
    listener.answer_when = asyncio.Event()
    post.connect(up(), listener.reception.take)
    question = asyncio.create_task(post.ask("b", Ask(what="question"), Nanos(60_000 * MILLISECOND)))
    await settled()
    post.disconnect(PeerDown(name="b", epoch=1))
    with pytest.raises(Unheard, match="it died"):
        await question


async def test_a_question_to_nobody_waits_for_somebody_within_its_time():
    listener, post = Listener(), Post("a", 1)
    question = asyncio.create_task(post.ask("b", Ask(what="question"), SOON))
    await settled()
    post.connect(up(), listener.reception.take)
    assert isinstance(await question, Snapshot)
    with pytest.raises(Unheard):
        await post.ask("nobody", Ask(), Nanos(10 * MILLISECOND))


async def test_a_peer_that_is_down_keeps_its_queue_for_its_successor_up_to_the_bound():
    listener, post = Listener(), Post("a", 1)
    assert post.tell("b", Ask(what="before anybody was introduced")) == 0
    post.connect(up(1), listener.reception.take)
    post.disconnect(PeerDown(name="b", epoch=1))
    for number in range(QUEUE_MOST + 7):
        assert post.tell("b", Ask(what=str(number))) == 1
    assert post.seen()["b"] == {"epoch": 1, "up": False, "waiting": QUEUE_MOST, "lost": 7}
    successor = Listener()
    post.connect(up(2), successor.reception.take)
    while len(successor.words) < QUEUE_MOST:
        await settled()
    assert successor.words == [str(number) for number in range(QUEUE_MOST)]


async def test_a_call_that_broke_is_counted_and_not_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mail, "AFTER_LOST_CALL_S", 0.001)
    listener, post, broken = Listener(), Post("a", 1), True

    async def wire(envelope: bytes) -> bytes:
        if broken:
            raise ConnectionError("it may or may not have arrived")
        return await listener.reception.take(envelope)

    post.connect(up(), wire)
    post.tell("b", Ask(what="1"))
    await settled()
    broken = False
    post.tell("b", Ask(what="2"))
    await asyncio.sleep(2 * mail.GAP_WAIT_S)
    await settled()
    assert listener.words == ["2"]
    assert post.seen()["b"] == {"epoch": 1, "up": True, "waiting": 0, "lost": 1}


async def test_an_old_incarnation_is_refused_and_told_so():
    listener, fenced = Listener(), list[str]()
    old, new = Post("a", 1, fenced.append), Post("a", 2)
    old.connect(up(), listener.reception.take)
    new.connect(up(), listener.reception.take)
    old.tell("b", Ask(what="old"))
    await settled()
    new.tell("b", Ask(what="new"))
    await settled()
    old.tell("b", Ask(what="still old"))
    await settled()
    assert listener.words == ["old", "new"]
    assert listener.reception.refused == 1
    assert fenced == ["b knows a newer incarnation of a"]


async def test_an_introduction_alone_fences_the_predecessor():
    listener = Listener()
    listener.reception.know("a", 7)
    assert await listener.reception.take(pack(Parcel("a", 6, 0, False, (encode(Ask()),)))) == OLD
    assert listener.heard == []


async def test_an_older_introduction_changes_nothing():
    new, old, post = Listener(), Listener(), Post("a", 1)
    post.connect(up(5), new.reception.take)
    post.connect(up(4), old.reception.take)
    post.disconnect(PeerDown(name="b", epoch=4))
    post.tell("b", Ask(what="1"))
    await settled()
    assert (new.words, old.words) == (["1"], [])


async def test_a_message_that_cannot_be_borne_is_said_and_one_that_is_unknown_is_not_fatal():
    listener = Listener()
    await listener.reception.take(pack(Parcel("a", 1, 0, False, (b"Nonsense {}", encode(Ask(what="fine"))))))
    assert (listener.words, listener.reception.unknown, listener.poisoned) == (["fine"], 1, [])
    await listener.reception.take(pack(Parcel("a", 1, 2, False, (encode(Ask(what="boom")),))))
    assert [str(error) for error in listener.poisoned] == ["boom"]


async def test_a_hung_peer_delays_no_other():
    listener, post = Listener(), Post("a", 1)
    never = asyncio.Event()

    async def hung(envelope: bytes) -> bytes:
        await never.wait()
        return b""

    post.connect(up(name="b.hung"), hung)
    post.connect(up(name="b.well"), listener.reception.take)
    assert post.tell("b.*", Ask(what="1")) == 2
    await settled()
    assert listener.words == ["1"]
    post.close()
