"""The money book: journal, accounts and balances per merchant and currency."""
