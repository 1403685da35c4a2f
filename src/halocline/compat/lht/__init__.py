"""`lht.x` is found at `halocline.compat.lht.x`."""
