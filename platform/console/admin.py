"""Admin module of the app; Django's autodiscovery imports it, and with it the page modules of each subfolder."""
