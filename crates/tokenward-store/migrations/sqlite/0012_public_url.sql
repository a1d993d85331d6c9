-- Where the server that was started last is reached: links that are made beside it name that address.
ALTER TABLE meta ADD COLUMN public_url TEXT;
