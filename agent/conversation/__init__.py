"""What a conversation is: its state, the cards that were shown, its open order, its turns and their bounds."""
