"""Making a model: dataset, train, calibrate, evaluate, export. The only place that imports torch."""
