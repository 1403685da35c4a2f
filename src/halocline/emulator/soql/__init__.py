"""SOQL: text -> tokens (`lexer`) -> tree (`parser`, `ast`) -> plan in SQL (`compile` and the files it uses)."""
