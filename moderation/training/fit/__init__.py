"""Networks, losses and training. Only this package imports torch."""
