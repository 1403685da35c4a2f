"""`lht.salesforce.x` is found at `halocline.compat.lht.salesforce.x`."""
