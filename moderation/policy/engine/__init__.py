"""From scored events to decisions: the arrays, the rules and the encoding of a decision."""
