"""Import of workflow templates: files of ComfyUI, conversion of the editor's format, and proposed slots."""
