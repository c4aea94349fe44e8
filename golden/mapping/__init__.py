"""Maps nested increments of a network to one program and DRAM image of the tile."""

from golden.mapping.mapped import Mapped
from golden.mapping.mapper import map_network

__all__ = ["Mapped", "map_network"]
