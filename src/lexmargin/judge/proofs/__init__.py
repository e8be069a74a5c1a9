"""Proofs: in rationals, or in balls by Krawczyk's operator."""
