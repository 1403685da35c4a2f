-- The shop's own database, as any application would fill it.
CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, revenue DECIMAL(14, 2), gone BOOLEAN);
INSERT INTO customers VALUES
    (1, 'ACME Corp', '555-0001', 12000000.00, false),
    (2, 'Globex Inc', '555-0002', 2000000.00, false),
    (3, 'Hooli', NULL, 50.25, false);
