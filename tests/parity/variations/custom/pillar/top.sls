base: {'*': [stores]}
