"""From checked files to effective policies: inheritance, lists and list files."""
