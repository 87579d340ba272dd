def serialize(obj, **options):
    return ", ".join(f"{key} {value}".upper() for key, value in sorted(obj.items())) + "\n"
