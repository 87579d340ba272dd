base: {'*': [parity]}
