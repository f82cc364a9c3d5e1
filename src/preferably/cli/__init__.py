"""The command: parse, call, print. Heavy imports happen inside the verbs."""
