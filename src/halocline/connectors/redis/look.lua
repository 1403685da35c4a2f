-- What there is of keys. KEYS: records. ARGV: now (microseconds, "": the server's).
-- Answers, for each key: state, fence, owner, since, until, deaths, attempts, told, payload; nothing where there is nothing.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local answers = {}
for i, key in ipairs(KEYS) do
    local row = redis.call('HMGET', key, 'state', 'fence', 'owner', 'since', 'until', 'deaths', 'attempts', 'told',
        'payload')
    local ends = row[1] == 'done' or row[1] == 'failed' or (row[1] == 'quarantined' and row[5] ~= '0')
    local over = ends and tonumber(row[5]) <= now
    local blank = row[1] == 'released' and row[6] == '0' and row[7] == '0'
    answers[i] = row[1] and not over and not blank and row or {}
end
return answers
