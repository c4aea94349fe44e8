"""T16's evaluation, run on the tile: its tables and figures from one JSON (docs/results/t16.json)."""
