"""Django's PostgreSQL backend, whose transactions can travel with what is done in them."""
