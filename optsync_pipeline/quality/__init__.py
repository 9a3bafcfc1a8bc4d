"""What makes a row sound and a quote sellable. Judges rows; fetches and stores nothing."""
