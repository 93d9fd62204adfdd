"""Images of a request as references of a template."""
