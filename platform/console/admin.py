"""What the console shows. Django looks for this module; each part registers its pages."""
