"""Images with an annotations CSV, from files to a table of features and to splits that keep a specimen whole."""
