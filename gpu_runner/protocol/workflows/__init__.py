"""ComfyUI workflows as templates: a graph in API format, and named slots where a request's values go. No torch, no Django."""
