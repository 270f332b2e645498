"""The kinds of rules: one class per kind says all that the engine and the tools know about it.

`kind` states the contract, `registry` lists the kinds; docs/changing.md shows how to add one.
"""
