parity: {driver: parity_store}
