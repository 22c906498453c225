"""What may leave this machine: labels, the detector of personal data, redaction, receipts."""
