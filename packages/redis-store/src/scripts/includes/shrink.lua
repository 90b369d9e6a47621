-- A stream takes 4 KiB for its first entries however small they are; a copy of it takes what they need. For a stream that
-- gets no more for now. Without the right to copy it stays as it is.
local function shrink(stream, copy)
  if redis.call('XLEN', stream) > 64 then
    return
  end
  if redis.pcall('COPY', stream, copy) == 1 and redis.pcall('RENAME', copy, stream).err then
    redis.call('UNLINK', copy)
  end
end
