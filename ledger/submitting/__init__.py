"""What a submit says, checked and made into a command: for clients and for handlers alike."""
