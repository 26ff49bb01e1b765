# tries: returns a page that is longer than it may be
# end: output_too_large


def render(dataset, filters, params):
    return HTMLResult(html="x" * (32 << 20))
