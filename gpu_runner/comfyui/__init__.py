"""ComfyUI adapter: serves the runner protocol and executes jobs on a ComfyUI server over HTTP and websocket."""
