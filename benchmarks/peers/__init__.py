"""The parts of ``benchmarks/peers.py``; only `mitiq_side` needs mitiq, only `vendor_side` the vendor's package."""
