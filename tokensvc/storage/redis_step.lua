-- One step of the store, whole or not at all: what this process saw is compared with what is here, then every
-- operation of the call is decided and written in turn. The counterpart of ledger.py and loss.py, which say why.
--
-- An operation looks before it writes. Redis decides about memory, disk and role once for the whole script, and logs all
-- its writes as one unit. Should a write fail all the same (somebody made a key of another kind), the step ends there:
-- what bars a token is written before the record that would tell of one.
--
-- Texts that may be absent come and go as '' (absent) or '=' and the text; a note that may come again as '~' and the
-- text, so that equal means repeatable both times with one note. Numbers stay the text that they came as;
-- compared they are doubles, exact for every time that JSON can express.

local STATE, MARKS, REVOCATIONS, ENDS, RECORDS, INDEX, CLAIM =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]

local place = 0

local function take()
  place = place + 1
  return ARGV[place]
end

local function take_number()
  return tonumber(take())
end

local function whole(number)
  return string.format('%.0f', number)
end

-- The head of the call, in the order of redis_steps.py.
local now = take()
local may_make = take() == '1'
local seen = {id = take(), sequence = take(), mark = take(), at = take_number()}
local fresh = {id = take(), mark = take()}
local made_at, lost_at, first_position = take(), take(), take_number()
local marks_kept, kept_after_end = take_number(), take_number()
local issuers = {}
for n = 1, take_number() do
  issuers[n] = take()
end

-- Revocations.

local function later(one, other)
  if one == '-' or other == '-' then
    return '-'
  end
  return tonumber(one) >= tonumber(other) and one or other
end

local function put_in_force(field, not_before, ends)
  local held = redis.call('HGET', REVOCATIONS, field)
  if held then
    local old_not_before, old_ends = string.match(held, '^(%S+) (%S+)$')
    not_before, ends = later(not_before, old_not_before), later(ends, old_ends)
  end
  redis.call('HSET', REVOCATIONS, field, not_before .. ' ' .. ends)
  if ends == '-' then
    redis.call('ZREM', ENDS, field)
  else
    redis.call('ZADD', ENDS, ends, field)
  end
end

local function take_revocables()
  local revocables = {}
  for n = 1, take_number() do
    revocables[n] = {field = take(), iat = take_number()}
  end
  return revocables
end

local function is_any_revoked(revocables)
  for _, revocable in ipairs(revocables) do
    local held = redis.call('HGET', REVOCATIONS, revocable.field)
    if held then
      local not_before = string.match(held, '^(%S+) ')
      if not_before == '-' or revocable.iat <= tonumber(not_before) then
        return true
      end
    end
  end
  return false
end

-- The state, and whether it descends from what the caller saw.

local names = redis.call('HMGET', STATE, 'id', 'sequence', 'mark', 'forgotten_at', 'lost_at')
local state = {
  id = names[1],
  sequence = tonumber(names[2] or '0'),
  mark = names[3],
  forgotten_at = names[4] and tonumber(names[4]),
  lost_at = names[5] and tonumber(names[5]),
}

local function descends()
  if not state.id then
    return false
  end
  if seen.id == '' then
    return true
  end
  if state.id ~= seen.id then
    return state.lost_at and state.lost_at >= seen.at
  end
  local mark = redis.call('HGET', MARKS, seen.sequence)
  if not mark then
    return state.sequence - tonumber(seen.sequence) >= marks_kept
  end
  return mark == seen.mark
end

local function leave_mark()
  state.sequence, state.mark = state.sequence + 1, fresh.mark
  redis.call('HSET', STATE, 'sequence', whole(state.sequence), 'mark', state.mark)
  redis.call('HSET', MARKS, whole(state.sequence), state.mark)
  redis.call('HDEL', MARKS, whole(state.sequence - marks_kept))
end

local function begin_anew(forgotten_at, dead)
  local last = redis.call('XREVRANGE', RECORDS, '+', '-', 'COUNT', 1)[1]
  local last_position = last and tonumber(string.match(last[1], '^(%d+)-')) or 0
  state.id = fresh.id
  state.sequence = math.max(state.sequence, tonumber(seen.sequence), first_position, last_position)
  state.forgotten_at = math.max(tonumber(forgotten_at), state.forgotten_at or 0)
  redis.call('HSET', STATE, 'id', state.id, 'forgotten_at', whole(state.forgotten_at))
  redis.call('DEL', MARKS)
  for n = 1, dead do
    put_in_force('issuer:' .. issuers[n], forgotten_at, '-')
  end
  leave_mark()
end

local found = 'known'
if not descends() then
  if may_make and not state.id and seen.id == '' then
    found = 'made'
    begin_anew(made_at, 1)
  else
    found = 'lost'
    begin_anew(lost_at, #issuers)
    redis.call('HSET', STATE, 'lost_at', whole(state.forgotten_at))
  end
end

-- Claims and records.

local has_changed = false
local records_added = 0

local function take_claims()
  local claims = {}
  for n = 1, take_number() do
    claims[n] = {value = take(), ends = take(), made = take_number(), note = take()}
  end
  return claims
end

local function held_claim(value)
  local held = redis.call('GET', CLAIM .. value)
  if held then
    local ends, note = string.match(held, '^(%S+) (.*)$')
    -- What cannot be read must not pass for a value that nobody claimed.
    return assert(tonumber(ends) and ends, 'a claim cannot be read'), note
  end
end

local function is_repeated(held_note, note)
  return held_note == note and string.sub(note, 1, 1) == '~'
end

local function is_any_used(claims, at)
  local named = {}
  for _, claim in ipairs(claims) do
    if named[claim.value] or (state.forgotten_at and claim.made <= state.forgotten_at) then
      return true
    end
    named[claim.value] = true
    local ends, note = held_claim(claim.value)
    if ends and tonumber(ends) >= at and not is_repeated(note, claim.note) then
      return true
    end
  end
  return false
end

local function keep_claims(claims, at)
  for _, claim in ipairs(claims) do
    local held_ends = held_claim(claim.value)
    local ends = held_ends and later(held_ends, claim.ends) or claim.ends
    local kept = ends .. ' ' .. claim.note
    -- Redis only cleans up, by its own clock; what counts is the `ends` that is kept.
    local rest = math.max(tonumber(ends) - at, 0) + kept_after_end
    if rest < 1e9 then
      redis.call('SET', CLAIM .. claim.value, kept, 'EX', whole(rest))
    else
      redis.call('SET', CLAIM .. claim.value, kept)
    end
    has_changed = true
  end
end

local function take_record()
  local record = {}
  for n = 1, 7 do
    record[n] = take()
  end
  return record
end

local function stands(record)
  return redis.call('HEXISTS', INDEX, record[1]) == 1
end

local function keep_record(record)
  local position = whole(state.sequence + 1) .. '-' .. records_added
  redis.call('XADD', RECORDS, position, 'id', record[1], 'at', record[2], 'outcome', record[3],
    'client_id', record[4], 'reason', record[5], 'lineage', record[6], 'inputs', record[7])
  redis.call('HSET', INDEX, record[1], position)
  records_added = records_added + 1
  has_changed = true
end

-- Operations.

local earliest

local function take_now()
  local at = take_number()
  earliest = earliest and math.min(earliest, at) or at
  return at
end

local operations = {}

function operations.claim()
  local at, claims = take_now(), take_claims()
  if is_any_used(claims, at) then
    return 'replayed'
  end
  keep_claims(claims, at)
  return 'stored'
end

function operations.commit()
  local at, claims, revocables, record = take_now(), take_claims(), take_revocables(), take_record()
  if is_any_revoked(revocables) then
    return 'revoked'
  elseif is_any_used(claims, at) then
    return 'replayed'
  elseif stands(record) then
    return 'stands'
  end
  keep_claims(claims, at)
  keep_record(record)
  return 'stored'
end

function operations.note()
  local _, note = held_claim(take())
  return note or ''
end

function operations.revoke()
  local revocations = {}
  for n = 1, take_number() do
    revocations[n] = {take(), take(), take()}
  end
  local record = take_record()
  if stands(record) then
    return 'stands'
  end
  for _, revocation in ipairs(revocations) do
    put_in_force(unpack(revocation))
  end
  keep_record(record)
  return 'stored'
end

function operations.ask()
  return is_any_revoked(take_revocables()) and 'revoked' or 'alive'
end

function operations.append()
  local record = take_record()
  if stands(record) then
    return 'stands'
  end
  keep_record(record)
  return 'stored'
end

function operations.find()
  local position = redis.call('HGET', INDEX, take())
  return position and redis.call('XRANGE', RECORDS, position, position) or {}
end

function operations.list()
  local after, limit, newest = take(), take(), take() == '1'
  local start = after == '' and '-' or '(' .. after
  if newest then
    return redis.call('XREVRANGE', RECORDS, '+', start, 'COUNT', limit)
  end
  return redis.call('XRANGE', RECORDS, start, '+', 'COUNT', limit)
end

-- A write, so that a store that cannot write does not pass for one that answers.
function operations.ping()
  redis.call('HSET', STATE, 'pinged', now)
  return 'alive'
end

local answers = {}
for n = 1, take_number() do
  answers[n] = operations[take()]()
end
if has_changed then
  leave_mark()
end

if earliest then
  -- A bounded number at a time, and more than one call adds.
  local forgettable = '(' .. whole(earliest - kept_after_end)
  local ended = redis.call('ZRANGEBYSCORE', ENDS, '-inf', forgettable, 'LIMIT', 0, 100)
  for _, field in ipairs(ended) do
    redis.call('HDEL', REVOCATIONS, field)
    redis.call('ZREM', ENDS, field)
  end
end

return {found, state.id, whole(state.sequence), state.mark, answers}
