"""Kalshi books against a model that is too simple to be wrong, and against what was recorded."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.units import CONTRACT
from tests.venues.making import AT
from venues.kalshi.books import MISSED, Books, TooManyMarkets, Unsubscribed

SHARED = Path(os.environ.get("CROSSFILL_SHARED", Path(__file__).parents[3] / "shared"))
RECORDED = SHARED / "reference" / "kalshi" / "recorded"
FRAMES = SHARED / "data" / "kalshi-frames" / "KXGOLD15M-26AUG101900-00.ndjson.gz"
GOLD = "KXGOLD15M-26AUG101900-00"

SUBSCRIBED = '{"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}'


def frame(kind: str, seq: int | None, market: str = "M", **inner: object) -> str:
    told: dict[str, object] = {"type": kind, "sid": 1, "msg": {"market_ticker": market, **inner}}
    return json.dumps(told if seq is None else told | {"seq": seq})


def delta(seq: int | None, price: str, size: str, side: str = "yes", **more: int) -> str:
    return frame("orderbook_delta", seq, "M", price_dollars=price, delta_fp=size, side=side, **more)


def following(*markets: str, yes_scale: bool = True) -> Books:
    books = Books(markets or ("M",), yes_scale=yes_scale)
    books.take(SUBSCRIBED, AT)
    return books


# The venue as it is, and what the wire makes of it.


@dataclass
class Truth:
    """One market at the venue, and the frames that it sends."""

    sides: dict[str, dict[int, int]] = field(default_factory=lambda: {"yes": {}, "no": {}})
    seq: int = 0
    clock: int = 0

    def snapshot(self) -> tuple[int, dict[str, Any]]:
        self.seq += 1
        told: dict[str, Any] = {"market_ticker": "M", "market_id": "u", "clock": self.clock}
        for side, name in (("yes", "yes_dollars_fp"), ("no", "no_dollars_fp")):
            levels = [[f"0.{price:02d}00", f"{size / 100:.2f}"] for price, size in sorted(self.sides[side].items())]
            if levels:
                told[name] = levels
        return self.seq, {"type": "orderbook_snapshot", "sid": 1, "seq": self.seq, "msg": told}

    def change(self, side: str, price: int, size: int) -> tuple[int, dict[str, Any]]:
        self.seq += 1
        self.clock += 1
        by = size - self.sides[side].get(price, 0)
        if size:
            self.sides[side][price] = size
        else:
            self.sides[side].pop(price, None)
        told = {
            "market_ticker": "M", "market_id": "u", "clock": self.clock, "side": side,
            "price_dollars": f"0.{price:02d}00", "delta_fp": f"{by / 100:.2f}",
        }  # fmt: skip
        return self.seq, {"type": "orderbook_delta", "sid": 1, "seq": self.seq, "msg": told}

    def seen(self) -> tuple[dict[int, int], dict[int, int]]:
        bids, asks = ({p * 100: s * 10_000 for p, s in self.sides[side].items()} for side in ("yes", "no"))
        return bids, asks


changes = st.tuples(st.sampled_from(("yes", "no")), st.integers(1, 99), st.integers(0, 500))
steps = st.lists(st.one_of(changes, st.just("snapshot")), max_size=30)
mishaps = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(("lost", "twice", "late", "joined"))), max_size=4)


def sent(happened: Iterable[object]) -> tuple[list[dict[str, Any]], dict[int, tuple[dict[int, int], dict[int, int]]]]:
    """The frames of a market's life, and what its book was after each."""
    truth = Truth()
    frames = [truth.snapshot()[1]]
    states = {1: truth.seen()}
    for step in happened:
        seq, told = truth.snapshot() if step == "snapshot" else truth.change(*step)  # type: ignore[misc]
        frames.append(told)
        states[seq] = truth.seen()
    return frames, states


@given(steps, mishaps)
@settings(max_examples=300)
def test_a_book_is_what_the_venue_has_or_not_fresh(happened: list[object], mishaps: list[tuple[int, str]]) -> None:
    frames, states = sent(happened)
    wire: list[Any] = list(frames)
    for place, mishap in mishaps:
        at = place % len(wire)
        match mishap:
            case "lost":
                del wire[at]
            case "twice":
                wire.insert(at, wire[at])
            case "late":
                wire.insert((at + 3) % (len(wire) + 1), wire.pop(at))
            case _ if at + 1 < len(wire):
                first, second = wire.pop(at), wire.pop(at)
                wire.insert(at, [*_flat(first), *_flat(second)])
        if not wire:
            return
    books = following()
    newest = 0
    for message in wire:
        books.take(json.dumps(message), AT)
        newest = max(newest, *(part["seq"] for part in _flat(message)))
        ladder = books.ladders["M"]
        if ladder.known:
            assert (ladder.bids, ladder.asks) == states[newest]


def _flat(message: Any) -> list[Any]:
    return list(message) if isinstance(message, list) else [message]


@given(steps)
def test_an_undisturbed_stream_is_followed_to_the_end(happened: list[object]) -> None:
    frames, states = sent(happened)
    books = following()
    for message in frames:
        books.take(json.dumps(message), AT)
    ladder = books.ladders["M"]
    assert ladder.known
    assert books.gaps == 0
    assert (ladder.bids, ladder.asks) == states[len(frames)]


@given(steps)
def test_both_price_scales_make_the_same_book(happened: list[object]) -> None:
    frames, _ = sent(happened)
    on_yes, on_no = following(), following(yes_scale=False)
    for message in frames:
        on_yes.take(json.dumps(message), AT)
        on_no.take(json.dumps(_own_scale(message)), AT)
    assert on_yes.ladders["M"].bids == on_no.ladders["M"].bids
    assert on_yes.ladders["M"].asks == on_no.ladders["M"].asks


def _own_scale(message: dict[str, Any]) -> dict[str, Any]:
    def turned(price: str) -> str:
        return f"{(10_000 - int(price.replace('.', ''))) / 10_000:.4f}"

    told = dict(message["msg"])
    if told.get("side") == "no":
        told["price_dollars"] = turned(told["price_dollars"])
    if "no_dollars_fp" in told:
        told["no_dollars_fp"] = [[turned(price), size] for price, size in told["no_dollars_fp"]]
    return message | {"msg": told}


# One thing at a time.


def test_what_is_told_twice_is_not_counted_twice() -> None:
    books = following()
    books.take(frame("orderbook_snapshot", 1, yes_dollars_fp=[["0.4000", "5.00"]]), AT)
    books.take(delta(2, "0.4000", "1.00"), AT)
    changed, _ = books.take(delta(2, "0.4000", "1.00"), AT)
    assert changed == {"M"}
    assert books.missing() == ["M"]
    assert books.ladders["M"].bids == {4_000: 6 * CONTRACT}


def test_acknowledgements_and_errors_of_the_subscription_are_counted_in_its_sequence() -> None:
    books = following()
    books.take(frame("orderbook_snapshot", 1), AT)
    books.take('{"id":7,"type":"ok","sid":1,"seq":2,"msg":{"market_tickers":["M"]}}', AT)
    books.take('{"id":8,"type":"error","sid":1,"seq":3,"msg":{"code":27,"msg":"Too many requests"}}', AT)
    books.take(delta(4, "0.4000", "1.00"), AT)
    assert (books.gaps, books.missing()) == (0, [])
    books.take('{"id":9,"type":"ok","sid":1,"seq":6,"msg":{}}', AT)
    assert (books.gaps, books.missing()) == (1, ["M"])


def test_a_book_message_without_number_spoils_what_it_cannot_be_placed_in() -> None:
    books = following()
    books.take(frame("orderbook_snapshot", 1), AT)
    books.take(delta(None, "0.4000", "1.00"), AT)
    assert books.missing() == ["M"]
    assert books.ladders["M"].bids == {}


@pytest.mark.parametrize(
    ("clocks", "known"),
    [
        ((10, 11, 11, 12), True),
        ((10, 11, 15, 20), True),
        ((0, 11, 12, 13), True),
        ((10, 10), False),
        ((10, 9), False),
        ((10, 12, 11), False),
    ],
    ids=["one act in two parts", "skips", "nothing recorded yet", "in the snapshot", "older", "backwards"],
)
def test_the_exchanges_clock_goes_up(clocks: tuple[int, ...], known: bool) -> None:
    books = following()
    books.take(frame("orderbook_snapshot", 1, clock=clocks[0]), AT)
    for seq, clock in enumerate(clocks[1:], start=2):
        books.take(delta(seq, "0.4000", "1.00", clock=clock), AT)
    assert books.ladders["M"].known is known
    # maintenance may set it back: the next snapshot begins anew
    books.take(frame("orderbook_snapshot", 9, clock=1), AT)
    books.take(delta(10, "0.4000", "1.00", clock=2), AT)
    assert books.ladders["M"].known


def test_a_side_that_is_empty_is_absent() -> None:
    books = following()
    books.take(frame("orderbook_snapshot", 1, yes_dollars_fp=[["0.4000", "5.00"]], no_dollars_fp=[["0.6", "1"]]), AT)
    books.take(frame("orderbook_snapshot", 2, yes_dollars_fp=[["0.4000", "5.00"]]), AT)
    assert books.ladders["M"].asks == {}
    assert books.ladders["M"].known
    books.take(frame("orderbook_snapshot", 3), AT)
    assert books.ladders["M"].bids == {}
    assert books.ladders["M"].known


@pytest.mark.parametrize(
    "levels", [[["0.4000"]], [["0.4000", "x"]], [["1.0000", "5"]], [["0.4", "-1"]], {"0.4": "5"}, [[0.4, [1]]], "0.4"]
)
def test_a_level_that_cannot_be_spoils_the_book(levels: object) -> None:
    books = following()
    books.take(frame("orderbook_snapshot", 1, yes_dollars_fp=levels), AT)
    assert books.missing() == ["M"]


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"type": "error", "sid": 1, "msg": {"code": 25, "msg": "Subscription buffer overflow"}}, Unsubscribed),
        ({"type": "error", "msg": {"code": 10, "msg": "Channel error"}}, Unsubscribed),
        ({"type": "error", "id": 5, "msg": {"code": 26, "msg": "market limit"}}, TooManyMarkets),
        ({"type": "unsubscribed", "sid": 1, "seq": 2}, Unsubscribed),
        ({"type": "error", "sid": 9, "msg": {"code": 10, "msg": "another channel"}}, None),
        ({"type": "error", "id": 103, "msg": {"code": 27, "msg": "Too many requests"}}, None),
        ({"type": "error", "id": 103, "msg": {"code": 18, "msg": "Command timeout"}}, None),
    ],
)
def test_some_errors_end_the_subscription(told: dict[str, Any], problem: type[Exception] | None) -> None:
    books = following()
    books.take(frame("orderbook_snapshot", 1), AT)
    if problem is None:
        books.take(json.dumps(told), AT)
        assert books.missing() == []
        return
    with pytest.raises(problem):
        books.take(json.dumps(told), AT)


def test_a_subscription_that_is_refused_is_none() -> None:
    with pytest.raises(Unsubscribed):
        Books(["M"]).take('{"id":1,"type":"error","msg":{"code":8,"msg":"Unknown channel name"}}', AT)


def test_rules_are_heard_on_their_own_channel_and_what_is_missing_there_is_said() -> None:
    books = following()
    first = {
        "type": "market_lifecycle_v2",
        "sid": 2,
        "seq": 4,
        "msg": {"market_ticker": "M", "event_type": "activated"},
    }
    fees = {"type": "event_fee_update", "sid": 2, "seq": 5, "msg": {"event_ticker": "E", "fee_type_override": None}}
    assert books.take(json.dumps([first, fees]), AT) == (set(), [first["msg"], fees["msg"]])
    _, rules = books.take(json.dumps(fees | {"seq": 7}), AT)
    assert rules == [MISSED, fees["msg"]]
    assert books.missing() == ["M"]


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded answers in {RECORDED}")
@pytest.mark.parametrize(
    ("name", "yes_scale", "asks"),
    [
        ("ws__orderbook_trade_yes", True, ((5_200, 2_000_000),)),
        ("ws__orderbook_trade_noleg", False, ((5_200, 1_000_000),)),
    ],
)
def test_recorded_frames_of_both_scales(name: str, yes_scale: bool, asks: tuple[tuple[int, int], ...]) -> None:
    books = Books(["KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP"], yes_scale=yes_scale)
    for line in filter(None, (RECORDED / f"{name}.jsonl").read_text().splitlines()):
        books.take(line, AT)
    (ladder,) = books.ladders.values()
    assert ladder.known
    assert books.gaps == 0
    assert not ladder.crossed
    assert ladder.sides()[1] == asks


@pytest.mark.skipif(not FRAMES.is_file(), reason=f"no recorded frames at {FRAMES}")
def test_a_quarter_of_an_hour_of_raw_frames_is_followed_without_a_gap() -> None:
    """All 22,026 book frames. The recording kept one market of a subscription to many: the 288,598 numbers between them
    belong to markets that we do not follow, and are told as such.
    """
    books = following(GOLD, yes_scale=False)
    ladder = books.ladders[GOLD]
    last, taken = 0, 0
    with gzip.open(FRAMES, "rt") as lines:
        for line in lines:
            event = json.loads(line)["event"]
            if event["type"] == "trade":
                continue
            for seq in range(last + 1 if last else event["seq"], event["seq"]):
                books.take(f'{{"type":"orderbook_delta","sid":1,"seq":{seq},"msg":{{"market_ticker":"X"}}}}', AT)
            last = event["seq"]
            books.take(json.dumps(event), AT)
            taken += 1
            assert ladder.known
            assert not ladder.crossed
    assert (taken, books.gaps, books.skipped) == (22_026, 0, 0)
    # the market has closed: its last snapshot has neither side
    assert (ladder.bids, ladder.asks) == ({}, {})
