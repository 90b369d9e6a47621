-- The time by which places are taken, as it was before this ms.
-- KEYS  what keys of quotas begin with: the time is that of their slot
-- Returns ms since 1970.
-- include: places
return string.format('%.0f', clock_ms() - 1)
