"""The `utils` of the demand pipeline are found at `halocline.compat.demand.utils`."""
