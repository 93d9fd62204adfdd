"""Training of LoRAs: a server process that speaks the runner's protocol, and a worker process for each training.

The server needs no torch. It gives each job to a worker of its own, so that a training has its own device context, frees all
memory at its end, and can be killed at any time: the worker saves its state and the next attempt resumes from it.
"""
