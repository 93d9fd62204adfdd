"""Text model of the operator: an OpenAI-compatible chat API that expands, optimizes and translates prompts, and
describes images if it is a vision model.
"""
