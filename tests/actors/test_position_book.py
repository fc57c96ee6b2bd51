"""The position book: capital is granted once, fills are booked once, and a dead owner gives nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.position_book import PositionBook
from core.claims import executors_of
from core.ledger import Unbalanced
from messages.leases import Acknowledged, Booked, CapitalGranted, Reported, WantCapital
from messages.units import CONTRACT, DOLLAR, Money, Nanos, Outcome, Quantity
from tests.actors.stage import Outbox, dies_at, on_stage, place, say, settings, up


def want(
    granted: int = 0, wanted: int = 60, *, holder: str = "executor", venue: str = "kalshi", epoch: int = 1
) -> WantCapital:
    return WantCapital(
        holder=holder, epoch=epoch, venue=venue, granted=Money(granted * DOLLAR), wanted=Money(wanted * DOLLAR)
    )


def fill(seq: int, outcome: Outcome, contracts: int, cents: int, *, fee: int = 0, venue: str = "kalshi") -> Booked:
    return Booked(
        seq=seq,
        trade="t",
        order=f"o{seq}",
        fill=f"f{seq}",
        venue=venue,
        market="M",
        outcome=outcome,
        contracts=Quantity(contracts * CONTRACT),
        cash=Money(-contracts * cents * 10_000),
        fee=Money(fee),
        at=Nanos(seq),
    )


def report(*entries: Booked, after: int = 0, upto: int | None = None, epoch: int = 1) -> Reported:
    last = upto if upto is not None else entries[-1].seq
    return Reported(source="executor", epoch=epoch, after=after, upto=last, booked=entries)


def totals(outbox: Outbox) -> list[int]:
    return [grant.total // DOLLAR for grant in outbox.of(CapitalGranted)]


def acks(outbox: Outbox) -> list[int]:
    return [ack.upto for ack in outbox.of(Acknowledged)]


async def test_all_grants_together_never_exceed_the_capital(tmp_path: Path) -> None:
    outbox = Outbox("executor", "executor.2")
    async with on_stage(PositionBook(place("position_book", tmp_path)), outbox) as book:
        await say(book, want())
        await say(book, want(holder="executor.2"), sender="executor.2")
        await say(book, want(holder="executor.2", granted=40), sender="executor.2")
        await say(book, want(venue="polymarket", wanted=1_000), want(venue="elsewhere"))
        assert totals(outbox) == [60, 40, 40, 50]
        assert [name for name, _ in outbox.told] == ["executor", "executor.2", "executor.2", "executor"]
        shown = book.snapshot()
        assert shown["free"] == {"kalshi": 0, "polymarket": 0}


@pytest.mark.parametrize("count", [2, 3, 7])
async def test_equal_shares_are_all_granted_and_what_does_not_divide_stays_here(tmp_path: Path, count: int) -> None:
    names = executors_of(count)
    outbox = Outbox(*names)
    share = Money(100 * DOLLAR // count)
    async with on_stage(PositionBook(place("position_book", tmp_path)), outbox) as book:
        for name in names:
            await say(book, want(holder=name).model_copy(update={"wanted": share}), sender=name)
        assert [(grant.holder, grant.total) for grant in outbox.of(CapitalGranted)] == [(name, share) for name in names]
        free = book.snapshot()["free"]
        assert isinstance(free, dict)
        assert 0 <= free["kalshi"] < count


async def test_a_request_that_did_not_get_its_reply_gets_the_same_total(tmp_path: Path) -> None:
    outbox = Outbox()
    async with on_stage(PositionBook(place("position_book", tmp_path)), outbox) as book:
        await say(book, want(), want(), want())
        assert totals(outbox) == [60, 60, 60]
        await say(book, want(granted=60, wanted=10))
        assert totals(outbox)[-1] == 70


async def test_who_states_more_than_the_book_knows_gets_nothing_more(tmp_path: Path) -> None:
    outbox = Outbox()
    async with on_stage(PositionBook(place("position_book", tmp_path)), outbox) as book:
        await say(book, want(granted=99, wanted=1))
        assert totals(outbox) == [0]
        assert book.snapshot()["disputed"] == 1


async def test_grant_journaled_and_reply_lost(tmp_path: Path) -> None:
    """The owner counts it as held, and says so when it is asked again."""
    here, outbox = place("position_book", tmp_path), Outbox()
    async with on_stage(PositionBook(here), outbox) as book:
        with dies_at("before-reply"):
            await say(book, want())
    assert not outbox.told
    async with on_stage(PositionBook(here), outbox) as book:
        await say(book, want(holder="executor.2"), sender="executor")
        assert totals(outbox) == [40]
        await say(book, want())
        assert totals(outbox) == [40, 60]


async def test_grant_not_journaled_was_never_given(tmp_path: Path) -> None:
    here, outbox = place("position_book", tmp_path), Outbox()
    async with on_stage(PositionBook(here), outbox) as book:
        with dies_at("before-append"):
            await say(book, want())
    async with on_stage(PositionBook(here), outbox) as book:
        await say(book, want(holder="executor.2", wanted=100))
        assert totals(outbox) == [100]


async def test_fills_are_booked_once_and_acknowledged(tmp_path: Path) -> None:
    here, outbox = place("position_book", tmp_path), Outbox()
    yes, no = fill(3, Outcome.YES, 10, 40, fee=5_000), fill(7, Outcome.NO, 4, 50, fee=3_000)
    async with on_stage(PositionBook(here), outbox) as book:
        await say(book, report(upto=0))
        await say(book, report(yes), report(yes), report(yes, no))
        await say(book, report(fill(9, Outcome.NO, 1, 1), after=8))
        assert acks(outbox) == [0, 3, 3, 7, 7], "a hole is not passed over"
        before = book.snapshot()
    async with on_stage(PositionBook(here), outbox) as book:
        await say(book, report(upto=0))
        assert acks(outbox)[-1] == 7
        after = book.snapshot()
        assert {**after, "epoch": 1, "journal_seq": before["journal_seq"]} == before
    assert after["realised"] == {"kalshi": 400_000, "polymarket": 0}, "four sets, bought at 40 and 50"
    assert after["net"] == {"kalshi": 400_000 - 8_000, "polymarket": 0}
    assert after["spent"] == {"kalshi": 10 * 400_000 + 4 * 500_000 - 4 * DOLLAR + 8_000, "polymarket": 0}
    positions = after["positions"]
    assert isinstance(positions, list)
    assert (positions[0]["contracts"], positions[0]["average"]) == (6 * CONTRACT, 4_000)


async def test_only_one_venue_nets(tmp_path: Path) -> None:
    async with on_stage(PositionBook(place("position_book", tmp_path)), Outbox()) as book:
        both = [fill(seq, outcome, 10, 40, venue="polymarket") for seq, outcome in enumerate(Outcome, 1)]
        await say(book, report(*both))
        assert [book.accounts.held("polymarket", "M", outcome) for outcome in Outcome] == [10 * CONTRACT] * 2


async def test_an_old_incarnation_is_not_heard(tmp_path: Path) -> None:
    outbox = Outbox()
    async with on_stage(PositionBook(place("position_book", tmp_path)), outbox) as book:
        await say(book, report(upto=0, epoch=2))
        await say(book, report(fill(1, Outcome.YES, 1, 1), epoch=1), want(epoch=1))
        assert acks(outbox) == [0]
        assert not totals(outbox)


async def test_less_capital_than_was_granted_is_no_debt(tmp_path: Path) -> None:
    outbox = Outbox()
    async with on_stage(PositionBook(place("position_book", tmp_path)), outbox) as book:
        await say(book, want(wanted=100))
    poorer = settings().model_dump()
    poorer["venues"]["kalshi"]["capital_dollars"] = "30"
    async with on_stage(PositionBook(place("position_book", tmp_path, settings(**poorer))), outbox) as book:
        await say(book, want(granted=100, wanted=1))
        assert totals(outbox) == [100, 100]


async def test_books_that_do_not_balance_end_the_actor(tmp_path: Path) -> None:
    async with on_stage(PositionBook(place("position_book", tmp_path)), Outbox()) as book:
        book.introduced(up("executor"))
        assert book.snapshot()["peers"] == ["executor"]
        book.accounts.totals["usd"] = 1
        with pytest.raises(Unbalanced):
            await say(book, report(fill(1, Outcome.YES, 1, 1)))
