const about = /*about*/null;
