"""Parts of incremental training: recipe, one epoch with frozen weights, margin thresholds, resumable state."""
