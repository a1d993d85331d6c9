-- In which minutes a token is refused, to learn who would miss it: the first one, the end, how far apart, and how many, in minutes.
ALTER TABLE token ADD COLUMN brownout TEXT;
