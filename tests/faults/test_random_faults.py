"""Random faults against random operations: no acknowledged write is ever lost.

`BAMBUFS_FAULTS_SEED` sets the seed, which a failure prints, to see it again.
"""

from __future__ import annotations

import os
import random
import sys

import pytest

from tests.faults.random_faults import run
from tests.faults.world import P1S, X1C

FEW, MANY = 25, 150
SHARDS = 4
"""Twice so many runs of `MANY` faults are 1,200 in `make soak`."""

pytestmark = pytest.mark.filterwarnings(
    # See the fault matrix: the collector closes what `ssl.wrap_socket` forgets.
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


def _seed() -> int:
    return int(os.environ.get("BAMBUFS_FAULTS_SEED") or random.SystemRandom().randrange(1_000_000))


@pytest.mark.parametrize("family", [X1C, P1S])
def test_nothing_is_lost(family: str) -> None:
    tally = run(family, _seed(), FEW, seconds=60)
    sys.stdout.write(f"{family}: {tally}\n")
    assert tally.faults >= FEW // 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("family", [X1C, P1S])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_is_lost_in_the_long_run(family: str, shard: int) -> None:
    tally = run(family, _seed() + 1000 * shard, MANY, seconds=800)
    sys.stdout.write(f"{family}: {tally}\n")
    assert tally.faults >= MANY
