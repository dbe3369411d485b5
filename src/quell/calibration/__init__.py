"""What stages must know about a device, and how it is learned."""
