"""Danbooru tags of WD14 taggers that name a style, a medium or a genre, as prompts write them."""

STYLES = frozenset(
    {
        *("traditional media", "watercolor (medium)", "painting (medium)", "oil painting (medium)", "acrylic paint (medium)"),
        *("ink (medium)", "marker (medium)", "colored pencil (medium)", "graphite (medium)", "charcoal (medium)"),
        *("gouache (medium)", "pastel (medium)", "crayon (medium)", "ballpoint pen (medium)", "nib pen (medium)"),
        *("photo (medium)", "mixed media", "faux traditional media", "photorealistic", "realistic", "3d", "pixel art"),
        *("sketch", "lineart", "no lineart", "monochrome", "greyscale", "sepia", "spot color", "limited palette"),
        *("partially colored", "flat color", "pastel colors", "muted color", "colorful", "high contrast", "anime coloring"),
        *("chibi", "comic", "4koma", "cover", "game cg", "concept art", "unfinished", "silhouette", "abstract", "surreal"),
        *("retro artstyle", "1980s (style)", "1990s (style)", "2000s (style)", "toon (style)", "western comics (style)"),
        *("cartoonized", "ukiyo-e", "nihonga", "art nouveau", "art deco", "impressionism", "fine art parody"),
        *("stained glass", "oekaki", "cyberpunk", "steampunk", "fantasy", "science fiction", "horror (theme)", "vaporwave"),
    }
)  # fmt: skip
