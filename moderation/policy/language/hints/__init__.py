"""What an author probably meant: a hint for each kind of slip. None of it changes what is accepted."""
