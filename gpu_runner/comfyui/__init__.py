"""A ComfyUI server as a runner: our protocol towards the platform, ComfyUI's HTTP and websocket towards the server."""
