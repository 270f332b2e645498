"""Work with policies: cases, explain, diff, backtest, new clients and their reports."""
