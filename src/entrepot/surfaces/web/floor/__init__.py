"""Pages of the warehouse floor: scanner or keyboard, one scan per step."""
