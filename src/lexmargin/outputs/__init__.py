"""What people look at: tables, figures, and how far work has come."""
