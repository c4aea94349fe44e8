"""What stands between two marks of a documentation page."""


def between(text: str, begin: str, end: str, content: str) -> str:
    """``text`` with what stands between its first ``begin`` and the ``end`` behind it replaced by ``content``."""
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return head + begin + content + end + tail
