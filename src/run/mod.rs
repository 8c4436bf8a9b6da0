//! Wires the rooms: queues, threads, resume, signals, the closing table.
