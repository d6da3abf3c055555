collect_ignore = ["fifty_agents"]  # a suite of its own, which a test here runs
