"""The contests, in the order in which they are told.  A new one is a class of its own and a word in this list."""

from peers import diskimage_builder, floor, mkosi, mmdebstrap, ours

CONTESTS = [
    ours.CleanBuild,
    mkosi.Mkosi,
    mmdebstrap.Mmdebstrap,
    diskimage_builder.PreparedBase,
    diskimage_builder.StockCache,
    floor.Floor,
    ours.Ping,
]
