"""From a checkpoint to the graph that Triton serves."""
