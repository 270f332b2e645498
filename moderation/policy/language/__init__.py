"""The language of policy files: schema, checks, expressions and hints."""
