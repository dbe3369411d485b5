"""What a report of a comparison says, in which order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import QuellError
from .advice import recommend
from .cells import accuracy_cells, cost_cells, count, value_cells
from .pictures import caption, counted
from .report_blocks import Block, Code, Heading, Picture, Table, Terms, Text
from .summary import Summary, summaries

if TYPE_CHECKING:
    from .comparison import Comparison

TITLE: Final = "Comparison of mitigation strategies"
#: Settings that are said elsewhere in a report.
_TOLD: Final = frozenset({"title", "description", "qpu_model"})


def content(
    comparison: Comparison,
    pictures: Sequence[str],
    experiment_text: str | None,
    name: str,
    description: str,
) -> tuple[Block, ...]:
    """Return the blocks of a report.

    Args:
        comparison: What was measured.
        pictures: Names of the pictures that it shows, as in `quell.comparison.pictures.PICTURES`.
        experiment_text: The text of the file of the experiment, if there is one.
        name: Its title.
        description: What stands below the title; empty lines part paragraphs.
    """
    head: list[Block] = [Heading(name, 1), Terms(_facts(comparison), compact=True)]
    if description.strip():
        head.append(Text(description.strip()))
    return (*head, *_numbered(_blocks(comparison, pictures, experiment_text)))


def _numbered(blocks: Iterator[Block]) -> Iterator[Block]:
    tables = pictures = 0
    for block in blocks:
        if isinstance(block, Table):
            tables += 1
            yield Table(tables, block.cells)
        elif isinstance(block, Picture):
            pictures += 1
            yield Picture(pictures, block.caption)
        else:
            yield block


def _blocks(comparison: Comparison, pictures: Sequence[str], experiment: str | None) -> Iterator[Block]:
    yield Heading("Result")
    yield from _recommendation(comparison)
    yield Table(0, accuracy_cells(comparison))
    yield from _picture(comparison, "values", pictures)
    yield Heading("Error and cost")
    yield from _picture(comparison, "costs", pictures)
    yield Table(0, cost_cells(comparison))
    model = comparison.settings.get("qpu_model")
    if model:
        yield Text(_model(model), lead="Model of the QPU time.")
    if "coverage" in pictures:
        yield Heading("Error bars")
        yield from _picture(comparison, "coverage", pictures)
    if any(s.repeats for s in summaries(comparison)):
        yield Heading("Every value")
        yield Table(0, value_cells(comparison))
    yield Heading("How the numbers are computed")
    yield Terms(tuple(_definitions(comparison)))
    yield from _repeat(comparison, experiment)


def _picture(comparison: Comparison, name: str, pictures: Sequence[str]) -> Iterator[Block]:
    if name in pictures:
        yield Picture(0, caption(comparison, name))


def _facts(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Return what was compared, in a few words each."""
    settings, found = comparison.settings, summaries(comparison)
    described = [f"{s.name} ({s.description})" if s.description else s.name for s in found]
    facts = [
        ("Device", comparison.device),
        ("Strategies", "; ".join(described)),
        ("Values", f"{len(comparison.labels)}, in {counted(found)}"),
        ("Shots", _shots(settings.get("total_shots"), found)),
        ("Reference", comparison.reference_source if comparison.reference is not None else "not known"),
        ("Seed", _plain(settings.get("seed"))),
        ("Date", _plain(comparison.environment.get("date"))),
    ]
    return tuple((name, text) for name, text in facts if text)


def _shots(total: Any, found: Sequence[Summary]) -> str:
    if isinstance(total, int | float):
        return f"at most {count(total)} for each strategy and repeat, calibration included"
    shots = [s.shots for s in found if s.repeats]
    if not shots:
        return ""
    span = count(min(shots)) if min(shots) == max(shots) else f"{count(min(shots))} to {count(max(shots))}"
    return f"{span} for a strategy and repeat, calibration included"


def _recommendation(comparison: Comparison) -> Iterator[Block]:
    try:
        advice = recommend(comparison)
    except QuellError as error:
        yield Text(str(error), lead="No recommendation.", main=True)
        return
    yield Text(
        " ".join([advice.reason, *advice.warnings]), lead=f"Recommended: {advice.strategy}.", main=True
    )


def _definitions(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield how each number is computed that this report has."""
    found = summaries(comparison)
    several = any(s.repeats > 1 for s in found)
    level = f"{100 * float(comparison.settings.get('confidence', 0.95)):g} %"
    yield (
        "error bar",
        "The standard error that the strategy reports for a value in one repeat; rms over repeats and values.",
    )
    if several:
        yield "spread", "Standard deviation of a value between repeats; rms over values."
    if comparison.reference is not None:
        text = "Root mean square of value minus reference over repeats and values."
        if several:
            text += " Its standard error comes from the spread of the mean squares between repeats."
        else:
            text += " Its standard error is the rms error bar, as if all values erred together."
        yield "rms error", text
        yield (
            "bias",
            "Rms over values of the mean deviation, after the variance of its noise is subtracted; 0 where nothing is "
            "left. Its error points upwards: a bias of 0(5) may be as large as 5 in the last digit.",
        )
        if any(s.improvement is not None for s in found):
            yield (
                "improvement over raw",
                "Rms error of the raw strategy divided by that of the strategy, in the repeats that both have. Its "
                f"{level} interval is that of the logarithm by the jackknife over repeats with Student's t; with one "
                "or two repeats it believes the error bars and takes the worst ends of both.",
            )
        yield (
            "coverage",
            "Share of the intervals value ± 1.96 error bars that contain the reference; 95 % is right. Its "
            f"{level} interval is Wilson's, for as many intervals as the values of a repeat seem independent.",
        )
    else:
        yield (
            "agreement",
            "Rms difference from another strategy in units of the error of the difference; about 1 or less if both are "
            "right about themselves. The largest one is shown. Which of two is right is not known.",
        )
    yield "shots", "What a strategy takes by itself, calibration included. Executed: what was run for it."
    if any(s.overhead is not None for s in found):
        yield (
            "overhead",
            "Mean variance of the error bars times shots, divided by the same of the raw strategy.",
        )
    if any(s.gamma_squared is not None for s in found):
        yield (
            "gamma²",
            "Sampling overhead of probabilistic error cancellation, of the circuit where it is largest.",
        )
    yield "QPU", "Estimate of the time on a quantum computer, by the model stated with the costs."
    yield (
        "wall time",
        "Time on this machine: preparing circuits, executing or simulating them, combining results.",
    )


def _repeat(comparison: Comparison, experiment: str | None) -> Iterator[Block]:
    """Tell what it takes to get the same numbers."""
    yield Heading("To repeat this")
    yield Text(
        "The same versions, seeds and options give the same numbers. Every value of every repeat, with all its digits, "
        "is in comparison.json, which Comparison.load reads."
    )
    if experiment is not None:
        yield Code(experiment.rstrip("\n"), "toml", "The experiment, which quell compare runs")
    settings = {k: v for k, v in comparison.settings.items() if k not in _TOLD}
    yield Code(_json(settings), "json", "Settings")
    if seeds := _seeds(comparison):
        yield Code(seeds, "json", "Seeds of the repeats")
    yield Code(_json(comparison.environment), "json", "Environment")
    for strategy in comparison.strategies:
        shared = strategy.shares_data_with
        note = f" (analyses the shots of {shared})" if shared else ""
        yield Code(_json(strategy.options), "json", f"Options of {strategy.name}{note}")


def _seeds(comparison: Comparison) -> str:
    """Return the seeds of all trials, once if the strategies of a repeat have the same."""
    found = {
        s.name: {
            str(t.repeat): t.details["seed"]
            for t in comparison.trials
            if t.strategy == s.name and "seed" in t.details
        }
        for s in comparison.strategies
    }
    known = [seeds for seeds in found.values() if seeds]
    if not known:
        return ""
    if all(seeds == known[0] for seeds in known):
        return _compact({"every strategy": known[0]})
    return _compact({name: seeds for name, seeds in found.items() if seeds})


def _model(model: Any) -> str:
    """Return the model of the QPU time in words: its text, or names with values."""
    if not isinstance(model, Mapping):
        return str(model)
    if isinstance(model.get("text"), str):
        return str(model["text"])
    return "; ".join(f"{str(name).replace('_', ' ')}: {_plain(value)}" for name, value in model.items()) + "."


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), indent=2, default=str, ensure_ascii=False)


def _compact(value: Mapping[str, Mapping[str, Any]]) -> str:
    lines = (f"  {json.dumps(k, ensure_ascii=False)}: {json.dumps(v, default=str)}" for k, v in value.items())
    return "{\n" + ",\n".join(lines) + "\n}"
