"""What benches of servers share: clients under load, servers in processes of their own, tables of what was seen."""
