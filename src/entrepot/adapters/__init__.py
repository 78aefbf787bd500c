"""The outside: carriers, payment providers, customs gateways, documents."""
