"""1d: backpropagation through a graph: errors are added, and passed on when they are complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from minilocal.teach.exercise import Case, Exercise, Mistake

Edges = list[tuple[int, int, float]]


def errors(nodes: int, edges: list[tuple[int, int, float]]) -> np.ndarray:
    """∂(last node)/∂(node) of every node.        →  (nodes,)

    An edge (i, j, d) says that node j reads node i, with ∂j/∂i = d. Nodes are numbered so that i < j; the edges are in
    any order, and two nodes may have several.
    """
    e = np.zeros(nodes)
    e[-1] = 1
    for node in reversed(range(nodes)):
        for i, j, d in edges:
            if j == node:
                e[i] += d * e[j]
    return e


def reference(nodes: int, edges: Edges) -> np.ndarray:
    """The last column of (1 - D)⁻¹, the sum over all paths, where D[i, j] = ∂j/∂i."""
    D = np.zeros((nodes, nodes))
    for i, j, d in edges:
        D[i, j] += d
    return np.linalg.inv(np.eye(nodes) - D)[:, -1]


def in_order(order: Callable[[Edges], Iterable[tuple[int, int, float]]], add: bool = True) -> Callable[..., np.ndarray]:
    """Backpropagation, edge by edge in an order."""

    def answer(nodes: int, edges: Edges) -> np.ndarray:
        e = np.zeros(nodes)
        e[-1] = 1
        for i, j, d in order(edges):
            e[i] = d * e[j] + (e[i] if add else 0)
        return e

    return answer


def without_seed(nodes: int, edges: Edges) -> np.ndarray:
    return reference(nodes, edges) * (np.arange(nodes) < nodes - 1)


def one_edge_each(nodes: int, edges: Edges) -> np.ndarray:
    """The edges by their two nodes, as in a dict: the last one stays."""
    by_nodes = {(i, j): d for i, j, d in edges}
    return reference(nodes, [(i, j, d) for (i, j), d in by_nodes.items()])


def cases(rng: np.random.Generator) -> Iterator[Case]:
    yield 4, [(2, 3, 1.0), (0, 1, 6.0), (1, 3, 1.0), (1, 2, 18.0)]  # b = a², c = b², d = c + b at a = 3: 114
    for nodes in (6, 9):
        edges = [(int(rng.integers(0, j)), j, rng.standard_normal()) for j in range(1, nodes) for _ in range(2)]
        edges += [(i, nodes - 1, rng.standard_normal()) for i in range(nodes - 1)]
        yield nodes, [edges[n] for n in rng.permutation(len(edges))]


EXERCISE = Exercise(
    id="1d",
    question="Backpropagate through a graph in which a node may have several readers.",
    solution=errors,
    reference=reference,
    against="the sum over all paths",
    returns=("errors",),
    cases=cases,
    mistakes=(
        Mistake(
            "the error of one reader replaces that of another: errors are added, +=",
            in_order(lambda edges: sorted(edges, key=lambda edge: -edge[1]), add=False),
        ),
        Mistake(
            "an error is passed on before all of it is there: the order is that of the list", in_order(lambda e: e)
        ),
        Mistake(
            "an error is passed on before all of it is there: the list from its end is no order of the nodes",
            in_order(lambda e: e[::-1]),
        ),
        Mistake("two edges between the same two nodes are taken for one: both count", one_edge_each),
        Mistake("the order is first to last: an error comes from the readers", in_order(lambda e: sorted(e))),
        Mistake("the last node's own error, 1, is missing", without_seed),
    ),
)
