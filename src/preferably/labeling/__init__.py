"""The labeling app: people compare completions in the browser, and what they say goes into the store."""
