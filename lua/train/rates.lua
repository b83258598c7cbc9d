-- SPDX-License-Identifier: Apache-2.0
--- How the learning rate goes: constant, down a cosine, or by factors at some steps; before that a linear warm-up.
local rates = {}

rates.NAMES = { "constant", "cosine", "step" }

--- A schedule from its text: constant, cosine, step:N,F (every N steps times F) or step:N1+N2+...,F (at these steps).
-- @return { kind, every or at = list, factor }, or nil and what was expected
function rates.parse(text)
  if text == "constant" or text == "cosine" then return { kind = text } end
  local places, factor = text:match "^step:([%d+]+),([%d.eE+-]+)$"
  factor = tonumber(factor)
  local list, rising = {}, true
  for digits in (places or ""):gmatch "%d+" do
    local at = math.tointeger(tonumber(digits)) or 0
    rising = rising and at > (list[#list] or 0)
    list[#list + 1] = at
  end
  if not factor or not (factor > 0 and factor <= 1) or #list == 0 or not rising then
    return nil, ("expected constant, cosine, step:N,FACTOR or step:N1+N2,FACTOR, found %s"):format(text)
  end
  if #list == 1 then return { kind = "step", every = list[1], factor = factor } end
  return { kind = "step", at = list, factor = factor }
end

-- A cosine that is the same on every machine: its series in double, from 0 to pi.
local function cosine(x)
  local turned = x > math.pi / 2
  local y = turned and math.pi - x or x
  local sum, term = 1.0, 1.0
  for k = 1, 12 do
    term = -term * y * y / ((2 * k - 1) * (2 * k))
    sum = sum + term
  end
  return turned and -sum or sum
end

local function dropped(schedule, step)
  local times, rate = 0, 1.0
  if schedule.every then times = step // schedule.every end
  for _, at in ipairs(schedule.at or {}) do
    if step >= at then times = times + 1 end
  end
  for _ = 1, times do rate = rate * schedule.factor end
  return rate
end

--- The learning rate of a step.
-- @param options { learning_rate, schedule = of rates.parse, warm_up = steps, steps = of the whole run }
-- @param step from 0
function rates.at(options, step)
  local warm = options.warm_up or 0
  if step < warm then return options.learning_rate * ((step + 1) / warm) end
  local schedule = options.schedule
  if schedule.kind == "cosine" then
    local share = (step - warm) / math.max(1, options.steps - warm)
    return options.learning_rate * (0.5 * (1.0 + cosine(math.pi * math.min(1.0, share))))
  elseif schedule.kind == "step" then
    return options.learning_rate * dropped(schedule, step)
  end
  return options.learning_rate
end

return rates
