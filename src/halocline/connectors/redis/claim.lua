-- Takes what is free, ended or failed. KEYS: records. ARGV: now (microseconds, "": the server's), owner, lease (microseconds),
-- how long a dead claim is remembered (milliseconds), then the payload of each key.
-- Answers, for each key: what was found, fence, microseconds left, deaths, attempts, told; then the state and the fence before.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local owner, lease = ARGV[2], tonumber(ARGV[3])
local expiry = math.ceil(lease / 1000) + ARGV[4]
local answers = {}
for i, key in ipairs(KEYS) do
    local row = redis.call('HMGET', key, 'state', 'fence', 'until', 'owner', 'deaths', 'attempts', 'payload', 'told')
    local state, till, payload = row[1] or '', tonumber(row[3]) or 0, row[7] or ''
    local fence, deaths, attempts = tonumber(row[2]) or 0, tonumber(row[5]) or 0, tonumber(row[6]) or 0
    if (state == 'done' or state == 'failed' or (state == 'quarantined' and till > 0)) and till <= now then
        state, deaths, attempts, payload = '', 0, 0, ''
    end
    local wanted = ARGV[4 + i]
    if wanted ~= '' and payload ~= '' and wanted ~= payload then
        answers[i] = {'mismatch', 0, 0, deaths, attempts, '', state, fence}
    elseif state == 'done' or state == 'quarantined' then
        answers[i] = {state, 0, 0, deaths, attempts, row[8], state, fence}
    elseif state == 'claimed' and till > now and row[4] ~= owner then
        answers[i] = {'held', 0, till - now, deaths, attempts, '', state, fence}
    else
        if state == 'claimed' and till <= now then deaths = deaths + 1 end
        local new = math.max(now, fence + 1)
        redis.call('HSET', key, 'state', 'claimed', 'fence', new, 'until', now + lease, 'owner', owner, 'since', now,
            'deaths', deaths, 'attempts', attempts, 'payload', wanted ~= '' and wanted or payload, 'told', '')
        redis.call('PEXPIRE', key, expiry)
        answers[i] = {'ours', new, lease, deaths, attempts, '', state, fence}
    end
end
return answers
