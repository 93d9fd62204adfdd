"""Key points of people: body, hands and face, found by the networks of MediaPipe Holistic."""
