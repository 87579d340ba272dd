def render(data, saltenv="base", sls="", **kws):
    text = data if isinstance(data, str) else data.read()
    return text.upper()
