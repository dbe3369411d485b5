"""Pure functions on arrays: Paulis, angles, draws, parities. numpy and scipy only."""
