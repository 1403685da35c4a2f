"""The command line: one file a verb; each parses its arguments, makes one library call and prints."""
