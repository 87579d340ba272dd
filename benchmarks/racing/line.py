"""A straight line through points, and how far they are from it."""


def fit(points):
    """The line of least squares.

    :param list points: ``(x, y)``, of two places at least
    :returns: ``(a, b)`` of y = a + b x
    """
    middle_x, middle_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)
    return middle_y - slope * middle_x, slope


def largest_deviation(points, line):
    """``(x, how far its y is above the line)`` of the point that is farthest from it."""
    start, slope = line
    return max(((x, y - start - slope * x) for x, y in points), key=lambda deviation: abs(deviation[1]))
