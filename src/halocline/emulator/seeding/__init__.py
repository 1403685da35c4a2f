"""What seeding is made of: random columns, words, blocks of rows, and a recipe for each object. `seed.py` is the way in."""
