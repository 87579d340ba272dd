"""The contests, in the order in which they are shown.  A new contest is a class of its own and a word in this list."""

from peers import diskimage_builder, disks, edits, floor, mkosi, mmdebstrap, ours

CONTESTS = [
    ours.CleanBuild,
    edits.Incremental,
    edits.Unchanged,
    edits.Many,
    disks.Triplet,
    disks.Outputs,
    disks.Ours,
    disks.Mkosi,
    disks.DiskimageBuilder,
    mkosi.Mkosi,
    mkosi.Incremental,
    mmdebstrap.Mmdebstrap,
    diskimage_builder.PreparedBase,
    diskimage_builder.StockCache,
    floor.Floor,
    ours.Ping,
]
