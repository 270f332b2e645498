"""Evidence: what each source says of an image, and how several sources become one number per label.

contract:     the wire model that every source answers with.
source:       the seam that a source implements, and the key that its answers are cached under.
image_model:  the first source: the model behind Triton.
joining:      evidence → one score per label, by the label catalogue.
version_1:    scored events as they were before there was evidence.
"""
