"""Tools of the project itself: set-up, pictures. Nothing here is imported by the product."""
