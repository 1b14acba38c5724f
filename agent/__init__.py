"""The ordering agent: LangGraph over the same search, orders that are submitted once, a chat API and its page.

The layers, each importing only from those before it (import-linter holds it):

    domain        errors · language · conversation
    application   settings · ports · resolve · tools · replies, planners · turns
    adapters      storage · checkpoints, catalogue, orders · threads
    entrypoints   tracing, metrics · chat · process · api · bootstrap; testing and evaluation stand beside them
"""
