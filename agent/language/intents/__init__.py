"""The phrases of ordering, a table an intent and a pattern a line, in the forms of eight countries.

Voseo (`agregame`, `poneme`), tuteo (`agrégame`, `ponme`), usted (`póngame`, `agrégueme`), bare infinitives, English and
the commonest Portuguese; all folded, so accents do not matter. The first pattern of a table that fits is taken.
"""
