"""The engine on a device beside the engine on the host."""
