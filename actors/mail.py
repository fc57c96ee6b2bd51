"""Mail between actors, whatever carries it: queues, order, epochs, and what is lost.

A runtime gives each peer a `Wire`: one awaited call that carries an envelope to the peer's `Reception`. With Ray a wire is
an actor call, in `LocalNet` a task; everything else, in both, is the code below.

* `Post` is the outbox. A tell goes into the peer's bounded queue; one task per peer drains it, many frames to a call and
  one call at a time. A peer that is down keeps its queue for its successor; what does not fit is counted as lost.
* `Reception` gives the shell its messages in the order in which each sender sent them, since a call-per-message transport
  keeps none. One sender's messages are heard one after the other; an ask is begun in its turn and then waited for apart,
  so that a slow answer holds up nobody.
* A lost call is not repeated here: it may have been heard. Who needs "at least once" says it again itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from loguru import logger

from actors.log import words_of
from actors.shell import Unheard
from messages.base import Message, UnknownMessage, decode, encode
from messages.control import PeerDown, PeerUp
from messages.units import MILLISECOND, SECOND, Nanos

QUEUE_MOST = 4_096
"""Frames that wait for one peer."""
BATCH_MOST = 256
"""Frames in one call."""
GAP_WAIT_S = 0.05
"""For a message that was overtaken; then it is counted as missing and the rest goes on."""
AFTER_LOST_CALL_S = 0.2
OLD = b"!old"
"""The answer to an incarnation that has a successor."""

Wire = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Parcel:
    sender: str
    epoch: int
    first: int
    """Number of the first frame in the stream from this incarnation to that one."""
    asks: bool
    """The last frame wants an answer."""
    frames: tuple[bytes, ...]


def pack(parcel: Parcel) -> bytes:
    """One line of address, then one frame per line: a frame is JSON and has no line break in it."""
    head = f"{parcel.sender} {parcel.epoch} {parcel.first} {int(parcel.asks)}".encode()
    return b"\n".join((head, *parcel.frames))


def unpack(envelope: bytes) -> Parcel:
    head, *frames = envelope.split(b"\n")
    sender, epoch, first, asks = head.decode().split(" ")
    return Parcel(sender, int(epoch), int(first), asks == "1", tuple(frames))


# ---------------------------------------------------------------------------------------------------------- sending


@dataclass(slots=True, eq=False)
class Peer:
    """One that this actor may tell, whether it is up or not."""

    name: str
    epoch: int = -1
    address: str = ""
    wire: Wire | None = None
    waiting: deque[bytes] = field(default_factory=deque)
    next_frame: int = 0
    lost: int = 0
    overflowing: bool = False
    draining: asyncio.Task[None] | None = None
    asked: set[asyncio.Future[bytes]] = field(default_factory=set)

    def forget_wire(self, why: str) -> None:
        self.wire = None
        if self.draining is not None:
            self.draining.cancel()
            self.draining = None
        for answer in self.asked:
            if not answer.done():
                answer.set_exception(Unheard(f"{self.name}: {why}"))


class Post:
    """The outbox of one actor."""

    def __init__(self, name: str, epoch: int, fenced: Callable[[str], None] | None = None) -> None:
        self.name = name
        self.epoch = epoch
        self._peers: dict[str, Peer] = {}
        self._matches: dict[str, tuple[Peer, ...]] = {}
        self._came: asyncio.Event = asyncio.Event()
        self._fenced = fenced
        self._calls: set[asyncio.Task[None]] = set()

    def connect(self, up: PeerUp, wire: Wire) -> None:
        """A new incarnation of a peer; an older one than the known is ignored."""
        peer = self._peers.get(up.name)
        if peer is None:
            peer = self._peers[up.name] = Peer(up.name)
            self._matches.clear()
        if up.epoch <= peer.epoch and not (up.epoch == peer.epoch and peer.wire is None):
            return
        peer.forget_wire("a newer incarnation took its place")
        peer.epoch, peer.address, peer.wire, peer.next_frame = up.epoch, up.address, wire, 0
        self._came.set()
        self._came = asyncio.Event()
        self._drain(peer)

    def disconnect(self, down: PeerDown) -> None:
        peer = self._peers.get(down.name)
        if peer is not None and peer.epoch == down.epoch:
            peer.forget_wire("it died")

    def matching(self, to: str) -> tuple[Peer, ...]:
        found = self._matches.get(to)
        if found is None:
            found = tuple(self._peers[name] for name in sorted(self._peers) if fnmatchcase(name, to))
            self._matches[to] = found
        return found

    def tell(self, to: str, message: Message) -> int:
        peers = self.matching(to)
        if not peers:
            return 0
        frame = encode(message)
        for peer in peers:
            if len(peer.waiting) >= QUEUE_MOST:
                peer.lost += 1
                if not peer.overflowing:
                    logger.warning("the queue to {} is full; what comes now is lost", peer.name)
                peer.overflowing = True
                continue
            peer.overflowing = False
            peer.waiting.append(frame)
            self._drain(peer)
        return len(peers)

    async def ask(self, to: str, message: Message, within: Nanos) -> Message:
        frame = encode(message)
        try:
            async with asyncio.timeout(within / SECOND):
                peer = await self._first_up(to)
                # What was told before must be heard before; it goes along in the same call.
                frames = (*peer.waiting, frame)
                peer.waiting.clear()
                body = await self._call(peer, frames)
        except TimeoutError:
            raise Unheard(f"{to}: no answer within {within / MILLISECOND:g} ms") from None
        if not body:
            raise Unheard(f"{to}: it had no answer to {type(message).__name__}")
        return decode(body)

    async def _first_up(self, to: str) -> Peer:
        while True:
            for peer in self.matching(to):
                if peer.wire is not None:
                    return peer
            await self._came.wait()

    async def _call(self, peer: Peer, frames: tuple[bytes, ...]) -> bytes:
        """The answer can come from the peer, or from the news of its death."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        envelope = self._stamped(peer, frames, asks=True)
        task = asyncio.create_task(self._carry(peer, envelope, answer, told=len(frames) - 1))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        peer.asked.add(answer)
        try:
            return await answer
        finally:
            peer.asked.discard(answer)

    async def _carry(self, peer: Peer, envelope: bytes, answer: asyncio.Future[bytes], told: int) -> None:
        wire = peer.wire
        try:
            if wire is None:
                raise Unheard(f"{peer.name}: it died")
            body = await wire(envelope)
            self._check_fence(peer, body)
            if not answer.done():
                answer.set_result(body)
        except Exception as error:
            peer.lost += told
            if not answer.done():
                answer.set_exception(
                    error if isinstance(error, Unheard) else Unheard(f"{peer.name}: {words_of(error)}")
                )

    def _stamped(self, peer: Peer, frames: tuple[bytes, ...], asks: bool) -> bytes:
        first = peer.next_frame
        peer.next_frame += len(frames)
        return pack(Parcel(self.name, self.epoch, first, asks, frames))

    def _drain(self, peer: Peer) -> None:
        if peer.waiting and peer.wire is not None and (peer.draining is None or peer.draining.done()):
            peer.draining = asyncio.create_task(self._draining(peer, peer.wire))

    async def _draining(self, peer: Peer, wire: Wire) -> None:
        while peer.waiting and peer.wire is wire:
            frames = tuple(peer.waiting.popleft() for _ in range(min(len(peer.waiting), BATCH_MOST)))
            try:
                self._check_fence(peer, await wire(self._stamped(peer, frames, asks=False)))
            except asyncio.CancelledError:
                peer.lost += len(frames)
                raise
            except Exception as error:
                peer.lost += len(frames)
                logger.warning("{} frames to {} may be lost: {}", len(frames), peer.name, words_of(error))
                await asyncio.sleep(AFTER_LOST_CALL_S)

    def _check_fence(self, peer: Peer, body: bytes) -> None:
        if body == OLD:
            if self._fenced is not None:
                self._fenced(f"{peer.name} knows a newer incarnation of {self.name}")
            raise Unheard(f"{peer.name} knows a newer incarnation of {self.name}")

    async def flush(self, within: Nanos) -> None:
        """Give what is on its way a moment to arrive."""
        pending = [peer.draining for peer in self._peers.values() if peer.draining and not peer.draining.done()]
        if pending:
            await asyncio.wait(pending, timeout=within / SECOND)

    def close(self) -> None:
        for peer in self._peers.values():
            peer.forget_wire("this actor stops")

    def seen(self) -> dict[str, object]:
        return {
            peer.name: {
                "epoch": peer.epoch,
                "up": peer.wire is not None,
                "waiting": len(peer.waiting),
                "lost": peer.lost,
            }
            for peer in self._peers.values()
        }


# -------------------------------------------------------------------------------------------------------- receiving


class Lane:
    """What one incarnation of one sender sent, put back in order and heard one by one."""

    def __init__(self, reception: Reception, sender: str, epoch: int) -> None:
        self.reception = reception
        self.sender = sender
        self.epoch = epoch
        self.expected = 0
        self.waiting: dict[int, tuple[Parcel, asyncio.Future[bytes]]] = {}
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def take(self, parcel: Parcel) -> bytes:
        if parcel.first < self.expected:
            self.reception.repeated += 1
            return b""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting[parcel.first] = (parcel, answer)
        self._came.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self.waiting:
            if self.expected not in self.waiting:
                await self._wait_for_gap()
            parcel, answer = self.waiting.pop(self.expected)
            self.expected = parcel.first + len(parcel.frames)
            if self.epoch < self.reception.floor(self.sender):
                self.reception.refused += 1
                answer.set_result(OLD)
                continue
            await self.reception.deliver(parcel, answer)

    async def _wait_for_gap(self) -> None:
        try:
            async with asyncio.timeout(GAP_WAIT_S):
                while self.expected not in self.waiting:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            self.reception.gaps += 1
            self.expected = min(self.waiting)


class Reception:
    """Where envelopes arrive at one actor."""

    def __init__(
        self, hear: Callable[[str, Message], Awaitable[Message | None]], poisoned: Callable[[BaseException], None]
    ) -> None:
        self._hear = hear
        self._poisoned = poisoned
        self._floors: dict[str, int] = {}
        self._lanes: dict[str, Lane] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self.heard = self.refused = self.repeated = self.gaps = self.unknown = self.unasked = 0

    def floor(self, sender: str) -> int:
        return self._floors.get(sender, -1)

    def know(self, sender: str, epoch: int) -> None:
        """From now on older incarnations of this sender are refused."""
        self._floors[sender] = max(epoch, self.floor(sender))

    @property
    def depth(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values()) + len(self._answering)

    async def take(self, envelope: bytes) -> bytes:
        parcel = unpack(envelope)
        if parcel.epoch < self.floor(parcel.sender):
            self.refused += 1
            return OLD
        self.know(parcel.sender, parcel.epoch)
        lane = self._lanes.get(parcel.sender)
        if lane is None or lane.epoch != parcel.epoch:
            lane = self._lanes[parcel.sender] = Lane(self, parcel.sender, parcel.epoch)
        return await lane.take(parcel)

    async def deliver(self, parcel: Parcel, answer: asyncio.Future[bytes]) -> None:
        told = parcel.frames[:-1] if parcel.asks else parcel.frames
        for frame in told:
            if await self._one(parcel.sender, frame) is not None:
                self.unasked += 1
        if not parcel.asks:
            if not answer.done():
                answer.set_result(b"")
            return
        task = asyncio.create_task(self._answer(parcel.sender, parcel.frames[-1], answer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        await asyncio.sleep(0)  # so that the shell has begun with it before it hears what was sent later

    async def _answer(self, sender: str, frame: bytes, answer: asyncio.Future[bytes]) -> None:
        reply = await self._one(sender, frame)
        if not answer.done():
            answer.set_result(b"" if reply is None else encode(reply))

    async def _one(self, sender: str, frame: bytes) -> Message | None:
        try:
            message = decode(frame)
        except UnknownMessage as problem:
            # A peer of a newer version, or nonsense: neither is a reason to die.
            self.unknown += 1
            logger.warning("from {}: {}", sender, problem)
            return None
        self.heard += 1
        try:
            return await self._hear(sender, message)
        except Exception as error:
            # State after a half-done step is not trusted: the process ends, its successor starts from the journal.
            logger.opt(exception=error).error("{} from {} could not be borne", type(message).__name__, sender)
            self._poisoned(error)
            return None

    def seen(self) -> dict[str, int]:
        counts = ("heard", "refused", "repeated", "gaps", "unknown", "unasked", "depth")
        return {count: getattr(self, count) for count in counts}
