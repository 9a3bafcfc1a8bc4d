-- A job's refused contracts by rule.
SELECT rule, count(*) AS contracts
  FROM rejected_quotes
 WHERE job_id = %(job_id)s
 GROUP BY rule
 ORDER BY contracts DESC
