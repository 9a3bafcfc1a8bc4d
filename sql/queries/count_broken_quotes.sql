-- How many rows of stock_premiums are quoted so that nobody could sell at the bid. The table's constraints forbid it.
SELECT count(*) AS rows,
       count(*) FILTER (WHERE bid <= 0 OR ask <= 0) AS zero,
       count(*) FILTER (WHERE ask < bid) AS crossed
  FROM stock_premiums
