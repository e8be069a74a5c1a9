"""Modelling systems and the solvers behind them."""
