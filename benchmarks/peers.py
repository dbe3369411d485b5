"""Level 2 side by side with mitiq and with the vendor's client-side estimator, at equal total shots.

Everybody gets the same circuits, noise, device and number of shots, of which calibration, training and twirls are a
part; the simulator counts them. Methods draw shots of their own, from the seed and their name. Peers are optional:
the vendor's are imported if they are there, mitiq may live in an environment of its own with qiskit-aer and ply:

    python benchmarks/peers.py --mitiq-python /path/to/its/bin/python --cache peers.jsonl
    python benchmarks/peers.py --methods quell --fresh-quell --cache peers.jsonl
    python benchmarks/peers.py --part coverage --mitiq-python /path/to/its/bin/python --cache coverage.jsonl

A stopped run continues from its cache. `--methods` takes names and beginnings of names, separated by commas.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from peers.records import Cache, Case, Outcome
from peers.tables import Figures, accuracy_table, coverage_table, figures, summary_table
from peers.workloads import FAMILIES, NOISE_TITLES, NOISES, Device, workload

ANSWER = "peers-answer "
#: What runs unless methods are named. Other recipes of mitiq err more, or cost more, on every family.
DEFAULT_METHODS = (
    "quell level 0", "quell level 1", "quell level 2", "vendor level 1", "vendor level 2", "mitiq raw", "mitiq REM",
    "mitiq REM+ZNE linear 1,2,3", "mitiq REM+ZNE linear 1,3,5", "mitiq REM+ZNE richardson 1,3,5",
    "mitiq REM+ZNE exp 1,2,3", "mitiq REM+ZNE exp 1,3,5", "mitiq REM+ZNE poly2 1,2,3,5",
    "mitiq REM+ZNE polyexp2 1,2,3,5", "mitiq REM+ZNE adaptive exp", "mitiq REM+PT8+ZNE linear 1,2,3",
    "mitiq REM+PT8+ZNE exp 1,2,3", "mitiq REM+PEC200", "mitiq REM+CDR10 half Clifford", "mitiq REM+LRE",
)  # fmt: skip
COVERAGE_METHODS = (
    "quell level 2", "vendor level 2", "mitiq PT16", "mitiq REM+ZNE linear 1,2,3", "mitiq REM+ZNE exp 1,3,5",
    "mitiq REM+ZNE poly2 1,2,3,5",
)  # fmt: skip
COVERAGE_FAMILIES = ("rb4", "ghz6_stab")
COVERAGE_SHOTS, COVERAGE_RUNS, COVERAGE_PEER_RUNS = 20_000, 400, 40

Side = Callable[[Case], Outcome]
Prepare = Callable[..., Callable[[], tuple[float, float | None]]]


def measured(case: Case, prepare: Prepare, independent: bool = True) -> Outcome:
    """Run a case on a new device; what it raises becomes its problem."""
    work = workload(case.family, case.seed)
    device = Device(work.circuit.num_qubits, case.noise, case.draws, independent)
    value, error, problem, start = None, None, "", time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = prepare(case, work, device)
            start = time.perf_counter()
            value, error = run()
    except Exception as raised:
        problem = f"{type(raised).__name__}: {str(raised)[:200]}"
    seconds = time.perf_counter() - start
    tally = device.tally
    return Outcome(
        case,
        work.ideal,
        value,
        error,
        tally.circuits,
        tally.shots,
        round(seconds, 3),
        round(tally.seconds, 3),
        problem,
    )


# --- sides ---------------------------------------------------------------------------------------


def quell() -> tuple[str, Sequence[str], Side]:
    from peers import quell_side

    from quell import __version__

    names = [*quell_side.LEVELS, *quell_side.VARIANTS]
    return f"quell {__version__}", names, lambda case: measured(case, quell_side.prepared)


def vendor() -> tuple[str, Sequence[str], Side] | None:
    try:
        from peers import vendor_side
    except ImportError as missing:
        print(f"the vendor's estimator cannot be imported, its rows are left out: {missing}")
        return None

    def run(case: Case) -> Outcome:
        return measured(case, vendor_side.prepared, case.method not in vendor_side.SAME_SEED)

    return vendor_side.versions(), list(vendor_side.METHODS), run


def mitiq(python: str | None) -> tuple[str, Sequence[str], Side] | None:
    """Return mitiq here, or through a worker in another interpreter, which takes cases and gives outcomes as lines."""
    if python is None:
        try:
            from peers import mitiq_side
        except ImportError as missing:
            print(f"mitiq cannot be imported, its rows are left out (see --mitiq-python): {missing}")
            return None
        return (
            mitiq_side.versions(),
            list(mitiq_side.RECIPES),
            lambda case: measured(case, mitiq_side.prepared),
        )
    worker = subprocess.Popen(
        [python, __file__, "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(question: Any) -> Any:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(question) + "\n")
        worker.stdin.flush()
        for line in worker.stdout:
            if line.startswith(ANSWER):
                return json.loads(line[len(ANSWER) :])
        raise SystemExit(f"mitiq's worker stopped with code {worker.wait()}")

    hello = ask(None)
    return hello["versions"], hello["methods"], lambda case: Outcome.from_dict(ask(asdict(case)))


def work() -> None:
    """Answer cases that come as lines of JSON."""
    from peers import mitiq_side

    for line in sys.stdin:
        case = json.loads(line)
        answer = (
            {"versions": mitiq_side.versions(), "methods": list(mitiq_side.RECIPES)}
            if case is None
            else asdict(measured(Case(**case), mitiq_side.prepared))
        )
        print(ANSWER + json.dumps(answer), flush=True)


# --- what is run ---------------------------------------------------------------------------------


def chosen(asked: str | None, default: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return known methods: those asked for by name, or by the beginning of a name if none has it whole."""
    if asked is None:
        return [m for m in default if m in known]
    # Names hold commas: a part that begins with a digit belongs to the name before it.
    parts: list[str] = []
    for part in asked.split(","):
        if part[:1].isdigit() and parts:
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    found = []
    for part in parts:
        found += [part] if part in known else [m for m in known if m.startswith(part)]
    return list(dict.fromkeys(found))


def cases(arguments: argparse.Namespace, methods: Sequence[str]) -> Iterator[Case]:
    if arguments.part == "accuracy":
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            for family in arguments.families:
                for noise in arguments.noises:
                    for method in methods:
                        # mitiq's CDR of a Clifford circuit returns what the simulator says.
                        if "CDR" not in method or family == "ising6":
                            yield Case(method, family, noise, seed, arguments.shots)
        return
    for family in arguments.families:
        for noise in arguments.noises:
            for method in methods:
                ours = method.startswith("quell")
                for repetition in range(arguments.repeats if ours else arguments.peer_repeats):
                    yield Case(method, family, noise, arguments.first_seed, arguments.shots, repetition)


def show(outcome: Outcome) -> None:
    c = outcome.case
    where = f"{c.family} {c.noise} seed {c.seed} repetition {c.repetition} {c.method}"
    what = outcome.problem or f"error {outcome.error:+.5f} bar {outcome.stderr}"
    too_many = " TOO MANY SHOTS" if outcome.shots > c.shots else ""
    print(
        f"{where}: {what} circuits {outcome.circuits} shots {outcome.shots}{too_many} {outcome.seconds:.1f} s"
    )
    sys.stdout.flush()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("accuracy", "coverage"), default="accuracy")
    parser.add_argument(
        "--families", help=f"of {', '.join(FAMILIES)} (default: all; coverage: rb4, ghz6_stab)"
    )
    parser.add_argument("--noises", help=f"of {', '.join(NOISES)} (default: both; coverage: depolarizing)")
    parser.add_argument("--methods", help="names, or beginnings of names, separated by commas")
    parser.add_argument("--seeds", type=int, default=5, help="of circuits and shots (default 5)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--shots", type=int, help="in total (default 100 000; coverage: 20 000)")
    parser.add_argument("--repeats", type=int, default=COVERAGE_RUNS, help="of quell, for coverage (400)")
    parser.add_argument(
        "--peer-repeats", type=int, default=COVERAGE_PEER_RUNS, help="of peers, for coverage (40)"
    )
    parser.add_argument("--cache", type=Path, help="file of single values; what it has is not run again")
    parser.add_argument("--fresh-quell", action="store_true", help="run quell's methods again all the same")
    parser.add_argument("--no-run", action="store_true", help="only print tables of what the cache has")
    parser.add_argument(
        "--least", type=int, default=2, help="runs a recipe needs to be mitiq's best (default 2)"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    parser.add_argument(
        "--report", type=Path, help="folder for a report of each family and noise, as quell.compare's"
    )
    parser.add_argument("--mitiq-python", metavar="PATH", help="interpreter with mitiq, qiskit-aer and ply")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    coverage = arguments.part == "coverage"
    arguments.shots = arguments.shots or (COVERAGE_SHOTS if coverage else 100_000)
    families, noises = (
        (COVERAGE_FAMILIES, ("depolarizing",)) if coverage else (tuple(FAMILIES), tuple(NOISES))
    )
    arguments.families = arguments.families.split(",") if arguments.families else families
    arguments.noises = arguments.noises.split(",") if arguments.noises else noises
    unknown = [*{*arguments.families} - {*FAMILIES}, *{*arguments.noises} - {*NOISES}]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    return arguments


def tables(arguments: argparse.Namespace, rows: Sequence[Figures]) -> str:
    if arguments.part == "coverage":
        return coverage_table(rows, NOISE_TITLES)
    return (
        f"## Level 2 against its peers\n\n{summary_table(rows, NOISE_TITLES, arguments.least)}\n\n"
        "Ratios are mean absolute errors on the same seeds; n are all runs. The best of many recipes is picked by the\n"
        "errors that are shown, and so looks a little better than it is.\n\n"
        f"{accuracy_table(rows, NOISE_TITLES)}"
    )


def run(arguments: argparse.Namespace, cache: Cache) -> list[str]:
    """Run what the cache does not have; return versions."""
    sides = [quell(), vendor(), mitiq(arguments.mitiq_python)]
    here = [side for side in sides if side is not None]
    of_method = {method: side for _, methods, side in here for method in methods}
    default = COVERAGE_METHODS if arguments.part == "coverage" else DEFAULT_METHODS
    methods = chosen(arguments.methods, default, list(of_method))
    if not methods:
        raise SystemExit(f"no such methods here: {arguments.methods}; there are: {', '.join(of_method)}")
    print("; ".join(name for name, _, _ in here))
    print(f"methods: {'; '.join(methods)}")
    if arguments.fresh_quell:
        again = {m for m in methods if m.startswith("quell")}
        asked = {case.key for case in cases(arguments, sorted(again))}
        cache.forget(lambda case: case.key in asked)
    for case in cases(arguments, methods):
        if cache.get(case) is None:
            outcome = of_method[case.method](case)
            show(outcome)
            cache.add(outcome)
    return [name for name, _, _ in here]


def write_reports(folder: Path, outcomes: Sequence[Outcome], versions: Sequence[str]) -> None:
    from peers.compared import comparison

    for family, noise in dict.fromkeys((o.case.family, o.case.noise) for o in outcomes):
        mine = [o for o in outcomes if (o.case.family, o.case.noise) == (family, noise)]
        # Ours first, then by name.
        mine.sort(key=lambda o: (not o.case.method.startswith("quell"), o.case.method))
        target = folder / f"{family}_{noise}"
        comparison(mine, NOISE_TITLES[noise], versions).report(target, html=True)
        print(f"{target}")


def main() -> None:
    arguments = parsed()
    if arguments.worker:
        work()
        return
    cache = Cache(arguments.cache)
    versions = [] if arguments.no_run else run(arguments, cache)
    repetitions = arguments.part == "coverage"
    kept = [
        o
        for o in cache.outcomes()
        if o.case.shots == arguments.shots
        and o.case.family in arguments.families
        and o.case.noise in arguments.noises
        and (repetitions or o.case.repetition == 0)
    ]
    rows = figures(kept)
    text = tables(arguments, rows)
    print(f"\n{text}")
    for o in kept:
        if o.problem:
            print(f"failed: {o.case.family} {o.case.noise} seed {o.case.seed} {o.case.method}: {o.problem}")
    if arguments.markdown:
        arguments.markdown.write_text(f"{text}\n")
    if arguments.report:
        write_reports(arguments.report, kept, versions)
    if arguments.json:
        table = ",\n".join(json.dumps(r.plain()) for r in rows)
        head = json.dumps({"part": arguments.part, "shots": arguments.shots, "versions": versions})
        arguments.json.write_text(f'{head[:-1]}, "rows": [\n{table}\n]}}\n')


if __name__ == "__main__":
    main()
