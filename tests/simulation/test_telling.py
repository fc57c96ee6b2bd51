"""What a person reads of a failing seed."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from messages.units import MILLISECOND, Nanos
from simulation.batch import replay, run_seed
from simulation.chance import Fault, Hit
from simulation.planted import PLANTED
from simulation.shrink import Shrunk, shrink
from simulation.telling import LINES_FIRST, LINES_LAST, Line, Story, _together, as_test, investigate, short, slug, story

BUG = "time-out as reject"


@pytest.fixture
def caught() -> Iterator[Shrunk]:
    """A scenario of an engine that takes a time-out for a refusal."""
    with PLANTED[BUG].plant():
        for seed in range(400):
            if run_seed(seed).broken:
                shrunk = shrink(seed)
                assert shrunk is not None
                if shrunk.hits:
                    yield shrunk
                    return
    pytest.fail("nothing caught it")


def test_a_story_tells_what_was_sent_what_struck_and_what_broke(caught: Shrunk) -> None:
    told = story(caught.seed, caught.hits)
    text = str(told)
    assert told.broken == caught.broken
    sends = r"sends (\d/)?\d+\.\d+\.\d+\.\d+ \(open\): buy [\d.]+ (yes|no)@\w+.*, limit [\d.]+¢, immediate"
    assert re.search(sends, text)
    assert "no answer, timeout" in text
    assert [line.text for line in told.lines if line.fault][:-1] == [str(hit) for hit in caught.hits]
    assert told.lines[-1].who == "judge"
    assert told.lines[-1].text == short(caught.broken)
    assert [line.at for line in told.lines] == sorted(line.at for line in told.lines)


def test_a_story_has_no_long_reprs_and_few_lines(caught: Shrunk) -> None:
    told = story(caught.seed, caught.hits)
    assert len(told.lines) < 80
    assert all(len(str(line)) < 190 for line in told.lines)
    assert "51a0d15c" not in str(told)
    assert not re.search(r"KeysGranted|Hashed|Woke|CursorMoved", str(told)), "what is said all the time is left out"


def test_telling_changes_nothing(caught: Shrunk) -> None:
    assert story(caught.seed, caught.hits).broken == run_seed(caught.seed, caught.hits).broken


def test_the_test_to_paste_fails_with_the_bug_and_passes_without(caught: Shrunk) -> None:
    text = as_test(caught)
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert function.name.endswith(f"_seed_{caught.seed}")
    scope: dict[str, Callable[[], None]] = {"replay": replay}  # type: ignore[dict-item]
    exec(text, scope)  # noqa: S102  that is what pasting it does
    with pytest.raises(AssertionError):
        scope[function.name]()


def test_the_test_to_paste_passes_once_it_is_mended(caught: Shrunk) -> None:
    faults = tuple(str(hit) for hit in caught.hits)
    assert replay(caught.seed, *faults) == caught.broken


SHRUNK = Shrunk(
    7, "I9: proved while it rests at the venue: 51a0d15c.1.2.0.0", (Hit(Fault.LATE_ARRIVAL, 2),), 14, 30, smallest=True
)


def test_a_test_reads_like_this() -> None:
    assert as_test(SHRUNK) == (
        "def test_i9_proved_while_it_rests_at_the_venue_seed_7() -> None:\n"
        '    """I9: proved while it rests at the venue: 1.2.0.0; 1 fault of 14 is enough."""\n'
        '    assert replay(7, "late arrival 2") == ""\n'
    )


def test_a_test_of_a_scenario_that_needs_no_fault_says_so() -> None:
    assert 'replay(7, "no fault") == ""' in as_test(replace(SHRUNK, hits=()))


@pytest.mark.parametrize("many", [1, 3, 5, 9])
def test_a_test_is_formatted_whatever_its_length(many: int) -> None:
    text = as_test(replace(SHRUNK, hits=tuple(Hit(Fault.KILLED_BEFORE_APPEND, n + 1) for n in range(many))))
    ast.parse(text)
    assert all(len(line) <= 120 for line in text.splitlines())
    assert text.count("executor killed before the append") == many


def test_what_breaks_may_hold_quotes() -> None:
    text = as_test(replace(SHRUNK, broken='executor failed: KeyError: "a\\b"'))
    ast.parse(text)
    assert "test_executor_failed_keyerror_seed_7" in text


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ("I1: a re-post of what was never sent: 51a0d15c.1", "i1_a_re_post_of_what_was_never_sent"),
        ("executor.2 failed: KeyError: 'K1'", "executor_2_failed_keyerror"),
        ("I4: " + "very " * 40 + "long", "i4_very_very_very_very_very_very_very_very_very_very_very_very_very_ve"),
    ],
)
def test_a_name_of_a_test_is_made_of_the_invariant(broken: str, name: str) -> None:
    assert slug(broken) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("51a0d15c.1.2.0.0", "1.2.0.0"),
        ("of 51a0d15c-2.1.1 and 51a0d15c.3.1", "of 2/1.1 and 3.1"),
        ("hash 51a0d15c0123", "hash 51a0d15c0123"),
    ],
)
def test_ids_are_short(text: str, said: str) -> None:
    assert short(text) == said


def line(text: str, at: int = 0) -> Line:
    return Line(Nanos(at * MILLISECOND), "executor", text)


def test_what_is_said_again_and_again_is_one_line() -> None:
    told = list(_together([line("a"), line("b", 1), line("b", 2), line("b", 3), line("a", 4)]))
    assert [one.text for one in told] == ["a", "b (3 times)", "a"]
    assert told[1].at == MILLISECOND


def test_of_a_long_story_the_beginning_and_the_end_are_shown() -> None:
    many = 1_000
    shown = str(Story(1, "", tuple(line(f"line {n}") for n in range(many)))).splitlines()
    assert len(shown) == LINES_FIRST + LINES_LAST + 1
    assert shown[LINES_FIRST].strip() == f"...    {many - LINES_FIRST - LINES_LAST} lines left out"
    assert shown[-1].endswith(f"line {many - 1}")


def test_a_line_says_when_who_and_what() -> None:
    assert str(line("sends", 1_234)) == "   1234.0 ms    executor       sends"
    assert str(Line(Nanos(0), "fault", "late arrival 2", fault=True)) == "      0.0 ms ** fault          late arrival 2"


def test_deaths_restarts_and_lost_mail_are_told(plant: Callable[..., None]) -> None:
    plant(Fault.EXECUTOR_KILLED, Fault.MAIL_LOST)
    seed = next(seed for seed in range(400) if run_seed(seed).broken)
    text = str(story(seed))
    assert re.search(r"\*\* fault +executor killed \d+\n.*executor(\.2)? +dies\n", text)
    assert re.search(r" tells \w+.*\n.*\*\* fault +message lost \d+", text), "what was lost stands before its fault"


def test_an_owners_grants_are_told_where_it_is_about_them(plant: Callable[..., None]) -> None:
    plant(Fault.ANSWER_LOST, text="I6: a planted one about capital")
    seed = next(seed for seed in range(400) if run_seed(seed).broken)
    assert "position_book  writes CapitalGranted" in str(story(seed))
    plant(Fault.ANSWER_LOST, text="I9: a planted one about proof")
    assert "writes CapitalGranted" not in str(story(seed))


def test_a_scenario_that_holds_has_a_story_too() -> None:
    told = story(next(seed for seed in range(50) if not run_seed(seed).broken))
    assert told.broken == ""
    assert told.lines[-1].text == "everything holds"


def test_everything_about_a_failing_seed_at_once(plant: Callable[..., None]) -> None:
    plant(Fault.MAIL_LOST)
    seed = next(seed for seed in range(100) if run_seed(seed).broken)
    found = investigate(seed)
    assert found is not None
    assert (found.seed, found.faults, found.smallest) == (seed, ("message lost 1",), True)
    assert found.story.splitlines()[-1].endswith("I99: they met: all of them")
    assert f'replay({seed}, "message lost 1")' in found.test


def test_a_seed_that_breaks_nothing_has_nothing_to_investigate() -> None:
    assert investigate(next(seed for seed in range(50) if not run_seed(seed).broken)) is None
