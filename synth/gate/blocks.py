"""Blocks of the neuron and of the tile around it, by instance, and the components of T16's tables they belong to."""

NEURON_BLOCKS = {
    "bank": "sb_logic",
    "products": "products",
    "sum": "sum",
    "accumulators": "accumulators",
    "activation": "activation",
    "pool_lane": "pooling",
    "": "neuron",  # bias and shift
}

TILE_BLOCKS = {
    "nfu": "array",  # operands and the pipeline's control
    "engine": "engine",
    "post": "post",
    "dma": "dma",
    "arbiter": "arbiter",
    "fetch": "fetch",
    "control": "sequencer",
    "transfers": "queues",
    "computes": "queues",
    "nbin": "nbin_logic",
    "nbin_port": "nbin_logic",
    "nbout": "nbout_logic",
    "nbout_port": "nbout_logic",
    "margin": "margin",
    "": "tile",
}

COMPONENTS = {
    "NFU": ("products", "sum", "accumulators", "activation", "pooling", "neuron", "array"),
    "SB": ("sb_logic",),
    "NBin": ("nbin_logic",),
    "NBout": ("nbout_logic",),
    "control": ("engine", "post", "dma", "arbiter", "fetch", "sequencer", "queues", "tile"),
    "margin controller": ("margin",),
}
