"""What drivers are made of: compiled blocks, modes, adaptation."""
