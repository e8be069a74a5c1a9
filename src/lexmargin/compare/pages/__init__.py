"""What a comparison shows: tables, figures, pages, files."""
