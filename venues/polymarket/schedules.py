"""Which fee schedule was in force when a match happened.

The venue sets the fee at the match and says it nowhere: a trade's `fee_rate_bps` is a left-over of an older contract and
not the curve. So an execution is charged by the schedule that was verified around its time, not by today's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from messages.markets import FeeSchedule, Market
from messages.units import SECOND, Nanos

VERIFIED_FOR = Nanos(120 * SECOND)
"""How long after its last confirmation a schedule is taken to be still in force."""
KEPT_MOST = 16
"""Changes of one market's fees."""


@dataclass(slots=True)
class _Period:
    schedule: FeeSchedule
    first: Nanos
    last: Nanos


class Schedules:
    def __init__(self, markets: Iterable[Market] = ()) -> None:
        self._periods: dict[str, list[_Period]] = {}
        self.load(markets)

    def load(self, markets: Iterable[Market]) -> None:
        for market in markets:
            fees, periods = market.fees, self._periods.setdefault(market.market, [])
            if periods and _same(periods[-1].schedule, fees):
                periods[-1].last = max(periods[-1].last, fees.verified_at)
            else:
                periods.append(_Period(fees, fees.verified_at, fees.verified_at))
                del periods[:-KEPT_MOST]

    def at(self, market: str, when: Nanos) -> FeeSchedule | None:
        """The schedule of that moment; the dearer one where a change lies around it; None where nobody looked then."""
        near = [
            period.schedule
            for period in self._periods.get(market, [])
            if period.first - VERIFIED_FOR <= when <= period.last + VERIFIED_FOR
        ]
        certain = [period.schedule for period in self._periods.get(market, []) if period.first <= when <= period.last]
        return max(certain or near, key=_dearness, default=None)


def _same(one: FeeSchedule, other: FeeSchedule) -> bool:
    return _dearness(one) == _dearness(other)


def _dearness(schedule: FeeSchedule) -> tuple[int, int, int]:
    # p(1−p) is below one, so a smaller exponent is a larger fee
    return schedule.taker_ppm, -schedule.exponent, schedule.maker_ppm
