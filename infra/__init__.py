"""How Tidemark runs: the command line, local servers, containers, dashboards, decisions and runbooks."""
