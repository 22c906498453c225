"""The worker shell for engines that are Python libraries, and those engines."""
