"""The model server: its client, pulling models, and archives of them."""
