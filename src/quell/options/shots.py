"""How the shots of one PUB are spread over random members."""

from __future__ import annotations

from .effective import DEFAULT_SHOTS
from .resolved import ResolvedTwirling

#: Random members of a circuit where the user leaves the number to us: at least, and at most
NUM_RANDOMIZATIONS = 32
MOST_RANDOMIZATIONS = 128
#: where each has so many shots. With more shots what differs between members is the larger part of the error.
SHOTS_OF_EACH = 256
#: Least shots of the readout calibration of samples where the user leaves the number to us: with fewer, matrices are
#: not known well enough to be inverted, however few shots they are to correct.
LEAST_CALIBRATION_SHOTS = 1000


def twirling_shots(requested: int, twirling: ResolvedTwirling, *, explicit: bool = False) -> tuple[int, int]:
    """Return how an estimator spreads shots over random members, rounding up.

    If both numbers are "auto" there are 32 members whenever there are 32 shots. The V2 runtime prefers at
    least 64 shots per member and so drops to two members at 100 shots; but the error bar is the spread
    *between* members, and with few members that spread has too few degrees of freedom to be trusted. From 8192 shots
    on there are more members, up to 128, of at least 256 shots.

    Args:
        requested: Shots that the target precision asks for, at least 1.
        twirling: What is twirled and how.
        explicit: Whether run() or the PUB asked for them. If so they win over
            `num_randomizations * shots_per_randomization`, which otherwise wins over a default.

    Returns:
        `(num_randomizations, shots_per_randomization)`; `(1, requested)` without twirling.
    """
    if not twirling.enabled:
        return 1, requested
    if twirling.product is not None and not explicit:
        requested = twirling.product
    num, shots = twirling.num_randomizations, twirling.shots_per_randomization
    if isinstance(num, int):
        return num, _ceil_div(requested, num)
    if isinstance(shots, int):
        return _ceil_div(requested, shots), shots
    members = max(NUM_RANDOMIZATIONS, min(MOST_RANDOMIZATIONS, requested // SHOTS_OF_EACH))
    members = min(members, requested)
    return members, _ceil_div(requested, members)


def sampler_shots(
    requested: int | None, twirling: ResolvedTwirling, default_shots: int = DEFAULT_SHOTS
) -> tuple[int, ...]:
    """Return the shots of each random member of a sampler; their sum is exact.

    A sampler returns its shots, so their number is a promise: what cannot be split evenly is given to the
    first members, one shot each. There are never more members than shots.

    Args:
        requested: Shots of the PUB or of run(), at least 1; None if neither gave any. If given they win over
            `num_randomizations * shots_per_randomization`, which wins over `default_shots`.
        twirling: What is twirled and how.
        default_shots: Shots where nothing else says how many, as in `ResolvedSampler.default_shots`.

    Returns:
        Shots per member, differing by at most one; a single entry without twirling.
    """
    if requested is None:
        requested = twirling.product or default_shots
    num, _ = twirling_shots(requested, twirling, explicit=True)
    num = min(num, requested)
    share, rest = divmod(requested, num)
    return (share + 1,) * rest + (share,) * (num - rest)


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
