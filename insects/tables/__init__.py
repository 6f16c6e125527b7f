"""CSV tables: reading, checking and describing them; imports only the modules directly in `insects`."""
