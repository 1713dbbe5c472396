"""The pages for people: who is registered, who came and left and why, what is kept, and a way to take somebody out."""
