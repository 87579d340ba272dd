encoded: aGVsbG8sIHdvcmxkCg==
