"""Every case of colour, metadata and file structure, and the browser that they are compared with."""
