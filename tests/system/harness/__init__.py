"""What the system tests share: a server under test, its clients, its surroundings."""
