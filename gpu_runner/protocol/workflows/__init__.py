"""ComfyUI workflow templates: a graph in API format with named slots for a request's values. No torch, no Django."""
