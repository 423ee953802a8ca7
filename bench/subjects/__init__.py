"""What is measured: the processes and stores of each subject, and a turn in which one of them runs alone."""
