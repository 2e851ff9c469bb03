"""Board descriptions; the first one comes with the hard-IP adapters."""
