-- Every sellable contract, for reading in parts (FETCH n FROM premium_rows) of one snapshot.
DECLARE premium_rows NO SCROLL CURSOR FOR
SELECT * FROM stock_premiums
