"""Polish: Newton steps on KKT systems, from a solver's answer to the certificate's tolerance."""
