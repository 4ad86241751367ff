"""Traffic of servers: requests from traces and distributions, and their simulation."""
