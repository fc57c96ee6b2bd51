"""Looking: which pairs cross, what the column says of it, and what the person who asks "why not" will read.

A crossing is an episode: it opens when the best prices of a pair first cross and ends when they no longer do. In
between every change of verdict is a decision record, and the end says how long it lasted and how it was judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.checks import Approved, Denied, Limits, View, check
from core.desk import Desk
from core.detect import Crossing, Key, SizingLimits, crossings, size
from core.trade import Trade
from messages.books import Book
from messages.control import VenueSeen
from messages.markets import Market, Pair, VenueMode
from messages.opportunities import CrossingEnded, Decision, Opportunity, Verdict
from messages.reasons import Reason
from messages.units import SECOND, Nanos, Price, Quantity

SAID_AGAIN = 50
"""Trades whose decision a successor repeats; a record waits some tenths of a second at the most."""
OUR_OWN_DOING = (Reason.IN_FLIGHT, Reason.COOL_DOWN)
MODE_FOR = Nanos(5 * SECOND)
"""A feed tells its venue's state every second, whatever it is; one not heard for this long is as good as gone."""


@dataclass(slots=True)
class _Episode:
    crossing: Crossing
    since: Nanos
    best_gross: Price
    decisions: int = 0
    taken: int = 0
    ours: bool = False
    """We took it, or in a dry run would have."""
    last: tuple[Verdict, Reason | None] | None = None


class Scout:
    """Holds books, metadata and modes; changes nothing but its own episodes."""

    def __init__(
        self, pairs: Iterable[Pair], desk: Desk, limits: Limits, sizing: SizingLimits, keys: Callable[[str, Nanos], int]
    ) -> None:
        self._desk = desk
        self._limits = limits
        self._sizing = sizing
        self._keys = keys
        self.books: dict[Key, Book] = {}
        self.markets: dict[Key, Market] = {}
        self.modes: dict[str, tuple[VenueMode, bool, Nanos]] = {}
        self.draining = False
        self.lag = Nanos(0)
        self._pairs_of: dict[Key, list[Pair]] = {}
        self._groups: dict[str, list[Key]] = {}
        for pair in pairs:
            for paired in pair.markets:
                self._pairs_of.setdefault((paired.venue, paired.market), []).append(pair)
                self._groups.setdefault(pair.group, []).append((paired.venue, paired.market))
        self._episodes: dict[tuple[str, Key, Key], _Episode] = {}
        self._numbered = 0
        self.decisions: list[Decision] = []
        self.ended: list[CrossingEnded] = []
        self.seen = 0

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(sorted(self._groups))

    def hear_mode(self, seen: VenueSeen) -> None:
        self.modes[seen.venue] = (seen.mode, seen.reachable, seen.at)

    def forget_modes(self, now: Nanos) -> None:
        """Nobody says any more that these venues are open."""
        for venue, (_, reachable, at) in self.modes.items():
            if reachable and now - at > MODE_FOR:
                self.modes[venue] = (VenueMode.UNKNOWN, False, at)

    def look(self, key: Key, now: Nanos, epoch: int) -> Iterable[Approved[Opportunity]]:
        """Judge every pair that this market belongs to; yields what may be taken, one at a time."""
        for pair in self._pairs_of.get(key, ()):
            current = {(c.pair, c.yes, c.no): c for c in crossings(pair, self.books)}
            self._close(pair, current, now)
            for where, crossing in current.items():
                self.seen += where not in self._episodes
                episode = self._episodes.setdefault(where, _Episode(crossing, now, crossing.gross))
                episode.best_gross = Price(max(episode.best_gross, crossing.gross))
                if crossing.yes not in self.markets or crossing.no not in self.markets:
                    # without metadata there are no figures to record; the end of the episode says why
                    episode.last = episode.last or (Verdict.REFUSED, Reason.UNKNOWN_MARKET)
                    continue
                verdict = self._judge(crossing, now, epoch)
                if isinstance(verdict, Approved):
                    yield verdict
                else:
                    self.record(episode, verdict.opportunity, Verdict.REFUSED, verdict.reason, verdict, None, now)

    def _judge(self, crossing: Crossing, now: Nanos, epoch: int) -> Approved[Opportunity] | Denied:
        name = f"{self._desk.genesis}.{epoch}.o{self._numbered + 1}"

        def sized(most: Quantity) -> Opportunity:
            bound = SizingLimits(
                quantity_most=Quantity(min(most, self._sizing.quantity_most)),
                slippage_bps=self._sizing.slippage_bps,
                min_profit=self._sizing.min_profit,
            )
            return size(crossing, self.books, self.markets, bound, name, now)

        return check(sized(self._sizing.quantity_most), self.view(now), sized)

    def view(self, now: Nanos) -> View:
        desk = self._desk
        return View(
            now=now,
            limits=self._limits,
            markets=self.markets,
            books=self.books,
            modes={venue: (mode, up) for venue, (mode, up, _) in self.modes.items()},
            claimed=desk.claims.__contains__,
            flight_of=lambda key: desk.flight_of(key, now),
            not_before=desk.not_before,
            free=desk.free,
            held=desk.held,
            group_held=self._group_held,
            open_trades=desk.open_trades,
            keys=lambda venue: self._keys(venue, now),
            halted=desk.halted,
            draining=self.draining,
            lag=self.lag,
        )

    def _group_held(self, group: str) -> Quantity:
        positions = self._desk.accounts.positions
        keys = set(self._groups.get(group, ()))
        return Quantity(sum(abs(n) for (venue, market, _), n in positions.items() if (venue, market) in keys) // 2)

    def taken(self, approved: Approved[Opportunity], trade: str | None, verdict: Verdict, now: Nanos) -> None:
        """An approved opportunity became a trade (or, in a dry run, would have)."""
        opportunity = approved.value
        yes, no = opportunity.legs[0], opportunity.legs[1]
        episode = self._episodes[(opportunity.pair, (yes.venue, yes.market), (no.venue, no.market))]
        reason = Reason.DRY_RUN if verdict is Verdict.DRY_RUN else None
        self.record(episode, opportunity, verdict, reason, approved, trade, now)

    def remember(self, trades: Iterable[Trade]) -> None:
        """Say again what was decided last: a predecessor may have died with its records. The recorder keeps the first."""
        for trade in sorted(trades, key=lambda one: one.opened.at)[-SAID_AGAIN:]:
            self.decisions.append(
                Decision(
                    opportunity=trade.opened.opportunity,
                    verdict=Verdict.TAKEN,
                    reason=None,
                    checks=(),
                    trade=trade.trade,
                    decided_at=trade.opened.at,
                )
            )

    def record(
        self,
        episode: _Episode,
        opportunity: Opportunity,
        verdict: Verdict,
        reason: Reason | None,
        judged: Approved[Opportunity] | Denied,
        trade: str | None,
        now: Nanos,
    ) -> None:
        """A decision record: of all that was taken, and of a refusal that the last one of this episode did not say."""
        if verdict is Verdict.REFUSED and episode.last == (verdict, reason):
            return
        if reason in OUR_OWN_DOING and episode.ours:
            return  # it is held because we took it: that says nothing about the opportunity
        episode.last = (verdict, reason)
        episode.decisions += 1
        episode.taken += verdict is Verdict.TAKEN
        episode.ours = episode.ours or verdict is not Verdict.REFUSED
        self._numbered += 1
        self.decisions.append(
            Decision(
                opportunity=opportunity,
                verdict=verdict,
                reason=reason,
                checks=judged.results,
                trade=trade,
                decided_at=now,
            )
        )

    def _close(self, pair: Pair, current: dict[tuple[str, Key, Key], Crossing], now: Nanos) -> None:
        keys = [(m.venue, m.market) for m in pair.markets]
        for where in [(pair.pair, yes, no) for yes in keys for no in keys]:
            if where in self._episodes and where not in current:
                self._end(self._episodes.pop(where), now)

    def _end(self, episode: _Episode, now: Nanos) -> None:
        crossing = episode.crossing
        self.ended.append(
            CrossingEnded(
                pair=crossing.pair,
                kind=crossing.kind,
                yes_venue=crossing.yes[0],
                no_venue=crossing.no[0],
                since=episode.since,
                until=now,
                best_gross=episode.best_gross,
                decisions=episode.decisions,
                taken=episode.taken,
                last=episode.last[1] if episode.last else None,
            )
        )

    def end_all(self, now: Nanos) -> None:
        """The run is over: what still crosses ends here."""
        for where in list(self._episodes):
            self._end(self._episodes.pop(where), now)
