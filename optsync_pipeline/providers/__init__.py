"""One file a vendor. A provider turns a question about a symbol into standard rows or a typed error."""
