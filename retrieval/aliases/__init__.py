"""Aliases: the trade's regional vocabulary as data, shared and per tenant, and the rewriting of queries by it."""
