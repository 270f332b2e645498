"""How good a model is: metrics, evaluation, report and card."""
