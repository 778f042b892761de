#!/usr/bin/env python3
"""Writes the DIMACS files in cnf/, always the same ones: `./generate.py`, or `./generate.py OTHER_FOLDER`.

The instances are small enough to be committed and hard enough to tell solvers apart: unsatisfiable pigeonhole
formulas, random 3-SAT near the threshold of 4.26 clauses a variable, and colourings of random graphs.
"""

import random
import sys
from itertools import combinations
from pathlib import Path


def pigeonhole(holes):
    """One pigeon more than holes, no two in one hole: unsatisfiable, and exponential for resolution."""
    at = lambda pigeon, hole: pigeon * holes + hole + 1
    for pigeon in range(holes + 1):
        yield [at(pigeon, hole) for hole in range(holes)]
    for hole in range(holes):
        for one, other in combinations(range(holes + 1), 2):
            yield [-at(one, hole), -at(other, hole)]


def random_3sat(variables, ratio, seed):
    rng = random.Random(seed)
    for _ in range(round(variables * ratio)):
        yield [v if rng.random() < 0.5 else -v for v in rng.sample(range(1, variables + 1), 3)]


def colouring(vertices, degree, colours, seed):
    """Whether a random graph of that average degree can be coloured."""
    rng = random.Random(seed)
    edges = rng.sample(list(combinations(range(vertices), 2)), vertices * degree // 2)
    has = lambda vertex, colour: vertex * colours + colour + 1
    for vertex in range(vertices):
        yield [has(vertex, colour) for colour in range(colours)]
    for one, other in sorted(edges):
        for colour in range(colours):
            yield [-has(one, colour), -has(other, colour)]


def write(path, clauses):
    clauses = list(clauses)
    variables = max(abs(literal) for clause in clauses for literal in clause)
    lines = [f"p cnf {variables} {len(clauses)}"]
    lines += [" ".join(map(str, clause)) + " 0" for clause in clauses]
    path.write_text("\n".join(lines) + "\n")


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "cnf")
    folder.mkdir(parents=True, exist_ok=True)
    for holes in (6, 7, 8):
        write(folder / f"hole{holes}.cnf", pigeonhole(holes))
    for variables, seed in ((200, 1), (200, 2), (250, 2), (250, 7)):
        write(folder / f"random{variables}-{seed}.cnf", random_3sat(variables, 4.26, seed))
    for degree in (4, 5):
        write(folder / f"colour150-{degree}.cnf", colouring(150, degree, 3, seed=degree))


if __name__ == "__main__":
    main()
