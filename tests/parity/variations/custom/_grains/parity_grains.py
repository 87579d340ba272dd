def main():
    return {"parity": "grown", "parity_nested": {"of": "two"}}
