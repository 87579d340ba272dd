def word():
    return "of utils"
