"""Annotated images: reading, features, splits by specimen and descriptions; imports `insects.tables` and the modules
directly in `insects`."""
