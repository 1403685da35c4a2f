"""`iniesta.x` is found at `halocline.compat.iniesta.x`."""
