"""The pages of the buyer: basket, checkout, orders and what may follow them, account."""
