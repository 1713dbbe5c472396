"""The documents that readers get, made once for each change and served again and again."""
