-- A copy that nothing read: the position of a flow is in its destination, beside the rows.
DROP TABLE positions;
