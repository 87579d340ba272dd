base: {'*': [all]}
