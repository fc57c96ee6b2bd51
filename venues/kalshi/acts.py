"""What Kalshi's answers to acts mean: amend, decrease, order groups, cancel-all. The same rows are in
`docs/outcomes/kalshi.md`.

A 404 is told in the same words of what is over and of what never was, so it proves that this act did nothing and says
nothing of why: a read does.
"""

from __future__ import annotations

from messages.reasons import Refusal, Trouble
from messages.units import Nanos
from venues.http import Response, WireError
from venues.kalshi.outcome import answer_of
from venues.outcome import Answer, Row, Says, between, first_fit, on
from venues.patience import wait_asked
from venues.port import ActAnswer, Denied, Done, Unsure
from venues.reading import json_of, shown

ACT_ROWS: tuple[Row, ...] = (
    Row("KA-01", "no answer in time", Says.LOST, "it may have been done", trouble=Trouble.TIMEOUT),
    Row("KA-02", "no or broken connection", Says.LOST, "the break may be after the venue read it", trouble=Trouble.CONNECTION),
    Row("KA-03", "an answer that breaks off or is too long", Says.LOST, "what was said is unknown", trouble=Trouble.MALFORMED),
    Row("KA-04", "2xx", Says.ACCEPTED, "done; what it did is read afterwards", between(200, 299)),
    Row(
        "KA-05",
        "400 or 409 MARKET_INACTIVE",
        Says.REFUSED,
        "the market is closed: nothing of it can be changed any more",
        on(400, 409, codes=("market_inactive",), words=("market_inactive",)),
        refusal=Refusal.MARKET,
    ),
    Row(
        "KA-06",
        "400, 403 or 404 insufficient_balance, or user_not_found",
        Says.REFUSED,
        "no cash on the shard for what would be added",
        on(400, 403, 404, codes=("insufficient_balance", "user_not_found"), words=("user_not_found", "insufficient_balance")),
        refusal=Refusal.FUNDS,
    ),
    Row("KA-07", "400 invalid_price", Says.REFUSED, "off the grid", on(400, codes=("invalid_price",)), refusal=Refusal.PRICE),
    Row(
        "KA-08",
        "400, 403 or 404 naming a pause",
        Says.REFUSED,
        "a trading pause takes no amendment",
        on(400, 403, 404, words=("exchange_paused", "trading_paused", "exchange is paused", "trading is paused")),
        refusal=Refusal.MODE,
    ),
    Row("KA-09", "any other 400 or 410 with a structured error", Says.REFUSED, "read and turned down", on(400, 410), refusal=Refusal.INVALID),
    Row("KA-10", "401", Says.REFUSED, "signature, key or clock", on(401), refusal=Refusal.AUTH),
    Row("KA-11", "403", Says.REFUSED, "the key or the member may not do this", on(403), refusal=Refusal.AUTH),
    Row("KA-12", "404", Says.REFUSED, "over, or never there: told in the same words", on(404), refusal=Refusal.OTHER),
    Row("KA-13", "429 in the venue's own JSON", Says.REFUSED, "no tokens, not admitted", on(429), refusal=Refusal.RATE_LIMIT),
    Row("KA-14", "408, 425 or 5xx", Says.LOST, "it may have been done behind the edge", lambda answer: answer.status in (408, 425) or 500 <= answer.status < 600, trouble=Trouble.SERVER_ERROR),
    Row("KA-15", "anything else", Says.LOST, "what is not understood is unknown", between(0, 10**6), trouble=Trouble.MALFORMED),
)  # fmt: skip

ACT_BY_ID = {row.id: row for row in ACT_ROWS}


def judge(answer: Response | WireError, at: Nanos) -> tuple[str, ActAnswer]:
    """The row that fits and what it says of the act."""
    if isinstance(answer, WireError):
        row = ACT_BY_ID[{Trouble.TIMEOUT: "KA-01", Trouble.CONNECTION: "KA-02"}.get(answer.trouble, "KA-03")]
        return row.id, _said(row, answer.text, at)
    read: Answer = answer_of(answer.status, answer.headers, json_of(answer.body))
    row = first_fit(ACT_ROWS, read)
    said = _said(row, f"HTTP {answer.status} {read.words}".strip(), at)
    if isinstance(said, Denied) and row.refusal is Refusal.RATE_LIMIT:
        said = Denied(said.reason, said.text, wait_asked(answer))
    return row.id, said


def _said(row: Row, text: str, at: Nanos) -> ActAnswer:
    told = f"{row.id}: {shown(text)}" if text else row.id
    if row.says is Says.ACCEPTED:
        return Done(at)
    if row.says is Says.REFUSED:
        return Denied(row.refusal or Refusal.OTHER, told)
    return Unsure(row.trouble or Trouble.MALFORMED, told)
