-- Gives a claim the same fence and counts on each master that granted it. KEYS: records. ARGV: for each key: the fence that this
-- master gave, the fence to have, deaths, attempts. Answers 1 where the claim was still there, else 0.
local answers = {}
for i, key in ipairs(KEYS) do
    local row = redis.call('HMGET', key, 'state', 'fence')
    answers[i] = row[1] == 'claimed' and row[2] == ARGV[4 * i - 3] and 1 or 0
    if answers[i] == 1 then
        redis.call('HSET', key, 'fence', ARGV[4 * i - 2], 'deaths', ARGV[4 * i - 1], 'attempts', ARGV[4 * i])
    end
end
return answers
