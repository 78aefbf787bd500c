"""The commands of the `entrepot` program."""
