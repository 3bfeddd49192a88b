"""log Z that is right, or says that it is not: many bases, strata, and rigorous lower bounds."""
