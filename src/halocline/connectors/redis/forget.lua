-- Lets keys be claimed anew. KEYS: records, then the list of those set aside. ARGV: now (microseconds, "": the server's), how long
-- the fence is remembered (microseconds), the only state to forget ("": any), then the name of each key. Answers 1 where something
-- was forgotten; 0 where there was nothing (of it), or somebody holds it now.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local span, only = tonumber(ARGV[2]), ARGV[3]
local answers = {}
for i = 1, #KEYS - 1 do
    local row = redis.call('HMGET', KEYS[i], 'state', 'until', 'deaths', 'attempts')
    local ends = row[1] == 'done' or row[1] == 'failed' or (row[1] == 'quarantined' and row[2] ~= '0')
    local over = ends and tonumber(row[2]) <= now
    local held = row[1] == 'claimed' and tonumber(row[2]) > now
    local blank = row[1] == 'released' and row[3] == '0' and row[4] == '0'
    local meant = only == '' or row[1] == only
    answers[i] = row[1] and meant and not over and not held and not blank and 1 or 0
    if answers[i] == 1 then
        redis.call('HSET', KEYS[i], 'state', 'released', 'owner', '', 'since', now, 'until', now + span,
            'deaths', 0, 'attempts', 0, 'payload', '', 'told', '')
        redis.call('PEXPIRE', KEYS[i], math.ceil(span / 1000))
        redis.call('ZREM', KEYS[#KEYS], ARGV[3 + i])
    end
end
return answers
