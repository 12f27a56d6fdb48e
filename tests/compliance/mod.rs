mod svok;
