"""What configs can name, for people to look up: the parts of each kind, and the keys of each section.

`parts` has them by kind, `keys` those of a config; `example` writes for each a config to paste, and `text` all of it
as people read it. Nothing here imports lightning, and nothing of torch but what registers layers, heads and the like.
"""
