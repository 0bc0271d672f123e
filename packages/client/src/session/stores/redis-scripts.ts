// Each script touches one key, so it runs on any node of a cluster. A session is a hash; a term is
// a sorted set of session keys, each scored with a time that its session does not outlive.

// Without a clock of the caller, the clock of the server is used: all processes share it.
const NOW = `
  local now = tonumber(ARGV[1])
  if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end`;

// Lua would write a large number as 1.7e+12.
const SESSION = `${NOW}
  local key = KEYS[1]
  local function whole(number) return string.format('%.0f', number) end
  local function get(field) return redis.call('HGET', key, field) end
  local function isLive() return tonumber(get('expiresAt') or 0) * 1000 > now end
  local function keepUntil(expiresAt)
    -- A minute longer: destroy must also return an expired session.
    redis.call('PEXPIRE', key, whole(math.max(expiresAt * 1000 - now, 0) + 60000))
  end`;

/** The scripts by name. Their arguments: the clock in milliseconds or nothing, then as named here. */
export const SCRIPTS = {
  /** `sealed`, `about`, `expiresAt`, `terms` → 1, or 0 when the key is taken */
  koaOauthCreate: `${SESSION}
    if isLive() then return 0 end
    redis.call('DEL', key)
    redis.call('HSET', key, 'version', 1, 'fence', 0, 'leaseUntil', 0,
      'sealed', ARGV[2], 'about', ARGV[3], 'expiresAt', ARGV[4], 'terms', ARGV[5])
    keepUntil(ARGV[4])
    return 1`,

  /** names of fields → their values, or nothing when the session is gone */
  koaOauthRead: `${SESSION}
    if not isLive() then return false end
    return redis.call('HMGET', key, unpack(ARGV, 2))`,

  /** `expectedVersion`, `sealed`, `expiresAt`, `fence` or nothing → 1, or 0 when not written */
  koaOauthUpdate: `${SESSION}
    if not isLive() or get('version') ~= ARGV[2] then return 0 end
    if ARGV[5] ~= '' and get('fence') ~= ARGV[5] then return 0 end
    redis.call('HINCRBY', key, 'version', 1)
    redis.call('HSET', key, 'sealed', ARGV[3], 'expiresAt', ARGV[4])
    keepUntil(ARGV[4])
    return 1`,

  /** `expiresAt` */
  koaOauthTouch: `${SESSION}
    if not isLive() then return 0 end
    redis.call('HSET', key, 'expiresAt', ARGV[2])
    keepUntil(ARGV[2])
    return 1`,

  /** names of fields → their last values, or nothing when there was no session */
  koaOauthDestroy: `
    if redis.call('EXISTS', KEYS[1]) == 0 then return false end
    local last = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
    redis.call('DEL', KEYS[1])
    return last`,

  /** `milliseconds` → the fence, or nothing when the lease is not free */
  koaOauthAcquire: `${SESSION}
    if not isLive() or tonumber(get('leaseUntil')) > now then return false end
    redis.call('HSET', key, 'leaseUntil', whole(now + ARGV[2]))
    return redis.call('HINCRBY', key, 'fence', 1)`,

  /** `fence`, `milliseconds` → 1, or 0 when the lease is no longer held */
  koaOauthExtend: `${SESSION}
    if not isLive() or get('fence') ~= ARGV[2] then return 0 end
    if tonumber(get('leaseUntil')) <= now then return 0 end
    redis.call('HSET', key, 'leaseUntil', whole(now + ARGV[3]))
    return 1`,

  /** `fence` */
  koaOauthRelease: `
    if redis.call('HGET', KEYS[1], 'fence') == ARGV[2] then
      redis.call('HSET', KEYS[1], 'leaseUntil', 0)
    end`,

  /**
   * `sessionKey`, `expiresAt`, `limit`: adds a session to a term, and removes expired ones → if there are
   * more than the limit, the excess that expires first, and one more, because this session may be in it
   */
  koaOauthAddToTerm: `${SESSION}
    local until_ = ARGV[3] * 1000
    local scored = redis.call('ZSCORE', key, ARGV[2])
    if not scored or tonumber(scored) < until_ then
      redis.call('ZADD', key, whole(until_), ARGV[2])
    end
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
    local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
    if last[2] then redis.call('PEXPIRE', key, whole(last[2] - now)) end
    local excess = redis.call('ZCARD', key) - ARGV[4]
    if excess <= 0 then return {} end
    return redis.call('ZRANGE', key, 0, excess)`,

  /** `limit` → session keys, those that may live longest first */
  koaOauthListTerm: `${SESSION}
    return redis.call('ZREVRANGEBYSCORE', key, '+inf', '(' .. whole(now), 'LIMIT', 0, ARGV[2])`,

  /** session keys */
  koaOauthDropFromTerm: `redis.call('ZREM', KEYS[1], unpack(ARGV, 2))`,

  /** `endedAt`, `expiresAt` */
  koaOauthRecordEnd: `${SESSION}
    local last = redis.call('GET', key)
    if last and tonumber(last) >= tonumber(ARGV[2]) then return end
    redis.call('SET', key, ARGV[2])
    redis.call('PEXPIRE', key, whole(math.max(ARGV[3] * 1000 - now, 1)))`,

  /** → the end, in seconds, or nothing */
  koaOauthReadEnd: `return redis.call('GET', KEYS[1])`,

  /** `expiresAt` → 1 at the first time, 0 at others */
  koaOauthOnce: `${SESSION}
    local until_ = redis.call('GET', key)
    if until_ and tonumber(until_) * 1000 > now then return 0 end
    redis.call('SET', key, ARGV[2])
    redis.call('PEXPIRE', key, whole(math.max(ARGV[2] * 1000 - now, 1)))
    return 1`,
} as const;
