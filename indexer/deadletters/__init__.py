"""Dead letters after they were written: listing, redriving and discarding them."""
