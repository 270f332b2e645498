"""What a policy file may say: strict YAML, the schema, entries, expressions and mistakes."""
