-- Says what became of claims. KEYS: records, then the list of those set aside. ARGV: now (microseconds, "": the server's), the
-- word, for how long (microseconds, "": it stays), then for each key: its name, its fence, what is told.
-- Answers 1 where the word counts, be it for the second time, and 0 where the claim was lost: nothing is changed then.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local word, span = ARGV[2], tonumber(ARGV[3])
local answers = {}
for i = 1, #KEYS - 1 do
    local key, told = KEYS[i], ARGV[3 * i + 3]
    local row = redis.call('HMGET', key, 'state', 'fence', 'deaths', 'attempts')
    local counts = row[2] == ARGV[3 * i + 2] and (row[1] == 'claimed' or row[1] == word)
    answers[i] = counts and 1 or 0
    if counts and row[1] == 'claimed' then
        redis.call('HSET', key, 'state', word, 'since', now, 'until', span and now + span or 0, 'told', told)
        if word == 'failed' then
            redis.call('HSET', key, 'deaths', 0, 'attempts', row[4] + 1)
        elseif word == 'released' and row[3] == '0' and row[4] == '0' then
            redis.call('HSET', key, 'payload', '')
        end
        if word == 'quarantined' then redis.call('ZADD', KEYS[#KEYS], now, ARGV[3 * i + 1]) end
        if span then
            redis.call('PEXPIRE', key, math.max(1, math.ceil(span / 1000)))
        else
            redis.call('PERSIST', key)
        end
    end
end
-- What was set aside for a while and is over leaves the list: looked for at a few places a call, which change with the instant.
if word == 'quarantined' then
    local list, prefix = KEYS[#KEYS], string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[4])
    local first = now % math.max(1, redis.call('ZCARD', list))
    for _, name in ipairs(redis.call('ZRANGE', list, first, first + 2 * #KEYS)) do
        local row = redis.call('HMGET', prefix .. name, 'state', 'until')
        local stays = row[1] == 'quarantined' and (row[2] == '0' or tonumber(row[2]) > now)
        if not stays then redis.call('ZREM', list, name) end
    end
end
return answers
