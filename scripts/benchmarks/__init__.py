"""What `scripts/bench` is made of: tasks, contestants as processes, rounds, tables and the page that keeps them."""
