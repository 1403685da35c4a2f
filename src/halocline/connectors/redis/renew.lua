-- Holds on to claims. KEYS: records. ARGV: now (microseconds, "": the server's), lease (microseconds), how long a dead claim is
-- remembered (milliseconds), then the fence of each key. Answers 1 where it is still held, else 0.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local lease = tonumber(ARGV[2])
local expiry = math.ceil(lease / 1000) + ARGV[3]
local answers = {}
for i, key in ipairs(KEYS) do
    local row = redis.call('HMGET', key, 'state', 'fence')
    answers[i] = row[1] == 'claimed' and row[2] == ARGV[3 + i] and 1 or 0
    if answers[i] == 1 then
        redis.call('HSET', key, 'until', now + lease)
        redis.call('PEXPIRE', key, expiry)
    end
end
return answers
