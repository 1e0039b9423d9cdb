mod gaps;
