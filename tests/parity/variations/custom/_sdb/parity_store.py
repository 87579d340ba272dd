def get(key, profile=None):
    return "stored " + key
