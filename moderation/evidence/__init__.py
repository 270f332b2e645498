"""Evidence: the answers of each source on an image, and how they become one number per label.

contract:     the wire model of every answer.
source:       the interface of a source, and the cache key of its answers.
image_model:  the first source: the model behind Triton.
joining:      evidence → one score per label, by the label catalogue.
version_1:    scored events of the version before evidence.
"""
