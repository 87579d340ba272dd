def main():
    print("said")
