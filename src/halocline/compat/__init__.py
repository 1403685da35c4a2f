"""The module paths that earlier systems' documents use: re-exports only, changed in nothing but what those documents show."""
