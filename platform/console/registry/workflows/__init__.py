"""Admin pages of workflow templates: import, drawing, check on the servers, and trial."""
