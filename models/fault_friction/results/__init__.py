"""What the posterior says: how the fault moves, how much was learnt, figures and answers."""
