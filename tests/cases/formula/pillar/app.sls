app: {port: 8080, nested: {right: pillar}}
