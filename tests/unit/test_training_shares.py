"""How threads share the gradient of a step: every chunk of slots once, and enough pieces for a network of few slots and many steps."""

import pytest

from neurosim.kernels.train import share_chunks


@pytest.mark.parametrize("n_steps", [1, 2, 28, 100])
@pytest.mark.parametrize("n_chunks", [0, 1, 2, 31, 33, 200])
def test_every_chunk_is_in_one_piece(n_chunks, n_steps):
    n_pieces, a_piece = share_chunks.py_func(n_chunks, n_steps)
    taken = [c for piece in range(n_pieces) for c in range(piece * a_piece, min((piece + 1) * a_piece, n_chunks))]
    assert taken == list(range(n_chunks))


def test_a_piece_is_worth_waking_a_thread():
    assert share_chunks.py_func(32, 1) == (1, 32), "8,192 slots of a network of one step are moved by one thread"
    assert share_chunks.py_func(200, 1) == (7, 29)
    assert share_chunks.py_func(40, 28) == (40, 1), "those of a sequence of 28 steps are shared"
