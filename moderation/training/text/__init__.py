"""Training of text models: lines of a table → embeddings of a published encoder → calibrated heads."""
