"""English: dates as in logs and APIs, without a.m. and p.m."""
