"""The language: what actors say to each other and what journals keep. Imports nothing of ours."""
