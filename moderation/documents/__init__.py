"""Files that people write: strict YAML with a place for every value, and mistakes that name their place."""
